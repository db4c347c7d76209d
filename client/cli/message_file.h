// A message as a file, and back.
//
// Our own file begins with `Return-Path` and `Delivered-To`. Where every line end of
// the text is CRLF the file has LF; a text with a bare CR or LF is kept verbatim,
// and the first two lines then end in CRLF. That tells the two apart, so that the
// way back is exact for every text.
//
// In files of others the end of the first line tells the same. CRLF: the text is
// taken as it is. LF: every LF gets a CR unless it has one, which is how Dovecot and
// Courier show such a file to their users.
#ifndef RESTANTE_CLIENT_CLI_MESSAGE_FILE_H_
#define RESTANTE_CLIENT_CLI_MESSAGE_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::cli {

struct FileMessage {
  std::string text;
  // Our two lines are the envelope, and not in the text. `Return-Path` alone, as
  // others write it, stays in the text and is the sender, too.
  std::string sender, recipient;
  // Both lines were there.
  bool has_envelope = false;
};

// Whether every CR stands before an LF and every LF after a CR.
bool HasOnlyCrlf(absl::string_view text);
// LF -> CRLF, for a text without CRLF; others come back unchanged.
std::string TextToCrlf(std::string text);
// LF -> CRLF, but for those behind a CR.
std::string WithCrlf(absl::string_view text);
// Without any CR: the way back from CRLF, where that is lossless.
std::string WithoutCr(absl::string_view text);
// Control characters become `?`: what stands in one line stays in it.
std::string HeaderSafe(absl::string_view address);

std::string ToMessageFile(absl::string_view sender, absl::string_view recipient, std::string message);
FileMessage ParseMessageFile(absl::string_view file);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_MESSAGE_FILE_H_
