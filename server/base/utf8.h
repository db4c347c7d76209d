// UTF-8: RFC 3629.
#ifndef RESTANTE_SERVER_BASE_UTF8_H_
#define RESTANTE_SERVER_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace restante {

struct CodePoint {
  uint32_t value = 0;
  // That it takes; 0: none is there.
  size_t octets = 0;
};

// The character that `text` begins with. None for an empty text and for octets that
// are not UTF-8: overlong forms, surrogates and what lies beyond U+10FFFF included.
CodePoint DecodeUtf8(absl::string_view text);

// Whether all octets are ASCII, of any kind.
bool IsAscii(absl::string_view text);

// As addresses and replies may hold it (RFC 6531, 3.3): octets of the non-ASCII
// character that `text` begins with; 0 if it begins with none: with ASCII, with what is
// not UTF-8, or with a C1 control (RFC 5198, 2).
size_t NonAsciiLength(absl::string_view text);

// Whether `text` is ASCII and such characters.
bool IsUtf8(absl::string_view text);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_UTF8_H_
