// Retries of deliveries whose answer was lost, over the memory engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/base/strand.h"
#include "server/mail/transaction.h"
#include "server/mail/transaction_id.h"
#include "server/mail/verify.h"
#include "tests/mail/fixture.h"
#include "tests/mail/small_store.h"

namespace restante::mail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kDigest(32, 'd');

class Sink : public TransactionSink {
 public:
  void Post(absl::AnyInvocable<void()> fn) override { strand_.Post(std::move(fn)); }
  void Send(v1::Answer answer) override { last = std::move(answer); }
  void Ended(uint64_t) override {}
  void OutcomeUnknown(absl::Status why) override { FAIL() << why; }

  v1::Answer last;

 private:
  Strand strand_;
};

// One attempt to deliver a message.
struct Attempt {
  char id = '0';  // Of its request.
  std::vector<std::string> to = {"alice@example.org"};
  std::string text = "text";
  std::string sender = "sender@elsewhere.example";
  std::string digest = kDigest;
  bool detect = true;
  v1::Begin::Mode mode = v1::Begin::ALL_OR_NONE;
};

class RetriesTest : public testing::Test, protected SmallStore {
 protected:
  v1::Answer Try(const Attempt& attempt) {
    auto sink = std::make_shared<Sink>();
    auto transaction = std::make_shared<Transaction>(deliveries_.get(), sink, 1, "caller", "::1");
    std::vector<v1::Event> events(1);
    v1::Begin& begin = *events[0].mutable_begin();
    begin.set_request_id(std::string(16, attempt.id));
    begin.set_sender(attempt.sender);
    begin.set_mode(attempt.mode);
    begin.set_declared_size(attempt.text.size());
    begin.set_detect_retries(attempt.detect);
    for (const std::string& address : attempt.to) {
      events.emplace_back().mutable_recipient()->set_address(address);
    }
    events.emplace_back().mutable_data();
    events.emplace_back().set_chunk(attempt.text);
    v1::Commit& commit = *events.emplace_back().mutable_commit();
    commit.set_size(attempt.text.size());
    commit.set_digest(attempt.digest);
    for (v1::Event& event : events) {
      sink->Post([&] { transaction->Handle(std::move(event)); });
    }
    return sink->last;
  }
  // What became of it for each recipient: `1` stored as UID 1, `=1` suppressed as
  // that, else the outcome.
  std::vector<std::string> Deliver(const Attempt& attempt) {
    const v1::Answer answer = Try(attempt);
    if (!answer.has_receipts()) return {v1::Outcome_Name(answer.refused().outcome())};
    last_ = answer.receipts();
    std::vector<std::string> told;
    for (const v1::Receipt& r : last_.receipts()) {
      if (r.outcome() != v1::OUTCOME_OK) {
        told.push_back(v1::Outcome_Name(r.outcome()));
      } else {
        told.push_back(absl::StrCat(r.first_transaction_id().empty() ? "" : "=", r.uid()));
      }
    }
    return told;
  }
  std::vector<std::string> Problems(uint64_t* repaired = nullptr) {
    return ProblemsOf(engine_.get(), repaired);
  }

  v1::Receipts last_;
  const uint64_t alice_ = MakeMailbox("alice", 1000);
  const uint64_t bob_ = MakeMailbox("bob", 1000);
};

TEST_F(RetriesTest, ARetryIsAnsweredWithWhatTheFirstAttemptStored) {
  EXPECT_THAT(Deliver({.id = 'a'}), ElementsAre("1"));
  const std::string first = last_.transaction_id();
  EXPECT_THAT(Deliver({.id = 'b'}), ElementsAre("=1"));
  EXPECT_EQ(last_.receipts(0).first_transaction_id(), first);
  EXPECT_NE(last_.transaction_id(), first);
  EXPECT_EQ(Messages(alice_), 1u);
  EXPECT_EQ(Used(alice_), 4u);
  EXPECT_EQ(ReservedIn(alice_), 0u);
  EXPECT_EQ(deliveries_->counters().stored, 1u);
  EXPECT_EQ(deliveries_->counters().suppressed, 1u);
  EXPECT_EQ(deliveries_->counters().suppressed_copies, 1u);
}

TEST_F(RetriesTest, WhatTheSenderKnowsOfHasNoRetries) {
  Deliver({.id = 'a'});
  deliveries_->HandedOver(last_.transaction_id());
  EXPECT_THAT(Deliver({.id = 'b'}), ElementsAre("2"));
}

TEST_F(RetriesTest, ANonsensicalIdHandsNothingOver) {
  Deliver({.id = 'a'});
  const std::string id = last_.transaction_id();
  for (const std::string& wrong : {std::string(), id.substr(1), id + "0", std::string(32, 'z')}) {
    deliveries_->HandedOver(wrong);
  }
  EXPECT_THAT(Deliver({.id = 'b'}), ElementsAre("=1"));
}

TEST_F(RetriesTest, RecipientsMayBeRegrouped) {
  Deliver({.id = 'a', .to = {"alice@example.org"}});
  EXPECT_THAT(Deliver({.id = 'b', .to = {"bob@example.org", "alice@example.org"}}), ElementsAre("1", "=1"));
  EXPECT_EQ(Messages(alice_), 1u);
  EXPECT_EQ(Messages(bob_), 1u);
  EXPECT_EQ(deliveries_->counters().stored, 2u) << "for one of them it was";
  EXPECT_EQ(deliveries_->counters().suppressed_copies, 1u);
}

