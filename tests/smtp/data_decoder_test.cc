#include "client/smtp/data_decoder.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"

namespace restante::smtp {
namespace {

struct Decoded {
  // Octets up to and with the end; absent if it did not come.
  std::optional<size_t> end;
  std::string text;
  bool irregular = false;

  friend bool operator==(const Decoded&, const Decoded&) = default;
};

// By the letter of RFC 5321, 4.1.1.4 and 4.5.2, on the whole input.
Decoded Reference(const std::string& input) {
  Decoded result;
  // The line end of the command line comes first.
  const std::string all = "\r\n" + input;
  const size_t found = all.find("\r\n.\r\n");
  const size_t end = found == std::string::npos ? all.size() : found + 2;
  if (found != std::string::npos) result.end = found + 5 - 2;
  for (size_t i = 2; i < end; ++i) {
    if (all[i] == '.' && all[i - 1] == '\n' && all[i - 2] == '\r') continue;
    result.text.push_back(all[i]);
  }
  for (size_t i = 2; i < end; ++i) {
    if (all[i] == '\0' || (all[i] == '\n' && all[i - 1] != '\r') ||
        (all[i] == '\r' && (i + 1 >= all.size() || all[i + 1] != '\n'))) {
      result.irregular = true;
    }
  }
  return result;
}

// Feeds pieces that end where `cuts` says; each with `room` at a time.
Decoded DecodeAll(const std::string& input, const std::vector<size_t>& cuts, size_t room, bool keep) {
  DataDecoder decoder(/*inspect=*/true);
  Decoded result;
  size_t at = 0;
  for (size_t c = 0; c <= cuts.size() && !decoder.done(); ++c) {
    const size_t piece_end = c < cuts.size() ? cuts[c] : input.size();
    while (at < piece_end && !decoder.done()) {
      std::string out;
      const size_t used =
          decoder.Decode(absl::string_view(input).substr(at, piece_end - at), room, keep ? &out : nullptr);
      EXPECT_LE(out.size(), room);
      EXPECT_TRUE(used > 0 || !out.empty()) << "stuck";
      if (used == 0 && out.empty()) return result;
      result.text += out;
      at += used;
    }
  }
  if (decoder.done()) result.end = at;
  result.irregular = decoder.irregular();
  return result;
}

void ExpectAsReference(const std::string& input) {
  const Decoded expected = Reference(input);
  ASSERT_TRUE(expected.end.has_value());
  const auto check = [&](const Decoded& actual, const char* how) {
    EXPECT_EQ(actual.end, expected.end) << how << ": " << absl::CHexEscape(input);
    EXPECT_EQ(actual.text, expected.text) << how << ": " << absl::CHexEscape(input);
    EXPECT_EQ(actual.irregular, expected.irregular) << how << ": " << absl::CHexEscape(input);
  };
  check(DecodeAll(input, {}, 1 << 20, true), "whole");
  check(DecodeAll(input, {}, 1, true), "room for one octet");
  check(DecodeAll(input, {}, 2, true), "room for two octets");
  std::vector<size_t> every;
  for (size_t i = 1; i < input.size(); ++i) {
    every.push_back(i);
    check(DecodeAll(input, {i}, 1 << 20, true), "cut in two");
  }
  check(DecodeAll(input, every, 1 << 20, true), "octet by octet");
  // Thrown away, it ends at the same octet.
  Decoded discarded = DecodeAll(input, {}, 0, false);
  EXPECT_EQ(discarded.end, expected.end) << absl::CHexEscape(input);
  EXPECT_EQ(DecodeAll(input, every, 0, false).end, expected.end) << absl::CHexEscape(input);
}

TEST(DataDecoder, OnlyCrLfDotCrLfEndsTheTextWhateverIsMixedAroundADot) {
  const std::string alphabet("\r\n.\0a", 5);
  size_t tried = 0;
  for (size_t length = 0; length <= 6; ++length) {
    size_t count = 1;
    for (size_t i = 0; i < length; ++i) count *= alphabet.size();
    for (size_t n = 0; n < count; ++n) {
      std::string mixture;
      for (size_t i = 0, rest = n; i < length; ++i, rest /= alphabet.size()) {
        mixture.push_back(alphabet[rest % alphabet.size()]);
      }
      // At the very start of the text, and within it; commands behind the end are
      // never taken.
      ExpectAsReference(mixture + "\r\n.\r\nQUIT\r\n");
      if (length <= 5) ExpectAsReference("ab\r\n" + mixture + ".b\r\n.\r\n.\r\n");
      ++tried;
      if (HasFailure()) return;
    }
  }
  EXPECT_EQ(tried, 1u + 5 + 25 + 125 + 625 + 3125 + 15625);
}

TEST(DataDecoder, AReadBuffersEdgeMakesNoLine) {
  for (const size_t edge : {1000u, 1024u, 4096u, 8192u, 65536u}) {
    for (const char* end : {"\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", ".\r\n", "\r\n..\r\n"}) {
      for (size_t shift = 0; shift < 6; ++shift) {
        const std::string input = std::string(edge - shift, 'x') + end + "y\r\n.\r\nNOOP\r\n";
        const Decoded expected = Reference(input);
        EXPECT_EQ(DecodeAll(input, {edge}, 1 << 20, true), expected) << edge << " " << absl::CHexEscape(end);
      }
    }
  }
}

TEST(DataDecoder, RandomTextsComeThroughInRandomPieces) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string alphabet("\r\n.\r\n.abc\0", 11);
  for (int round = 0; round < 2000; ++round) {
    std::string input;
    for (size_t n = random() % 400; n > 0; --n) input.push_back(alphabet[random() % alphabet.size()]);
    input += "\r\n.\r\n";
    std::vector<size_t> cuts;
    for (size_t at = random() % 40; at < input.size(); at += 1 + random() % 40) cuts.push_back(at);
    ASSERT_EQ(DecodeAll(input, cuts, 1 + random() % 50, true), Reference(input)) << absl::CHexEscape(input);
  }
}

}  // namespace
}  // namespace restante::smtp
