#include "client/policy/socketmap_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/policy/netstring.h"
#include "tests/policy/splits.h"

namespace restante::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Itself(std::string text) { return text; }

std::vector<std::string> Parse(const std::string& octets) {
  return Feed(NetstringParser(), {octets}, Itself);
}

TEST(NetstringTest, NetstringsAreReadOneAfterAnother) {
  EXPECT_THAT(Parse("0:,5:hello,1:,,12:hello, world,"), ElementsAre("", "hello", ",", "hello, world"));
  EXPECT_THAT(Parse(std::string("3:\0\n\r,", 6)), ElementsAre(std::string("\0\n\r", 3)));
}

TEST(NetstringTest, WhatIsWrittenReadsBack) {
  for (const std::string& text :
       {std::string(), std::string("OK alice@example.org"), std::string(100'000, 'x')}) {
    EXPECT_THAT(Parse(ToNetstring(text)), ElementsAre(text));
  }
}

TEST(NetstringTest, WhatIsNoNetstringIsAnErrorThatSaysWhy) {
  const struct {
    std::string octets;
    std::string error;
  } cases[] = {
      {":,", "a netstring does not begin with its length and a colon"},
      {"x", "a netstring does not begin with its length and a colon"},
      {"-1:x,", "a netstring does not begin with its length and a colon"},
      {" 1:x,", "a netstring does not begin with its length and a colon"},
      {"1 :x,", "a netstring does not begin with its length and a colon"},
      {"request=smtpd_access_policy\n", "a netstring does not begin with its length and a colon"},
      {"01:x,", "a netstring's length begins with 0"},
      {"00:,", "a netstring's length begins with 0"},
      {"1:xx,", "a netstring of 1 octets does not end with a comma"},
      {"0:x", "a netstring of 0 octets does not end with a comma"},
      {"100001:", "a netstring has more than 100000 octets"},
      {"99999999999999999999999999:", "a netstring has more than 100000 octets"},
  };
  for (const auto& c : cases) EXPECT_THAT(Parse(c.octets), ElementsAre("error: " + c.error)) << c.octets;
}

TEST(NetstringTest, AnySplitOfTheOctetsGivesTheSameTexts) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  const std::string good =
      ToNetstring("mailbox alice@example.org") + "0:," + ToNetstring(std::string(300, ','));
  for (const std::string& octets : {good, good + "3:ab,", good + "007:", good + "1000000:x"}) {
    const std::vector<std::string> expected = Parse(octets);
    ASSERT_GE(expected.size(), 3u);
    for (const auto& pieces : Splits(octets, seed)) {
      ASSERT_EQ(Feed(NetstringParser(), pieces, Itself), expected);
    }
  }
}

TEST(NetstringTest, KnowsWhetherItIsWithinOne) {
  NetstringParser parser;
  for (const char* piece : {"5", ":", "hell", "o"}) {
    ASSERT_TRUE(parser.Consume(piece).ok());
    EXPECT_TRUE(parser.within()) << piece;
  }
  ASSERT_TRUE(parser.Consume(",").ok());
  EXPECT_FALSE(parser.within());
  EXPECT_EQ(parser.Take(), "hello");
  EXPECT_FALSE(parser.within());
}

TEST(SocketmapRequestTest, AMapAndAKeyAreRead) {
  const struct {
    std::string text, map, key;
  } cases[] = {
      {"mailbox alice@example.org", "mailbox", "alice@example.org"},
      {"domain example.org", "domain", "example.org"},
      {"mailbox \"a b\"@example.org", "mailbox", "\"a b\"@example.org"},
      {"mailbox ", "mailbox", ""},
      {"x  y", "x", " y"},
  };
  for (const auto& c : cases) {
    absl::StatusOr<SocketmapRequest> request = ParseSocketmapRequest(c.text);
    ASSERT_TRUE(request.ok()) << c.text;
    EXPECT_EQ(request->map, c.map);
    EXPECT_EQ(request->key, c.key);
  }
  for (const char* bad : {"", "mailbox", " ", " key"}) {
    const absl::Status status = ParseSocketmapRequest(bad).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("`", bad, "`")));
  }
}

}  // namespace
}  // namespace restante::policy