TEST_F(RetriesTest, TwoAddressesOfAMailboxAreOneCopyInEachAttempt) {
  MakeAlias("info", alice_);
  EXPECT_THAT(Deliver({.id = 'a', .to = {"info@example.org", "alice@example.org"}}), ElementsAre("1", "1"));
  EXPECT_THAT(Deliver({.id = 'b', .to = {"alice@example.org", "alice+x@example.org"}}),
              ElementsAre("=1", "=1"));
  EXPECT_EQ(deliveries_->counters().suppressed_copies, 1u);
  EXPECT_EQ(Messages(alice_), 1u);
}

TEST_F(RetriesTest, EachRecipientOfLmtpIsSuppressedByItself) {
  Deliver({.id = 'a', .to = {"alice@example.org"}});
  EXPECT_THAT(
      Deliver({.id = 'b', .to = {"alice@example.org", "bob@example.org"}, .mode = v1::Begin::PER_RECIPIENT}),
      ElementsAre("=1", "1"));
}

TEST_F(RetriesTest, AnotherReversePathOrDigestIsAnotherMessage) {
  Deliver({.id = 'a'});
  EXPECT_THAT(Deliver({.id = 'b', .sender = "other@elsewhere.example"}), ElementsAre("2"));
  EXPECT_THAT(Deliver({.id = 'c', .sender = ""}), ElementsAre("3"));
  EXPECT_THAT(Deliver({.id = 'd', .digest = std::string(32, 'e')}), ElementsAre("4"));
  EXPECT_THAT(Deliver({.id = 'e'}), ElementsAre("=1"));
}

TEST_F(RetriesTest, ACallerThatNeverAskedLosesNothing) {
  Deliver({.id = 'a', .detect = false});
  EXPECT_THAT(Deliver({.id = 'b', .detect = false}), ElementsAre("2"));
  EXPECT_THAT(Deliver({.id = 'c', .digest = ""}), ElementsAre("3"));
  EXPECT_THAT(Deliver({.id = 'd', .digest = ""}), ElementsAre("4"));
  EXPECT_THAT(Deliver({.id = 'e'}), ElementsAre("5")) << "none of these left anything";
  EXPECT_THAT(Deliver({.id = 'f', .detect = false}), ElementsAre("6")) << "who did not ask is not suppressed";
}

TEST_F(RetriesTest, ADigestThatIsNoSha256FailsTheTransaction) {
  EXPECT_THAT(Deliver({.id = 'a', .digest = "short"}), ElementsAre("OUTCOME_INVALID_EVENT"));
  EXPECT_THAT(Try({.id = 'b', .digest = std::string(33, 'd'), .detect = false}).refused().detail(),
              HasSubstr("33 octets, SHA-256 has 32"));
  EXPECT_EQ(Messages(alice_), 0u);
  EXPECT_EQ(ReservedIn(alice_), 0u);
}

TEST_F(RetriesTest, ARepeatedRequestOfASuppressedDeliveryGetsTheSameAnswer) {
  Deliver({.id = 'a'});
  Deliver({.id = 'b'});
  const std::string answer = last_.SerializeAsString();
  EXPECT_THAT(Deliver({.id = 'b'}), ElementsAre("=1"));
  EXPECT_EQ(last_.SerializeAsString(), answer);
  EXPECT_EQ(deliveries_->counters().suppressed, 1u);
  bool asked = false;
  deliveries_->Settle("caller", std::string(16, 'b'), {}, [&](auto response) {
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(response->receipts().SerializeAsString(), answer);
    asked = true;
  });
  EXPECT_TRUE(asked);
}

TEST_F(RetriesTest, ARetryThatItsOwnFirstCopyLeavesNoRoomForIsRefused) {
  const uint64_t small = MakeMailbox("small", 5);
  EXPECT_THAT(Deliver({.id = 'a', .to = {"small@example.org"}}), ElementsAre("1"));
  // The limit that README names.
  EXPECT_THAT(Deliver({.id = 'b', .to = {"small@example.org"}}), ElementsAre("OUTCOME_NO_RECIPIENTS"));
  EXPECT_EQ(Messages(small), 1u);
}

TEST_F(RetriesTest, VerifyFindsOpenReceiptsThatNoCommitCanHaveLeft) {
  Deliver({.id = 'a'});
  uint64_t repaired = 0;
  Problems(&repaired);  // (The store of these tests does not count addresses.)
  EXPECT_THAT(Problems(), IsEmpty());
  engine::stored::OpenReceipt ahead;
  ahead.set_transaction_id(std::string(16, 'x'));
  ahead.set_uid(9);
  const std::string key = MakeRetryKey("sender@elsewhere.example", std::string(32, 'e'));
  engine_->Update(
      engine::PartitionId::Mailbox(alice_), {},
      [&](const engine::View& view) {
        engine::Change change;
        change.head = *view.head;
        change.puts = {{engine::OpenReceiptKey(key), ahead.SerializeAsString()},
                       {engine::OpenReceiptKey("torn"), "\xff"}};
        return engine::Verdict(change);
      },
      [](const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; });
  EXPECT_THAT(Problems(), testing::UnorderedElementsAre(HasSubstr("names UID 9, the next is 2"),
                                                        HasSubstr("an open receipt cannot be read")));
  EXPECT_THAT(Problems(&repaired), testing::SizeIs(2));
  EXPECT_EQ(repaired, 2u);
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_THAT(Deliver({.id = 'b'}), ElementsAre("=1")) << "the good one is still there";
}

}  // namespace
}  // namespace restante::mail
