#include "client/policy/policy_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/policy/splits.h"

namespace restante::policy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string Describe(const PolicyRequest& r) {
  return absl::StrCat(r.protocol_state, "|", r.sender, "|", r.recipient, "|",
                      r.size ? absl::StrCat(*r.size) : "-", "|", r.client_address, "|", r.helo_name, "|",
                      r.instance);
}

std::vector<std::string> Parse(const std::string& octets) {
  return Feed(PolicyRequestParser(), {octets}, Describe);
}

constexpr char kFirst[] = "request=smtpd_access_policy\n";

// As Postfix 3.7 sends it, shortened.
const std::string kFromPostfix =
    "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.1\n"
    "client_name=mail.example.net\nhelo_name=mail.example.net\nsender=me@example.net\n"
    "recipient=alice@example.org\nrecipient_count=0\nqueue_id=\ninstance=7b.65a0.1\nsize=12345\netrn_domain="
    "\n"
    "stress=\nsasl_method=\nccert_subject=CN=x,O=y\ncompatibility_level=3.6\n\n";

TEST(PolicyRequestTest, ARequestOfPostfixIsRead) {
  EXPECT_THAT(Parse(kFromPostfix), ElementsAre("RCPT|me@example.net|alice@example.org|12345|192.0.2.1|"
                                               "mail.example.net|7b.65a0.1"));
}

TEST(PolicyRequestTest, AttributesOfAllKindsAreReadAsTheProtocolSays) {
  const struct {
    std::string attributes;
    std::string expected;
  } cases[] = {
      {"", "|||-|||"},
      {"recipient=\nsender=\n", "|||-|||"},
      {"nobody_knows=this\nx==\n", "|||-|||"},
      {"recipient=a@b\nrecipient=c@d\n", "||c@d|-|||"},
      {"recipient=\"a=b\"@example.org\n", "||\"a=b\"@example.org|-|||"},
      {"recipient=j\xc3\xb6rg@example.org\n", "||j\xc3\xb6rg@example.org|-|||"},
      {"size=\n", "|||-|||"},
      {"size=0\n", "|||-|||"},
      {"size=-1\n", "|||-|||"},
      {"size=1\n", "|||1|||"},
      {"size=18446744073709551615\n", "|||18446744073709551615|||"},
      {"size=18446744073709551616\n", "|||-|||"},
      {"size=12k\n", "|||-|||"},
      {"protocol_state=END-OF-MESSAGE\n", "END-OF-MESSAGE|||-|||"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(Parse(absl::StrCat(kFirst, c.attributes, "\n")), ElementsAre(c.expected)) << c.attributes;
    EXPECT_THAT(Parse(absl::StrCat(c.attributes, kFirst, "\n")), ElementsAre(c.expected)) << "request= last";
  }
}

TEST(PolicyRequestTest, NothingOfARequestIsLeftForTheNext) {
  EXPECT_THAT(Parse(absl::StrCat(kFirst, "recipient=a@b\nsize=7\n\n", kFirst, "\n")),
              ElementsAre("||a@b|7|||", "|||-|||"));
  EXPECT_THAT(Parse(absl::StrCat(kFirst, "\n\n")),
              ElementsAre("|||-|||", "error: a request has no attribute `request`"));
}

TEST(PolicyRequestTest, WhatIsNoRequestIsAnErrorThatSaysWhy) {
  const struct {
    std::string octets;
    std::string error;
  } cases[] = {
      {"\n", "a request has no attribute `request`"},
      {"recipient=a@b\n\n", "a request has no attribute `request`"},
      {"request=junk_policy\n\n", "request `junk_policy` is not smtpd_access_policy"},
      {"EHLO example.net\r\n", "`EHLO example.net?` is no attribute name=value"},
      {"=value\n", "`=value` is no attribute name=value"},
      {std::string("sender=a\0b\n", 11), "`sender=a?b` is no attribute name=value"},
      {"request=smtpd_access_policy\r\n\r\n", "`?` is no attribute name=value"},
      {std::string(8193, 'x'), "a line has more than 8192 octets"},
  };
  for (const auto& c : cases) EXPECT_THAT(Parse(c.octets), ElementsAre("error: " + c.error)) << c.octets;
}

TEST(PolicyRequestTest, RequestsAreTakenUpToTheBoundsAndNotBeyond) {
  std::string attributes = kFirst;
  for (size_t i = 1; i < PolicyRequestParser::kMaxAttributes; ++i) attributes += "a=b\n";
  EXPECT_THAT(Parse(attributes + "\n"), ElementsAre("|||-|||"));
  EXPECT_THAT(Parse(attributes + "a=b\n"), ElementsAre("error: a request has more than 200 attributes"));

  const std::string line = "a=" + std::string(PolicyRequestParser::kMaxLine - 2, 'x') + "\n";
  EXPECT_THAT(Parse(kFirst + line + "\n"), ElementsAre("|||-|||"));

  std::string lines = kFirst;
  while (lines.size() + line.size() < PolicyRequestParser::kMaxRequest) lines += line;
  lines += "a=" + std::string(PolicyRequestParser::kMaxRequest - lines.size() - 4, 'x') + "\n";
  ASSERT_EQ(lines.size() + 1, PolicyRequestParser::kMaxRequest);
  EXPECT_THAT(Parse(lines + "\n"), ElementsAre("|||-|||"));
  EXPECT_THAT(Parse(lines + "b=\n"), ElementsAre("error: a request has more than 65536 octets"));
}

TEST(PolicyRequestTest, OctetsThatNeverEndALineAreNotKept) {
  PolicyRequestParser parser;
  size_t taken = 0;
  const std::string piece(100, 'x');
  while (taken < 1 << 20) {
    absl::StatusOr<size_t> used = parser.Consume(piece);
    if (!used.ok()) break;
    taken += *used;
  }
  EXPECT_LE(taken, PolicyRequestParser::kMaxLine);
}

TEST(PolicyRequestTest, KnowsWhetherItIsWithinARequest) {
  PolicyRequestParser parser;
  EXPECT_FALSE(parser.within_request());
  ASSERT_TRUE(parser.Consume("request=smtpd").ok());
  EXPECT_TRUE(parser.within_request());
  ASSERT_TRUE(parser.Consume("_access_policy\n").ok());
  EXPECT_TRUE(parser.within_request());
  ASSERT_TRUE(parser.Consume("\n").ok());
  EXPECT_TRUE(parser.complete());
  EXPECT_FALSE(parser.within_request());
  parser.Take();
  EXPECT_FALSE(parser.within_request());
  EXPECT_FALSE(parser.complete());
}

TEST(PolicyRequestTest, AnySplitOfTheOctetsGivesTheSameRequests) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  const std::string good = kFromPostfix + kFirst + "protocol_state=DATA\n\n" + kFromPostfix;
  for (const std::string& octets : {good, good + "no attribute\n" + good, good + "\n"}) {
    const std::vector<std::string> expected = Parse(octets);
    ASSERT_GE(expected.size(), 3u);
    for (const auto& pieces : Splits(octets, seed)) {
      ASSERT_EQ(Feed(PolicyRequestParser(), pieces, Describe), expected);
    }
  }
  EXPECT_THAT(Parse(""), IsEmpty());
}

}  // namespace
}  // namespace restante::policy
