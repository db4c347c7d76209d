// UTF-8 as addresses and replies may hold it: RFC 3629; RFC 6531, 3.3.
#ifndef RESTANTE_CLIENT_SMTP_UTF8_H_
#define RESTANTE_CLIENT_SMTP_UTF8_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace restante::smtp {

// Whether all octets are ASCII, of any kind.
bool IsAscii(absl::string_view text);

// Octets of the non-ASCII character that `text` begins with; 0 if it begins with
// none: with ASCII, with octets that are not UTF-8 (overlong forms, surrogates and
// what lies beyond U+10FFFF included), or with a C1 control (RFC 5198, 2).
size_t NonAsciiLength(absl::string_view text);

// Whether `text` is ASCII and such characters.
bool IsUtf8(absl::string_view text);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_UTF8_H_
