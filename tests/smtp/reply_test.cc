// Replies and the trace header as text.
#include "client/smtp/reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "client/smtp/outcome_reply.h"
#include "client/smtp/received_header.h"

namespace restante::smtp {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::string CodeOf(v1::Outcome outcome) {
  return FormatCode(ReplyForOutcome(outcome, UnknownRecipient::kReject).code);
}

TEST(OutcomeReply, WhatHasNoRowIsTemporary) {
  const std::vector<v1::Outcome> with_row = {v1::OUTCOME_MAILBOX_FULL,
                                             v1::OUTCOME_MAILBOX_FULL_PERMANENTLY,
                                             v1::OUTCOME_DOMAIN_FULL,
                                             v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT,
                                             v1::OUTCOME_DISK_FULL,
                                             v1::OUTCOME_MESSAGE_TOO_LARGE,
                                             v1::OUTCOME_NO_SUCH_MAILBOX,
                                             v1::OUTCOME_FOREIGN_DOMAIN,
                                             v1::OUTCOME_MAILBOX_DISABLED,
                                             v1::OUTCOME_MAILBOX_ON_HOLD,
                                             v1::OUTCOME_TOO_MANY_RECIPIENTS,
                                             v1::OUTCOME_TOO_MANY_DELIVERIES,
                                             v1::OUTCOME_CLIENT_LIMIT,
                                             v1::OUTCOME_NO_RECIPIENTS,
                                             v1::OUTCOME_READ_ONLY,
                                             v1::OUTCOME_INVALID_ADDRESS,
                                             v1::OUTCOME_DRAINING};
  for (int value = -1; value < 1000; ++value) {
    const auto outcome = static_cast<v1::Outcome>(value);
    if (std::find(with_row.begin(), with_row.end(), outcome) != with_row.end()) {
      EXPECT_NE(CodeOf(outcome), "451 4.3.0") << value;
    } else {
      EXPECT_EQ(CodeOf(outcome), "451 4.3.0") << value;
    }
  }
}

TEST(OutcomeReply, OneReplyForAllIsPermanentOnlyIfEveryOneIs) {
  const auto all = [](std::vector<v1::Outcome> outcomes) {
    return FormatCode(ReplyForAll(outcomes, UnknownRecipient::kReject).code);
  };
  const auto kGone = v1::OUTCOME_NO_SUCH_MAILBOX;
  EXPECT_EQ(all({kGone, v1::OUTCOME_MAILBOX_DISABLED}), "550 5.1.1");
  EXPECT_EQ(all({kGone, v1::OUTCOME_OK}), "452 4.2.2");
  EXPECT_EQ(all({v1::OUTCOME_MESSAGE_TOO_LARGE, v1::OUTCOME_DISK_FULL}), "452 4.3.1");
  EXPECT_EQ(all({v1::OUTCOME_UNAVAILABLE, v1::OUTCOME_UNAVAILABLE}), "451 4.3.0");
  EXPECT_EQ(all({v1::OUTCOME_OK}), "451 4.3.0");
  EXPECT_EQ(all({}), "451 4.3.0");
}

TEST(ReplyTest, ALineHasAtMost512OctetsAndOnlyPrintableOnes) {
  std::string out;
  AppendReply(kMailboxFull, std::string(5000, 'x') + "\r\n250 forged", &out);
  EXPECT_EQ(out.size(), 512u);
  EXPECT_THAT(out, StartsWith("452 4.2.2 xxx"));
  EXPECT_THAT(out, EndsWith("x\r\n"));
  out.clear();
  AppendReply(kMailboxFull, "a\r\n\x80z", &out);
  EXPECT_EQ(out, "452 4.2.2 a???z\r\n");
  out.clear();
  AppendReply(kOk, {"one", "two"}, &out);
  EXPECT_EQ(out, "250-2.0.0 one\r\n250 2.0.0 two\r\n");
}

TEST(ReplyTest, Utf8IsShownAndNothingElse) {
  std::string out;
  AppendReply(kOk, "j\xc3\xb6rg \xf0\x9f\x93\xae \xc3 \xf6 \xc0\xaf \xed\xa0\x80 \xc2\x85z\xe2\x82", &out);
  EXPECT_EQ(out, "250 2.0.0 j\xc3\xb6rg \xf0\x9f\x93\xae ? ? ?? ??? ??z??\r\n");
  EXPECT_EQ(Shorten("j\xc3\xb6rg\r\n"), "j\xc3\xb6rg??");
  std::string umlauts;
  for (int i = 0; i < 50; ++i) umlauts += "\xc3\xb6";
  EXPECT_EQ(Shorten(umlauts), umlauts.substr(0, 76) + "...");
  EXPECT_EQ(Shorten("x" + umlauts), "x" + umlauts.substr(0, 76) + "...");
}

TEST(ReceivedHeaderTest, LengthDependsOnNeitherTimeNorTransaction) {
  const ReceivedHeader header{"client.example", "192.0.2.7", "mx.example.org", "ESMTP"};
  const std::string id(32, 'f');
  EXPECT_EQ(header.Format(id, 1'700'000'000'000'000),
            "Received: from client.example ([192.0.2.7])\r\n\tby mx.example.org (Restante) with ESMTP\r\n"
            "\tid ffffffffffffffffffffffffffffffff;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n");
  for (const int64_t second : {int64_t{0}, int64_t{951782400}, int64_t{1709164800}, int64_t{4102444799}}) {
    EXPECT_EQ(header.Format(id, second * 1'000'000).size(), header.length()) << second;
  }
}

TEST(ReceivedHeaderTest, TheHelloNameForgesNothing) {
  const std::string helo = "a\r\nX-Forged: (b) <c>;" + std::string(5000, 'd');
  const std::string text = ReceivedHeader{helo, "2001:db8::1", "mx", "SMTP"}.Format(std::string(32, '0'), 0);
  EXPECT_THAT(text, StartsWith("Received: from a??X-Forged:??b???c??ddd"));
  EXPECT_THAT(text, HasSubstr(" ([IPv6:2001:db8::1])\r\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  EXPECT_LT(text.find("\r\n"), 998u);
}

}  // namespace
}  // namespace restante::smtp
