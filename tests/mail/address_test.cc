// Addresses and resource names.
#include "server/mail/address.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/match.h"
#include "server/mail/names.h"
#include "server/mail/transaction_id.h"

namespace restante::mail {
namespace {

using namespace std::string_literals;

struct Good {
  std::string text;
  std::string local;
  std::string domain;
  std::string canonical;
};

class GoodAddress : public testing::TestWithParam<Good> {};

TEST_P(GoodAddress, IsReadAndWrittenCanonically) {
  const absl::StatusOr<Address> address = ParseAddress(GetParam().text);
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(address->local, GetParam().local);
  EXPECT_EQ(address->domain, GetParam().domain);
  EXPECT_EQ(address->ToString(), GetParam().canonical);
  EXPECT_EQ(*ParseAddress(address->ToString()), *address);
}

TEST_P(GoodAddress, HasNamesThatReadBack) {
  const Address address = *ParseAddress(GetParam().text);
  EXPECT_EQ(*ParseMailboxName(MailboxName(address)), address);
  EXPECT_EQ(*ParseAliasName(AliasName(address)), address);
  EXPECT_EQ(*ParseDomainName(DomainName(address.domain)), address.domain);
  EXPECT_EQ(MailboxName(address), MailboxName(address.ToString()));
  const absl::StatusOr<MessageRef> message = ParseMessageName(MessageName(address.ToString(), "INBOX", 42));
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->mailbox, address);
  EXPECT_EQ(message->folder, "INBOX");
  EXPECT_EQ(message->uid, 42u);
}

const std::string kLocal64(64, 'a');

INSTANTIATE_TEST_SUITE_P(
    Table, GoodAddress,
    testing::Values(
        Good{"alice@example.org", "alice", "example.org", "alice@example.org"},
        Good{"Alice@EXAMPLE.Org", "alice", "example.org", "alice@example.org"},
        Good{"a.b+c@example.org", "a.b+c", "example.org", "a.b+c@example.org"},
        Good{"!#$%&'*/=?^_`{|}~-@x", "!#$%&'*/=?^_`{|}~-", "x", "!#$%&'*/=?^_`{|}~-@x"},
        Good{"\"alice\"@example.org", "alice", "example.org", "alice@example.org"},
        Good{"\"Al\\ice\"@example.org", "alice", "example.org", "alice@example.org"},
        Good{"\"john doe\"@example.org", "john doe", "example.org", "\"john doe\"@example.org"},
        Good{"\"a@b\"@example.org", "a@b", "example.org", "\"a@b\"@example.org"},
        Good{"\"a>b\"@example.org", "a>b", "example.org", "\"a>b\"@example.org"},
        Good{"\"a\\\"b\\\\c\"@example.org", "a\"b\\c", "example.org", "\"a\\\"b\\\\c\"@example.org"},
        Good{"\".a\"@example.org", ".a", "example.org", "\".a\"@example.org"},
        Good{"@a.example,@b.example:user@c.example", "user", "c.example", "user@c.example"},
        Good{"@[IPv6:::1]:user@c.example", "user", "c.example", "user@c.example"},
        Good{"user@[192.0.2.1]", "user", "[192.0.2.1]", "user@[192.0.2.1]"},
        Good{"user@[ipv6:2001:DB8:0::1]", "user", "[IPv6:2001:db8::1]", "user@[IPv6:2001:db8::1]"},
        Good{"user@b\xc3\xbc"
             "cher.example",
             "user", "xn--bcher-kva.example", "user@xn--bcher-kva.example"},
        Good{"user@B\xc3\x9c"
             "CHER.example",
             "user", "xn--bcher-kva.example", "user@xn--bcher-kva.example"},
        Good{"user@bu\xcc\x88"
             "cher.example",
             "user", "xn--bcher-kva.example", "user@xn--bcher-kva.example"},
        Good{"user@XN--BCHER-KVA.example", "user", "xn--bcher-kva.example", "user@xn--bcher-kva.example"},
        // sharp s stays itself (non-transitional).
        Good{"user@fa\xc3\x9f.example", "user", "xn--fa-hia.example", "user@xn--fa-hia.example"},
        // e and combining acute become one letter; its case is left alone.
        Good{"e\xcc\x81@x.example", "\xc3\xa9", "x.example", "\xc3\xa9@x.example"},
        Good{"\xc3\x89@x.example", "\xc3\x89", "x.example", "\xc3\x89@x.example"},
        // KELVIN SIGN is K in NFC, and so k.
        Good{"\xe2\x84\xaa@x.example", "k", "x.example", "k@x.example"},
        // GREEK QUESTION MARK is a semicolon in NFC, which must be quoted.
        Good{"\xcd\xbe@x.example", ";", "x.example", "\";\"@x.example"},
        Good{kLocal64 + "@x.example", kLocal64, "x.example", kLocal64 + "@x.example"}));

struct Bad {
  std::string text;
  std::string problem;
};

class BadAddress : public testing::TestWithParam<Bad> {};

TEST_P(BadAddress, IsRefusedWithItsProblem) {
  const absl::StatusOr<Address> address = ParseAddress(GetParam().text);
  ASSERT_FALSE(address.ok()) << address->ToString();
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(address.status().message(), GetParam().problem)) << address.status();
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadAddress,
    testing::Values(Bad{"", "empty"}, Bad{"alice", "no @"}, Bad{"postmaster", "no @"}, Bad{"@", "no colon"},
                    Bad{"@example.org", "no colon"}, Bad{"@a:", "empty after its source route"},
                    Bad{"alice@", "domain is empty"}, Bad{"\"\"@example.org", "local part is empty"},
                    Bad{".a@x", "dot"}, Bad{"a.@x", "dot"}, Bad{"a..b@x", "two in a row"},
                    Bad{"a b@x", "octet 0x20"}, Bad{"a<b@x", "octet 0x3c"}, Bad{"a@b@c", "0x40"},
                    Bad{"a\r\nRCPT@x", "octet 0x0d"}, Bad{"a\0b@x"s, "octet 0x00"},
                    Bad{"\"a\0b\"@x"s, "control character, octet 0x00"}, Bad{"\"a\nb\"@x", "octet 0x0a"},
                    Bad{"\"a\x7f\"@x", "octet 0x7f"}, Bad{"\"a@x", "no closing quote"},
                    Bad{"\"a\\", "no closing quote"}, Bad{"\"a\"b@x", "not followed by @"},
                    Bad{"\"a\\\xc3\xa9\"@x", "backslash"}, Bad{"\xff@x", "not UTF-8"},
                    Bad{"\xc0\x80@x", "not UTF-8"}, Bad{"\xed\xa0\x80@x", "not UTF-8"},
                    Bad{"a\xc2\x85@x", "C1"}, Bad{std::string(65, 'a') + "@x", "65 octets, 64 are allowed"},
                    Bad{"a@x..y", "empty label"}, Bad{"a@x.", "empty label"}, Bad{"a@.x", "empty label"},
                    Bad{"a@-x.org", "hyphen"}, Bad{"a@x-.org", "hyphen"}, Bad{"a@x_y.org", "octet 0x5f"},
                    Bad{"a@x\0.org"s, "octet 0x00"}, Bad{"a@\xc3\xa9\0.org"s, "octet 0x00"},
                    Bad{"a@x/y", "octet 0x2f"}, Bad{"a@" + std::string(64, 'x') + ".org", "64 octets"},
                    Bad{"a@\xff.org", "IDNA"}, Bad{"a@[192.0.2.256]", "neither an IPv4"},
                    Bad{"a@[1.2.3]", "neither an IPv4"}, Bad{"a@[IPv6:1.2.3.4]", "IPv6"},
                    Bad{"a@[1.2.3.4", "no closing bracket"}, Bad{"a@[", "no closing bracket"},
                    Bad{"a@[]", "neither"}, Bad{"a@[1.2.3.4\0]"s, "octet 0x00"},
                    Bad{std::string(100000, '@'), "octets"}));

