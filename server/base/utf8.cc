#include "server/base/utf8.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace restante {

CodePoint DecodeUtf8(absl::string_view text) {
  if (text.empty()) return {};
  const auto first = static_cast<unsigned char>(text[0]);
  if (absl::ascii_isascii(first)) return {first, 1};
  const size_t octets = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < octets) return {};
  uint32_t value = first & (0x7fu >> octets);
  for (size_t i = 1; i < octets; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    value = value << 6 | (next & 0x3fu);
  }
  const bool overlong = (octets == 3 && value < 0x800) || (octets == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return {};
  return {value, octets};
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return absl::ascii_isascii(c); });
}

size_t NonAsciiLength(absl::string_view text) {
  const CodePoint c = DecodeUtf8(text);
  return c.value < 0xa0 ? 0 : c.octets;
}

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = absl::ascii_isascii(static_cast<unsigned char>(text[0])) ? 1 : NonAsciiLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace restante
