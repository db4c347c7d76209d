#include "server/access/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace restante::access {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Token, IsNewAtEachCallAndWellFormed) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string token = NewToken();
    EXPECT_TRUE(CheckToken(token).ok());
    EXPECT_EQ(token.size(), 9u + 43u) << "256 bits in base64 behind the prefix";
    seen.insert(token);
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST(Token, OfLessThan128BitsOrOtherCharactersIsRefusedWithoutRepeatingIt) {
  for (const char* text :
       {"", "short", "twentyone-characters-", "with a blank in its text",
        "=======================", "in=the=middle=of=its=text", "tab\tin-the-middle-of-it-all"}) {
    const absl::Status status = CheckToken(text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    if (*text != '\0') {
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr(text)));
    }
  }
  EXPECT_FALSE(CheckToken(std::string(kMaxToken + 1, 'a')).ok());
  EXPECT_TRUE(CheckToken(std::string(kMaxToken, 'a')).ok());
  EXPECT_TRUE(CheckToken("AAAAAAAAAAAAAAAAAAAAAA==").ok());
}

TEST(TokenHash, IsSha256) {
  const TokenHash hash = TokenHash::Of("abc");  // FIPS 180-4's example.
  EXPECT_EQ(hash.ToString(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*TokenHash::Parse("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"), hash);
  EXPECT_FALSE(TokenHash::Of("abd") == hash);
}

TEST(TokenHash, IsParsedFrom64DigitsOnly) {
  EXPECT_FALSE(TokenHash::Parse("").ok());
  EXPECT_FALSE(TokenHash::Parse(std::string(63, 'a')).ok());
  EXPECT_FALSE(TokenHash::Parse(std::string(65, 'a')).ok());
  EXPECT_FALSE(TokenHash::Parse(std::string(63, 'a') + "g").ok());
}

}  // namespace
}  // namespace restante::access
