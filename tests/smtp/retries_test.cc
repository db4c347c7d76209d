// What the front end tells the store so that a retry makes no second copy, beyond
// what dialogues say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/smtp/unproven_replies.h"
#include "tests/smtp/machine.h"

namespace restante::smtp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kText = "Message-ID: <1@b.c>\r\nDate: x\r\n\r\n..a dot\r\nand text\r\n";

// The digest that a message is committed with.
std::string DigestOf(const std::string& commands, bool trusted = false, size_t piece = 0) {
  Machine machine({}, {}, piece, trusted);
  machine.Send("EHLO c\r\n");
  machine.Send("MAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.org>\r\n");
  machine.Send(commands);
  EXPECT_EQ(machine.store().stored.size(), 1u);
  if (machine.store().stored.empty()) return "";
  EXPECT_TRUE(machine.store().stored[0].begin.detect_retries());
  return machine.store().stored[0].digest;
}

TEST(Retries, ADigestIsOfTheTextWithoutOurHeaderAndTheDotsThatWereStuffed) {
  const std::string by_data = DigestOf(absl::StrCat("DATA\r\n", kText, ".\r\n"));
  EXPECT_EQ(by_data.size(), 32u);
  const std::string plain = "Message-ID: <1@b.c>\r\nDate: x\r\n\r\n.a dot\r\nand text\r\n";
  EXPECT_EQ(DigestOf(absl::StrCat("BDAT ", plain.size(), " LAST\r\n", plain)), by_data);
  EXPECT_EQ(DigestOf(absl::StrCat("BDAT 20\r\n", plain.substr(0, 20), "BDAT ", plain.size() - 20, "\r\n",
                                  plain.substr(20), "BDAT 0 LAST\r\n")),
            by_data);
  EXPECT_EQ(DigestOf(absl::StrCat("DATA\r\n", kText, ".\r\n"), false, 1), by_data);
}

TEST(Retries, ADigestDoesNotDependOnTheReceivedFieldOfATrustedClient) {
  const auto received = [](const char* id) {
    return absl::StrCat("DATA\r\nReceived: by relay id ", id, "\r\n", kText, ".\r\n");
  };
  EXPECT_EQ(DigestOf(received("1"), true), DigestOf(received("2"), true));
  EXPECT_NE(DigestOf(received("1"), false), DigestOf(received("2"), false));
}

TEST(Retries, AnEndThatWasNotAcknowledgedProvesNothing) {
  Machine machine({});
  machine.set_acknowledges(false);
  machine.Send("EHLO c\r\n");
  machine.Send("MAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n");
  machine.Send(kText + ".\r\n");
  EXPECT_EQ(machine.store().stored.size(), 1u);
  EXPECT_TRUE(machine.Event("eof").ok());
  EXPECT_THAT(machine.store().handed_over, IsEmpty());
}

TEST(Retries, TheLogNamesWhoHadTheMessageAndByWhichTransaction) {
  Machine machine({});
  machine.store().suppressed["alice@example.org"] = "0123456789abcdef0123456789abcdef";
  machine.Send("EHLO c\r\n");
  machine.Send("MAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n");
  machine.Send(kText + ".\r\n");
  ASSERT_EQ(machine.records().size(), 1u);
  const TransactionRecord& record = machine.records()[0];
  EXPECT_EQ(record.end, TransactionEnd::kStored) << "for bob";
  ASSERT_EQ(record.recipients.size(), 2u);
  EXPECT_EQ(record.recipients[0].stored_by, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(record.recipients[1].stored_by, "");
}

struct Proven {
  std::vector<std::string> ids;
  UnprovenReplies replies{[this](UnprovenReplies::Reply reply) { ids.push_back(reply.transaction_id); }};
};

TEST(UnprovenReplies, OnlyWhatComesBehindTheReplyProvesIt) {
  Proven proven;
  proven.replies.Received(10);
  proven.replies.Add({"1", {}});
  proven.replies.Received(5);
  EXPECT_THAT(proven.ids, IsEmpty()) << "not written yet";
  proven.replies.Written(20, false);
  proven.replies.Received(20);
  EXPECT_THAT(proven.ids, IsEmpty()) << "was there before";
  proven.replies.Received(1);
  EXPECT_THAT(proven.ids, ElementsAre("1"));
  proven.replies.Received(1);
  proven.replies.Ended(true);
  EXPECT_THAT(proven.ids, ElementsAre("1"));
  EXPECT_TRUE(proven.replies.empty());
}

TEST(UnprovenReplies, ALaterReplyDoesNotPutOffTheProofOfAnEarlierOne) {
  Proven proven;
  proven.replies.Add({"1", {}});
  proven.replies.Written(10, false);
  proven.replies.Received(8);
  proven.replies.Add({"2", {}});
  proven.replies.Written(100, false);
  proven.replies.Received(3);
  EXPECT_THAT(proven.ids, ElementsAre("1"));
  proven.replies.Received(98);
  EXPECT_THAT(proven.ids, ElementsAre("1", "2"));
}

TEST(UnprovenReplies, AnEndProvesThemIfItCameBehindThemAndAllWasAcknowledged) {
  Proven acknowledged, lost, early;
  for (Proven* proven : {&acknowledged, &lost, &early}) proven->replies.Add({"1", {}});
  acknowledged.replies.Written(10, false);
  acknowledged.replies.Received(10);
  acknowledged.replies.Ended(true);
  EXPECT_THAT(acknowledged.ids, ElementsAre("1"));
  lost.replies.Written(0, false);
  lost.replies.Ended(false);
  EXPECT_THAT(lost.ids, IsEmpty());
  early.replies.Written(10, true);
  early.replies.Received(10);
  early.replies.Ended(true);
  EXPECT_THAT(early.ids, IsEmpty());
}

TEST(UnprovenReplies, AreBounded) {
  Proven proven;
  for (size_t i = 0; i < UnprovenReplies::kMax + 2; ++i) proven.replies.Add({absl::StrCat(i), {}});
  EXPECT_THAT(proven.ids, ElementsAre("0", "1"));
}

}  // namespace
}  // namespace restante::smtp
