// Command lines: the verb, and what each verb takes. RFC 5321, 4.1.
#ifndef RESTANTE_CLIENT_SMTP_COMMAND_PARSER_H_
#define RESTANTE_CLIENT_SMTP_COMMAND_PARSER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/smtp/path.h"
#include "client/smtp/reply.h"
#include "restante/v1/common.pb.h"

namespace restante::smtp {

enum class Verb {
  kUnknown,
  // A verb that some RFC defines and that is not offered here.
  kNotOffered,
  // A method of HTTP, with which a browser may be made to speak to us.
  kHttp,
  kHelo,
  kEhlo,
  kLhlo,
  kMail,
  kRcpt,
  kData,
  kBdat,
  kStartTls,
  kXforward,
  kRset,
  kNoop,
  kVrfy,
  kExpn,
  kHelp,
  kQuit,
};

struct Command {
  Verb verb = Verb::kUnknown;
  // What follows the verb, without blanks at either end.
  absl::string_view argument;
};

// Splits a line without its CRLF. The verb is compared without case.
Command ParseCommand(absl::string_view line);

// What MAIL and RCPT say, or the reply that refuses them.
struct Envelope {
  std::optional<Reply> error;
  std::string address;
  // SIZE (RFC 1870), saturated at 2^64-1; absent if it was not given.
  std::optional<uint64_t> size;
  // SMTPUTF8 was given.
  bool smtputf8 = false;
  // RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT (RFC 3461); empty if they were not
  // given.
  v1::Ret ret = v1::RET_UNSPECIFIED;
  std::string envid;
  std::vector<v1::Notify> notify;
  std::string orcpt;
  // IGNOREQUOTA of RCPT.
  bool ignore_quota = false;
};

// What RCPT may say depends on what came before it.
struct RecipientRules {
  // MAIL said SMTPUTF8.
  bool smtputf8 = false;
  // IGNOREQUOTA is offered.
  bool ignore_quota = false;
};

// Reads `FROM:<path> [parameters]` or `TO:<path> [parameters]`. Of parameters MAIL
// takes SIZE, BODY=7BIT|8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), RET and ENVID, and
// RCPT takes NOTIFY, ORCPT and, if it is offered, IGNOREQUOTA (Cyrus' LMTP), each once;
// every other one is 555. A path that is not ASCII needs SMTPUTF8, given in MAIL.
Envelope ParseEnvelope(absl::string_view argument, PathKind kind, const RecipientRules& rules = {});

// What BDAT announces.
struct Chunk {
  uint64_t size = 0;  // Octets behind the command.
  bool last = false;
};

// Reads `size [LAST]` (RFC 3030, 2): 1 to 20 digits, below 2^64-1. Nothing if it is
// anything else: then nobody knows where the next command starts.
std::optional<Chunk> ParseChunk(absl::string_view argument);

// Whether `argument` is at most one `String` (atom or quoted), as NOOP takes.
bool IsOneWordAtMost(absl::string_view argument);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_COMMAND_PARSER_H_
