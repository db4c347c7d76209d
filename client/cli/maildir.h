// Messages as files of a Maildir, and back.
//
// The file begins with `Return-Path` and `Delivered-To`. Where every line end of
// the text is CRLF the file has LF; a text with a bare CR or LF is kept verbatim,
// and the first two lines then end in CRLF. That tells the two apart, so that the
// way back is exact for every text.
#ifndef RESTANTE_CLIENT_CLI_MAILDIR_H_
#define RESTANTE_CLIENT_CLI_MAILDIR_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace restante::cli {

// Whether every CR stands before an LF and every LF after a CR.
bool HasOnlyCrlf(absl::string_view text);
// LF -> CRLF, for a text without CRLF; others come back unchanged.
std::string TextToCrlf(std::string text);

// The file for a message, and the message of a file that this made
// (kInvalidArgument for others). Control characters in the addresses become `?`.
std::string ToMaildirFile(absl::string_view sender, absl::string_view recipient, std::string message);
absl::StatusOr<std::string> FromMaildirFile(std::string file);

// A directory with tmp, new and cur. One thread.
//
// Errors name the file and the system's reason.
class Maildir {
 public:
  explicit Maildir(std::string path) : path_(std::move(path)) {}

  // Makes what is missing of it, durably.
  absl::Status Create();

  // The path of a message with this name in new, or (with any flags) in cur as it
  // was at Create; empty if there is none. `name` holds neither slash nor colon.
  std::string Find(const std::string& name) const;

  // Writes tmp/NAME, syncs it, and moves it to new/NAME; the move is durable
  // after Sync. What an interruption left in tmp is overwritten.
  absl::Status Write(const std::string& name, absl::string_view file, absl::Time arrival);
  // Makes everything durable that was written.
  absl::Status Sync();

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  absl::flat_hash_map<std::string, std::string> seen_;  // In cur: name, path.
};

absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_MAILDIR_H_