TEST(Domain, HasAtMost255Octets) {
  std::string domain;
  for (int i = 0; i < 63; ++i) domain += "abc.";
  domain += "xyz";
  ASSERT_EQ(domain.size(), 255u);
  EXPECT_TRUE(ParseDomain(domain).ok());
  EXPECT_TRUE(absl::StrContains(ParseDomain(domain + "w").status().message(), "256 octets, 255 are allowed"));
}

TEST(Domain, TakesOtherFullStopsAsDots) {
  EXPECT_EQ(*ParseDomain("b\xc3\xbc"
                         "cher\xe3\x80\x82"
                         "example"),
            "xn--bcher-kva.example");
}

// Whatever octets come: no crash, and what is taken is canonical.
TEST(Address, OfRandomOctetsIsRefusedOrStable) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string alphabet = "aA.@@\"\\:,[] +%\xc3\xa9\xcc\x81\xe2\x84\xaa\x00\x7f\xff-1"s;
  int taken = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n) text += alphabet[random() % alphabet.size()];
    const absl::StatusOr<Address> address = ParseAddress(text);
    if (!address.ok()) continue;
    ++taken;
    const absl::StatusOr<Address> again = ParseAddress(address->ToString());
    ASSERT_TRUE(again.ok()) << again.status() << " " << address->ToString();
    ASSERT_EQ(*again, *address);
    ASSERT_EQ(*ParseMailboxName(MailboxName(*address)), *address);
  }
  EXPECT_GT(taken, 0);
}

