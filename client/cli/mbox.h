// mbox files: messages one behind the other, each behind a line `From SENDER DATE`.
//
// Written is mboxrd: lines `From `, and such with any number of `>` in front, get one
// more. The date is asctime's, in UTC. Where every line of the text ends in CRLF the
// file has LF, and an empty line follows; any other text is kept verbatim, its `From `
// line ends in CRLF, and two LF follow, which no file with CRLF line ends has there.
// So the way back is exact for every text. The null reverse path is MAILER-DAEMON.
//
// Read is what others write, too:
// - A `From ` line begins a message if it has a date, whether or not an empty line is
//   in front of it: writers forget that line, and without a date it is text.
// - One `>` of lines `>From ` goes. An mboxo that had such lines before has lost what
//   they were.
// - Content-Length is not believed. Its readers and writers disagree about what it
//   counts, and senders write what they like into it: it would let one message swallow
//   others. So an mboxcl2, which quotes nothing, is cut at lines with a date.
// - Line ends as in message_file.h, by the end of the `From ` line.
#ifndef RESTANTE_CLIENT_CLI_MBOX_H_
#define RESTANTE_CLIENT_CLI_MBOX_H_

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace restante::cli {

std::string ToMbox(absl::string_view sender, absl::Time arrival, absl::string_view text);

struct FromLine {
  std::string sender;  // Empty: null.
  absl::Time date;     // UTC unless it names a zone that is a number or GMT.
};
// Of a line without its end. nullopt: it has no date.
std::optional<FromLine> ParseFromLine(absl::string_view line);

struct MboxMessage {
  uint64_t number = 0;  // From 1.
  FromLine from;
  std::string text;
  // Octets, if it has more than the limit; the text is empty then.
  uint64_t too_large = 0;
};

// One thread. Holds one message at a time.
class MboxReader {
 public:
  // `name` for errors; messages that are much larger than `limit` octets are passed over.
  MboxReader(std::istream& in, std::string name, uint64_t limit);

  // nullopt: no more. kInvalidArgument: it does not begin as an mbox; kDataLoss: it
  // cannot be read to its end.
  absl::StatusOr<std::optional<MboxMessage>> Next();

 private:
  // The next octets up to a line's end, or 1 MiB. False: there are none.
  bool NextPiece();
  MboxMessage Finish(std::string content, uint64_t size);

  std::istream& in_;
  const std::string name_;
  const uint64_t limit_;  // With what quoting adds.
  std::string buffer_;
  size_t at_ = 0;
  absl::string_view piece_;
  bool begins_line_ = true;  // The piece does.
  uint64_t number_ = 0;
  std::optional<FromLine> from_;  // Of the message that comes next.
  bool from_crlf_ = false;
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_MBOX_H_
