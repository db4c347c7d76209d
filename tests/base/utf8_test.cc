#include "server/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"

namespace restante {
namespace {

// RFC 3629, 4.
std::string Encode(uint32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xc0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xe0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | c >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryCharacterIsReadAndSurrogatesAreNot) {
  for (uint32_t c = 0; c <= 0x10ffff; ++c) {
    const std::string octets = Encode(c);
    const CodePoint read = DecodeUtf8(octets + "x");
    if (c >= 0xd800 && c <= 0xdfff) {
      ASSERT_EQ(read.octets, 0u) << c;
      continue;
    }
    ASSERT_EQ(read.value, c);
    ASSERT_EQ(read.octets, octets.size()) << c;
    ASSERT_EQ(DecodeUtf8(octets.substr(0, octets.size() - 1)).octets, 0u) << c << ", cut off";
    ASSERT_EQ(NonAsciiLength(octets), c < 0xa0 ? 0 : octets.size()) << c;
    ASSERT_EQ(IsUtf8(octets), c < 0x80 || c >= 0xa0) << c;
  }
}

TEST(Utf8, NoOctetsReadAsACharacterThatHasOthers) {
  size_t read = 0;
  // The first octet is not ASCII, and a fourth one is as the third.
  for (uint32_t word = 0x800000; word < 0x1000000; ++word) {
    const std::string octets = {static_cast<char>(word >> 16), static_cast<char>(word >> 8),
                                static_cast<char>(word), '\x80'};
    const CodePoint c = DecodeUtf8(octets);
    if (c.octets == 0) continue;
    ++read;
    ASSERT_EQ(Encode(c.value), octets.substr(0, c.octets)) << absl::CHexEscape(octets);
  }
  EXPECT_GT(read, 0u);
}

}  // namespace
}  // namespace restante