TEST(Names, EncodeAllButThePlainCharacters) {
  EXPECT_EQ(MailboxName("alice+x=y@example.org"), "mailboxes/alice+x=y@example.org");
  EXPECT_EQ(MailboxName("\"john doe\"@example.org"), "mailboxes/%22john%20doe%22@example.org");
  EXPECT_EQ(MailboxName("a/b@example.org"), "mailboxes/a%2Fb@example.org");
  EXPECT_EQ(MailboxName("100%@[192.0.2.1]"), "mailboxes/100%25@%5B192.0.2.1%5D");
  EXPECT_EQ(MailboxName("\xc3\xa9@x"), "mailboxes/%C3%A9@x");
}

TEST(Names, AreMadeCanonicalWhenRead) {
  EXPECT_EQ(MailboxName(*ParseMailboxName("mailboxes/%41LICE%40Example.ORG")), "mailboxes/alice@example.org");
  EXPECT_EQ(MailboxName(*ParseMailboxName("mailboxes/%c3%a9@x")), "mailboxes/%C3%A9@x");
  EXPECT_EQ(DomainName(*ParseDomainName("domains/B%C3%BCcher.example")), "domains/xn--bcher-kva.example");
  EXPECT_EQ(ParseMessageName("mailboxes/a@x/folders/inbox/messages/7")->folder, "INBOX");
  EXPECT_EQ(*ParseParentName("mailboxes/a@x/folders/Inbox")->folder, "INBOX");
  EXPECT_EQ(ParseParentName("mailboxes/a@x")->folder, std::nullopt);
}

TEST(Names, ThatAreMalformedAreRefused) {
  for (const char* name :
       {"", "mailboxes", "mailboxes/", "mailbox/a@x", "mailboxes/a@x/", "mailboxes/a@x/b", "/mailboxes/a@x",
        "mailboxes/a%@x", "mailboxes/a%4@x", "mailboxes/a%zz@x", "mailboxes/a%00b@x", "mailboxes/a/b@x",
        "aliases/a@x", "mailboxes/..", "mailboxes/a"}) {
    EXPECT_EQ(ParseMailboxName(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  for (const char* uid : {"0", "-1", "+1", " 1", "1 ", "x", "18446744073709551616", "0x1", "1e3"}) {
    EXPECT_FALSE(ParseMessageName("mailboxes/a@x/folders/INBOX/messages/"s + uid).ok()) << uid;
  }
  EXPECT_EQ(ParseMessageName("mailboxes/a@x/folders/INBOX/messages/18446744073709551615")->uid, UINT64_MAX);
  EXPECT_FALSE(ParseParentName("mailboxes/a@x/folders/").ok());
  EXPECT_FALSE(ParseDomainName("domains/a@x").ok());
}

TEST(TransactionId, DependsOnCallerAndRequestAndTheirBorder) {
  EXPECT_EQ(MakeTransactionId("a", "bc"), MakeTransactionId("a", "bc"));
  EXPECT_NE(MakeTransactionId("a", "bc"), MakeTransactionId("ab", "c"));
  EXPECT_NE(MakeTransactionId("", "abc"), MakeTransactionId("abc", ""));
  EXPECT_EQ(MakeTransactionId("a", "bc").ToString().size(), 32u);
}

}  // namespace
}  // namespace restante::mail
