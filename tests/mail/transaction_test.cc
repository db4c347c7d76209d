// The delivery transaction over the memory engine, without gRPC.
#include "server/mail/transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/strand.h"
#include "server/mail/outgrown.h"
#include "server/mail/recipient_decision.h"
#include "tests/mail/small_store.h"

namespace restante::mail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kKiB = 1024;

class Sink : public TransactionSink {
 public:
  void Post(absl::AnyInvocable<void()> fn) override { strand_.Post(std::move(fn)); }
  void Send(v1::Answer answer) override { answers.push_back(std::move(answer)); }
  void Ended(uint64_t number) override { ended.push_back(number); }
  void OutcomeUnknown(absl::Status why) override { unknown = why; }

  std::vector<v1::Answer> answers;
  std::vector<uint64_t> ended;
  absl::Status unknown;

 private:
  Strand strand_;
};

std::string Id(char c) { return std::string(16, c); }

v1::Begin BeginWith(std::string request_id, std::optional<uint64_t> size = std::nullopt,
                    v1::Begin::Mode mode = v1::Begin::ALL_OR_NONE) {
  v1::Begin begin;
  begin.set_request_id(std::move(request_id));
  begin.set_sender("sender@elsewhere.example");
  begin.set_mode(mode);
  if (size) begin.set_declared_size(*size);
  begin.mutable_client()->set_address("192.0.2.1");
  return begin;
}

// One conversation at a time over a small store.
class TransactionTest : public ::testing::Test, protected SmallStore {
 protected:
  using SmallStore::SmallStore;

  // One conversation; each verb returns the answer to it.
  class Talk {
   public:
    explicit Talk(TransactionTest* test)
        : sink_(std::make_shared<Sink>()),
          transaction_(std::make_shared<Transaction>(test->deliveries_.get(), sink_, 7, "caller", "::1")) {}
    ~Talk() {
      if (transaction_) Cut();
    }

    v1::Answer Begin(v1::Begin begin) {
      v1::Event e;
      *e.mutable_begin() = std::move(begin);
      return Say(std::move(e));
    }
    v1::Answer To(std::string address, bool ignore_quota = false) {
      v1::Event e;
      e.mutable_recipient()->set_address(std::move(address));
      e.mutable_recipient()->set_ignore_quota(ignore_quota);
      return Say(std::move(e));
    }
    v1::Answer Data() {
      v1::Event e;
      e.mutable_data();
      return Say(std::move(e));
    }
    v1::Answer Chunk(std::string octets) {
      size_ += octets.size();
      v1::Event e;
      e.set_chunk(std::move(octets));
      return Say(std::move(e));
    }
    v1::Answer Commit(std::optional<uint32_t> crc = std::nullopt) {
      v1::Event e;
      e.mutable_commit()->set_size(size_);
      if (crc) e.mutable_commit()->set_crc32c(*crc);
      return Say(std::move(e));
    }
    v1::Answer Abort() {
      v1::Event e;
      e.mutable_abort();
      return Say(std::move(e));
    }
    // The stream ends.
    void Cut() {
      sink_->Post([this] { transaction_->Abandon(); });
      transaction_.reset();
    }
    Sink& sink() { return *sink_; }

   private:
    v1::Answer Say(v1::Event event) {
      sink_->answers.clear();
      sink_->Post([&] { transaction_->Handle(std::move(event)); });
      return sink_->answers.empty() ? v1::Answer() : sink_->answers.back();
    }
    std::shared_ptr<Sink> sink_;
    std::shared_ptr<Transaction> transaction_;
    uint64_t size_ = 0;
  };

  // A whole message; the last answer.
  v1::Answer Deliver(std::string id, std::vector<std::string> to, size_t size,
                     std::optional<uint64_t> declared = std::nullopt) {
    Talk talk(this);
    v1::Answer answer = talk.Begin(BeginWith(std::move(id), declared));
    if (!answer.has_begun()) return answer;
    for (const std::string& address : to) {
      answer = talk.To(address);
      if (answer.has_refused()) return answer;
    }
    answer = talk.Data();
    if (!answer.has_ready()) return answer;
    const std::string text(size, 'x');
    for (size_t at = 0; at < size; at += 64 * kKiB) {
      answer = talk.Chunk(text.substr(at, 64 * kKiB));
      if (answer.has_refused()) return answer;
    }
    return talk.Commit();
  }
};

TEST_F(TransactionTest, AMessageIsStoredOnceForEachMailbox) {
  const uint64_t alice = MakeMailbox("alice", 100 * kKiB);
  MakeAlias("info", alice);
  const v1::Answer answer =
      Deliver(Id('a'), {"alice@example.org", "Info@Example.ORG", "alice+tag@example.org"}, 1000);
  ASSERT_TRUE(answer.has_receipts()) << answer.DebugString();
  EXPECT_TRUE(answer.receipts().committed());
  ASSERT_EQ(answer.receipts().receipts_size(), 3);
  for (const v1::Receipt& r : answer.receipts().receipts()) {
    EXPECT_EQ(r.outcome(), v1::OUTCOME_OK);
    EXPECT_EQ(r.uid(), 1u);
    EXPECT_EQ(r.mailbox(), "mailboxes/alice@example.org");
  }
  EXPECT_EQ(Used(alice), 1000u);
  EXPECT_EQ(Messages(alice), 1u);
  EXPECT_EQ(ReservedIn(alice), 0u);
}

TEST_F(TransactionTest, EachRecipientIsDecidedByItself) {
  const uint64_t good = MakeMailbox("good", 100 * kKiB);
  const uint64_t full = MakeMailbox("full", 0);
  MakeMailbox("off", 1000, 10, stored::MailboxHead::DISABLED);
  MakeMailbox("hold", 1000, 10, stored::MailboxHead::HOLD);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), 5000));
  EXPECT_EQ(talk.To("good@example.org").decision().outcome(), v1::OUTCOME_OK);
  const v1::Decision refused = talk.To("full@example.org").decision();
  EXPECT_EQ(refused.outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(refused.shortage().needed(), 5000u);
  EXPECT_EQ(refused.shortage().scope(), v1::Shortage::MAILBOX);
  EXPECT_EQ(talk.To("nobody@example.org").decision().outcome(), v1::OUTCOME_NO_SUCH_MAILBOX);
  EXPECT_EQ(talk.To("a@foreign.example").decision().outcome(), v1::OUTCOME_FOREIGN_DOMAIN);
  EXPECT_EQ(talk.To("off@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_DISABLED);
  EXPECT_EQ(talk.To("hold@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_ON_HOLD);
  EXPECT_EQ(talk.To("not an address").decision().outcome(), v1::OUTCOME_INVALID_ADDRESS);
  ASSERT_TRUE(talk.Data().has_ready());
  talk.Chunk(std::string(5000, 'x'));
  const v1::Answer end = talk.Commit();
  ASSERT_TRUE(end.has_receipts()) << end.DebugString();
  EXPECT_EQ(end.receipts().receipts_size(), 1);
  EXPECT_EQ(Used(good), 5000u);
  EXPECT_EQ(Used(full), 0u);
}

TEST_F(TransactionTest, ASizeFarAboveTheWholeLimitIsRefusedForGood) {
  MakeMailbox("small", 10 * kKiB);
  MakeMailbox("none", 0);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), 10 * kKiB + kSizeTolerance + 1));
  EXPECT_EQ(talk.To("small@example.org").decision().outcome(), v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT);
  EXPECT_EQ(talk.To("none@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_FULL);
  Talk near(this);
  near.Begin(BeginWith(Id('b'), 10 * kKiB + kSizeTolerance));
  EXPECT_EQ(near.To("small@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_FULL);
}

TEST_F(TransactionTest, PermfailIsForMailboxesThatAreFullOfMail) {
  SetPolicy(1);
  MakeMailbox("alice", 10'000);
  Talk first(this);
  first.Begin(BeginWith(Id('a'), 6000));
  ASSERT_EQ(first.To("alice@example.org").decision().outcome(), v1::OUTCOME_OK);
  // Full of promises: temporary.
  Talk second(this);
  second.Begin(BeginWith(Id('b'), 6000));
  EXPECT_EQ(second.To("alice@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_FULL);
  first.Data();
  first.Chunk(std::string(6000, 'x'));
  ASSERT_TRUE(first.Commit().has_receipts());
  // Full of mail: permanent.
  Talk third(this);
  third.Begin(BeginWith(Id('c'), 6000));
  EXPECT_EQ(third.To("alice@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_FULL_PERMANENTLY);
}

TEST_F(TransactionTest, IgnoreQuotaIsChargedAndCountedApartAndNeverRefusedForQuota) {
  const uint64_t none = MakeMailbox("none", 0, 0);
  const uint64_t full = MakeMailbox("full", 10'000, 1);
  ASSERT_TRUE(Deliver(Id('a'), {"full@example.org"}, 10'000).has_receipts());
  Talk talk(this);
  // Far above the whole limit of either; it outgrows what it declared, too.
  talk.Begin(BeginWith(Id('b'), 100'000));
  EXPECT_EQ(talk.To("none@example.org", true).decision().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(talk.To("full@example.org", true).decision().outcome(), v1::OUTCOME_OK);
  ASSERT_TRUE(talk.Data().has_ready());
  talk.Chunk(std::string(120'000, 'x'));
  const v1::Answer answer = talk.Commit();
  ASSERT_TRUE(answer.receipts().committed()) << answer.DebugString();
  EXPECT_EQ(Used(none), 120'000u);
  EXPECT_EQ(Used(full), 130'000u);
  EXPECT_EQ(Look(full).head->mailbox().exempt_bytes(), 120'000u);
  EXPECT_EQ(Look(full).head->mailbox().exempt_messages(), 1u);
  EXPECT_EQ(Look(none).head->mailbox().exempt_messages(), 1u);
  // It is for who says it.
  Talk other(this);
  other.Begin(BeginWith(Id('c'), 10));
  EXPECT_EQ(other.To("full@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_FULL);
}

TEST_F(TransactionTest, IgnoreQuotaOpensNoMailboxThatIsClosed) {
  MakeMailbox("held", 1000, 10, stored::MailboxHead::HOLD);
  MakeMailbox("closed", 1000, 10, stored::MailboxHead::DISABLED);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), 10));
  EXPECT_EQ(talk.To("held@example.org", true).decision().outcome(), v1::OUTCOME_MAILBOX_ON_HOLD);
  EXPECT_EQ(talk.To("closed@example.org", true).decision().outcome(), v1::OUTCOME_MAILBOX_DISABLED);
  EXPECT_EQ(talk.To("nobody@example.org", true).decision().outcome(), v1::OUTCOME_NO_SUCH_MAILBOX);
}

TEST_F(TransactionTest, ABodyMayOutgrowItsReservationWhileThereIsRoom) {
  const uint64_t alice = MakeMailbox("alice", 100'000);
  EXPECT_TRUE(Deliver(Id('a'), {"alice@example.org"}, 90'000, 10).has_receipts());
  EXPECT_EQ(Used(alice), 90'000u);
}

TEST_F(TransactionTest, ABodyThatOutgrowsTheRoomIsRefusedAndItsRetryAlready) {
  const uint64_t alice = MakeMailbox("alice", 100'000);
  const v1::Answer answer = Deliver(Id('a'), {"alice@example.org"}, 150'000, 10);
  ASSERT_TRUE(answer.has_refused()) << answer.DebugString();
  EXPECT_EQ(answer.refused().outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(Used(alice), 0u);
  EXPECT_EQ(ReservedIn(alice), 0u);
  Talk retry(this);
  retry.Begin(BeginWith(Id('b'), 10));
  EXPECT_EQ(retry.To("alice@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_FULL);
  // Another message of the same sender, with another size, is not held up.
  Talk other(this);
  other.Begin(BeginWith(Id('c'), 500));
  EXPECT_EQ(other.To("alice@example.org").decision().outcome(), v1::OUTCOME_OK);
  // After a day the memory fades.
  clock_.Advance(Outgrown::kKeepMicros + 1);
  Talk later(this);
  later.Begin(BeginWith(Id('d'), 10));
  EXPECT_EQ(later.To("alice@example.org").decision().outcome(), v1::OUTCOME_OK);
}

TEST_F(TransactionTest, WithoutASizeAllThatIsLeftIsReservedIfLess) {
  const uint64_t alice = MakeMailbox("alice", 5000);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a')));
  const v1::Decision decision = talk.To("alice@example.org").decision();
  EXPECT_EQ(decision.outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(decision.reserved_bytes(), 5000u);
  talk.Data();
  talk.Chunk(std::string(5000, 'x'));
  EXPECT_TRUE(talk.Commit().has_receipts());
  EXPECT_EQ(Used(alice), 5000u);
}

TEST_F(TransactionTest, AllOrNoneStoresNothingWhenOneOutgrows) {
  const uint64_t roomy = MakeMailbox("roomy", 1'000'000);
  const uint64_t tight = MakeMailbox("tight", 50'000);
  const v1::Answer answer = Deliver(Id('a'), {"roomy@example.org", "tight@example.org"}, 100'000);
  ASSERT_TRUE(answer.has_refused());
  EXPECT_EQ(answer.refused().outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(Used(roomy) + Used(tight) + ReservedIn(roomy) + ReservedIn(tight), 0u);
}

TEST_F(TransactionTest, PerRecipientServesTheOthersWhenOneOutgrows) {
  const uint64_t roomy = MakeMailbox("roomy", 1'000'000);
  const uint64_t tight = MakeMailbox("tight", 50'000);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), std::nullopt, v1::Begin::PER_RECIPIENT));
  talk.To("roomy@example.org");
  talk.To("tight@example.org");
  ASSERT_TRUE(talk.Data().has_ready());
  talk.Chunk(std::string(100'000, 'x'));
  const v1::Answer answer = talk.Commit();
  ASSERT_TRUE(answer.has_receipts()) << answer.DebugString();
  ASSERT_EQ(answer.receipts().receipts_size(), 2);
  EXPECT_EQ(answer.receipts().receipts(0).outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(answer.receipts().receipts(1).outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(answer.receipts().receipts(1).shortage().needed(), 100'000u);
  EXPECT_EQ(Used(roomy), 100'000u);
  EXPECT_EQ(Used(tight) + ReservedIn(tight), 0u);
}

TEST_F(TransactionTest, PerRecipientAnswersEachWhenAllOutgrow) {
  MakeMailbox("one", 50'000);
  MakeMailbox("two", 60'000);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), std::nullopt, v1::Begin::PER_RECIPIENT));
  talk.To("one@example.org");
  talk.To("two@example.org");
  talk.Data();
  talk.Chunk(std::string(100'000, 'x'));
  talk.Chunk(std::string(100'000, 'x'));
  const v1::Answer answer = talk.Commit();
  ASSERT_TRUE(answer.has_receipts()) << answer.DebugString();
  EXPECT_FALSE(answer.receipts().committed());
  ASSERT_EQ(answer.receipts().receipts_size(), 2);
  for (const v1::Receipt& r : answer.receipts().receipts()) EXPECT_EQ(r.outcome(), v1::OUTCOME_MAILBOX_FULL);
}

TEST_F(TransactionTest, ACutBeforeCommitLeavesNothingReserved) {
  const uint64_t alice = MakeMailbox("alice", 100'000);
  for (int step = 0; step < 4; ++step) {
    Talk talk(this);
    talk.Begin(BeginWith(Id('a'), 1000));
    if (step > 0) talk.To("alice@example.org");
    if (step > 1) talk.Data();
    if (step > 2) talk.Chunk("half of it");
    if (step > 0) {
      EXPECT_EQ(ReservedIn(alice), 1000u);
    }
    talk.Cut();
    EXPECT_EQ(ReservedIn(alice), 0u) << step;
    EXPECT_EQ(engine_->GetCapacity().reserved, 0u) << step;
    EXPECT_EQ(Messages(alice), 0u);
  }
}

TEST_F(TransactionTest, ARepetitionGetsTheFirstReceiptAndStoresNothing) {
  const uint64_t alice = MakeMailbox("alice", 100'000);
  const v1::Answer first = Deliver(Id('a'), {"alice@example.org", "nobody@example.org"}, 1000);
  const v1::Answer again = Deliver(Id('a'), {"alice@example.org", "nobody@example.org"}, 1000);
  EXPECT_EQ(first.SerializeAsString(), again.SerializeAsString());
  EXPECT_EQ(Messages(alice), 1u);
  EXPECT_EQ(engine_->GetCapacity().reserved, 0u);
}

TEST_F(TransactionTest, ARepetitionThatDiffersFails) {
  MakeMailbox("alice", 100'000);
  MakeMailbox("bob", 100'000);
  ASSERT_TRUE(Deliver(Id('a'), {"alice@example.org"}, 1000).has_receipts());
  const auto refused = [](const v1::Answer& a) { return a.refused().outcome(); };
  EXPECT_EQ(refused(Deliver(Id('a'), {"bob@example.org"}, 1000)), v1::OUTCOME_REQUEST_ID_IN_USE);
  EXPECT_EQ(refused(Deliver(Id('a'), {"alice@example.org"}, 1001)), v1::OUTCOME_REQUEST_ID_IN_USE);
  EXPECT_EQ(refused(Deliver(Id('a'), {"alice@example.org", "bob@example.org"}, 1000)),
            v1::OUTCOME_REQUEST_ID_IN_USE);
  EXPECT_EQ(refused(Deliver(Id('a'), {}, 1000)), v1::OUTCOME_REQUEST_ID_IN_USE);
  Talk sender(this);
  v1::Begin begin = BeginWith(Id('a'));
  begin.set_sender("other@elsewhere.example");
  EXPECT_EQ(refused(sender.Begin(begin)), v1::OUTCOME_REQUEST_ID_IN_USE);
  Talk mode(this);
  EXPECT_EQ(refused(mode.Begin(BeginWith(Id('a'), std::nullopt, v1::Begin::PER_RECIPIENT))),
            v1::OUTCOME_REQUEST_ID_IN_USE);
}

TEST_F(TransactionTest, ASettledIdNeverCommits) {
  const uint64_t alice = MakeMailbox("alice", 100'000);
  Talk open(this);
  open.Begin(BeginWith(Id('a'), 1000));
  open.To("alice@example.org");
  open.Data();
  open.Chunk(std::string(1000, 'x'));
  std::optional<v1::GetReceiptResponse> settled;
  deliveries_->Settle("caller", Id('a'), {}, [&](absl::StatusOr<v1::GetReceiptResponse> r) { settled = *r; });
  ASSERT_TRUE(settled.has_value());
  EXPECT_FALSE(settled->committed());
  EXPECT_EQ(open.Commit().refused().outcome(), v1::OUTCOME_REQUEST_ID_ABORTED);
  EXPECT_EQ(Messages(alice), 0u);
  EXPECT_EQ(ReservedIn(alice), 0u);
  EXPECT_EQ(Deliver(Id('a'), {"alice@example.org"}, 1000).refused().outcome(),
            v1::OUTCOME_REQUEST_ID_ABORTED);
}

TEST_F(TransactionTest, AnIdInUseIsRefusedAndTheFirstGoesOn) {
  MakeMailbox("alice", 100'000);
  Talk first(this);
  first.Begin(BeginWith(Id('a'), 1000));
  first.To("alice@example.org");
  Talk second(this);
  EXPECT_EQ(second.Begin(BeginWith(Id('a'), 1000)).refused().outcome(), v1::OUTCOME_REQUEST_ID_IN_USE);
  second.Cut();
  first.Data();
  first.Chunk("x");
  EXPECT_TRUE(first.Commit().has_receipts());
}

TEST_F(TransactionTest, WrongSizeOrChecksumStoresNothing) {
  const uint64_t alice = MakeMailbox("alice", 100'000);
  Talk crc(this);
  crc.Begin(BeginWith(Id('a'), 9));
  crc.To("alice@example.org");
  crc.Data();
  crc.Chunk("123456789");
  EXPECT_EQ(crc.Commit(0xE3069284).refused().outcome(), v1::OUTCOME_CONTENT_MISMATCH);
  EXPECT_EQ(Messages(alice), 0u);
  EXPECT_EQ(ReservedIn(alice), 0u);
  Talk good(this);
  good.Begin(BeginWith(Id('b'), 9));
  good.To("alice@example.org");
  good.Data();
  good.Chunk("123456789");
  EXPECT_TRUE(good.Commit(0xE3069283).has_receipts());
}

TEST_F(TransactionTest, EventsOutOfOrderFailTheTransaction) {
  MakeMailbox("alice", 100'000);
  Talk early(this);
  EXPECT_EQ(early.To("alice@example.org").refused().outcome(), v1::OUTCOME_INVALID_EVENT);
  Talk chunk(this);
  chunk.Begin(BeginWith(Id('a')));
  EXPECT_EQ(chunk.Chunk("x").refused().outcome(), v1::OUTCOME_INVALID_EVENT);
  Talk nobody(this);
  nobody.Begin(BeginWith(Id('b')));
  EXPECT_EQ(nobody.Data().refused().outcome(), v1::OUTCOME_NO_RECIPIENTS);
  Talk twice(this);
  twice.Begin(BeginWith(Id('c')));
  EXPECT_EQ(twice.Begin(BeginWith(Id('d'))).refused().outcome(), v1::OUTCOME_INVALID_EVENT);
  Talk id(this);
  const v1::Answer answer = id.Begin(BeginWith("short"));
  EXPECT_EQ(answer.refused().outcome(), v1::OUTCOME_INVALID_EVENT);
  EXPECT_THAT(answer.refused().detail(), HasSubstr("5 octets"));
  EXPECT_THAT(id.sink().ended, ElementsAre(7));
}

TEST_F(TransactionTest, MoreThanTheCreditFails) {
  MakeMailbox("alice", 10'000'000);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), 300'000));
  talk.To("alice@example.org");
  talk.Data();
  EXPECT_EQ(talk.Chunk(std::string(kInitialCredit + 1, 'x')).refused().outcome(),
            v1::OUTCOME_CREDIT_EXCEEDED);
}

TEST_F(TransactionTest, CreditComesBackForWhatWasTaken) {
  MakeMailbox("alice", 10'000'000);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), 1'000'000));
  talk.To("alice@example.org");
  talk.Data();
  uint64_t sent = 0, granted = kInitialCredit;
  while (sent < 1'000'000) {
    const uint64_t n = std::min<uint64_t>({100'000, granted - sent, 1'000'000 - sent});
    ASSERT_GT(n, 0u);
    granted += talk.Chunk(std::string(n, 'x')).credit().bytes();
    sent += n;
  }
  EXPECT_TRUE(talk.Commit().has_receipts());
}

TEST_F(TransactionTest, AnIdleTransactionIsToldSo) {
  const uint64_t alice = MakeMailbox("alice", 100'000);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), 1000));
  talk.To("alice@example.org");
  clock_.Advance(deliveries_->options().idle_us + 1);
  deliveries_->EndOverdue();
  ASSERT_FALSE(talk.sink().answers.empty());
  EXPECT_EQ(talk.sink().answers.back().refused().outcome(), v1::OUTCOME_TIMED_OUT);
  EXPECT_EQ(ReservedIn(alice), 0u);
}

TEST_F(TransactionTest, AReservationIsSoftUntilData) {
  MakeMailbox("alice", 1000);
  Talk hoarder(this);
  hoarder.Begin(BeginWith(Id('a'), 1000));
  ASSERT_EQ(hoarder.To("alice@example.org").decision().outcome(), v1::OUTCOME_OK);
  Talk other(this);
  other.Begin(BeginWith(Id('b'), 1000));
  EXPECT_EQ(other.To("alice@example.org").decision().outcome(), v1::OUTCOME_MAILBOX_FULL);
  clock_.Advance(30'000'001);
  EXPECT_EQ(other.To("alice@example.org").decision().outcome(), v1::OUTCOME_OK);
  ASSERT_TRUE(other.Data().has_ready());
  EXPECT_EQ(hoarder.Data().refused().outcome(), v1::OUTCOME_MAILBOX_FULL);
}

class BoundedTest : public TransactionTest {
 protected:
  BoundedTest() : TransactionTest(Options(), 10'000) {}
  static DeliveryOptions Options() {
    DeliveryOptions options;
    options.max_message = 5000;
    options.reserve_per_client = 3000;
    options.max_recipients = 2;
    return options;
  }
};

TEST_F(BoundedTest, OneClientReservesNoMoreThanItsBound) {
  MakeMailbox("alice", 100'000);
  Talk first(this);
  ASSERT_TRUE(first.Begin(BeginWith(Id('a'), 2000)).has_begun());
  Talk second(this);
  const v1::Answer answer = second.Begin(BeginWith(Id('b'), 2000));
  EXPECT_EQ(answer.refused().outcome(), v1::OUTCOME_CLIENT_LIMIT);
  EXPECT_EQ(answer.refused().shortage().reserved(), 2000u);
  Talk elsewhere(this);
  v1::Begin begin = BeginWith(Id('c'), 2000);
  begin.mutable_client()->set_address("192.0.2.2");
  EXPECT_TRUE(elsewhere.Begin(begin).has_begun());
  // What is confirmed does not count.
  first.To("alice@example.org");
  first.Data();
  Talk third(this);
  EXPECT_TRUE(third.Begin(BeginWith(Id('d'), 2000)).has_begun());
}

TEST_F(BoundedTest, MaximumSizeHoldsForDeclaredAndReal) {
  MakeMailbox("alice", 100'000);
  Talk talk(this);
  EXPECT_EQ(talk.Begin(BeginWith(Id('a'), 5001)).refused().outcome(), v1::OUTCOME_MESSAGE_TOO_LARGE);
  EXPECT_EQ(Deliver(Id('b'), {"alice@example.org"}, 5001, 10).refused().outcome(),
            v1::OUTCOME_MESSAGE_TOO_LARGE);
  EXPECT_TRUE(Deliver(Id('c'), {"alice@example.org"}, 5000, 10).has_receipts());
}

TEST_F(BoundedTest, IgnoreQuotaDoesNotIgnoreTheDisk) {
  MakeMailbox("none", 0);
  MakeMailbox("alice", 100'000);
  ASSERT_TRUE(Deliver(Id('a'), {"alice@example.org"}, 5000, 10).has_receipts());
  ASSERT_TRUE(Deliver(Id('b'), {"alice@example.org"}, 2000, 10).has_receipts());
  Talk talk(this);
  talk.Begin(BeginWith(Id('c'), 1000));
  ASSERT_EQ(talk.To("none@example.org", true).decision().outcome(), v1::OUTCOME_OK);
  ASSERT_TRUE(talk.Data().has_ready());
  v1::Answer answer = talk.Chunk(std::string(5000, 'x'));
  if (!answer.has_refused()) answer = talk.Commit();
  EXPECT_EQ(answer.refused().outcome(), v1::OUTCOME_DISK_FULL) << answer.DebugString();
}

TEST_F(BoundedTest, AFullDiskRefusesAtBegin) {
  MakeMailbox("alice", 100'000);
  ASSERT_TRUE(Deliver(Id('a'), {"alice@example.org"}, 5000, 10).has_receipts());
  ASSERT_TRUE(Deliver(Id('b'), {"alice@example.org"}, 4000, 10).has_receipts());
  Talk talk(this);
  const v1::Answer answer = talk.Begin(BeginWith(Id('c'), 2000));
  EXPECT_EQ(answer.refused().outcome(), v1::OUTCOME_DISK_FULL);
  EXPECT_EQ(answer.refused().shortage().scope(), v1::Shortage::DISK);
}

TEST_F(BoundedTest, AdviceIsForWhoIsHostedOnlyAndNamesTheMailbox) {
  MakeMailbox("alice", 100'000);
  const auto check = [&](std::string address, uint64_t size) {
    v1::Decision decision;
    deliveries_->Check(std::move(address), "sender@example.net", size,
                       [&](v1::Decision d) { decision = std::move(d); });
    return decision;
  };
  EXPECT_EQ(check("alice@example.org", 5001).outcome(), v1::OUTCOME_MESSAGE_TOO_LARGE);
  EXPECT_EQ(check("alice@example.org", 5001).mailbox(), "mailboxes/alice@example.org");
  EXPECT_EQ(check("nobody@example.org", 5001).outcome(), v1::OUTCOME_NO_SUCH_MAILBOX);
  EXPECT_EQ(check("someone@example.com", 5001).outcome(), v1::OUTCOME_FOREIGN_DOMAIN);
  ASSERT_TRUE(Deliver(Id('a'), {"alice@example.org"}, 5000, 10).has_receipts());
  ASSERT_TRUE(Deliver(Id('b'), {"alice@example.org"}, 4000, 10).has_receipts());
  EXPECT_EQ(check("alice@example.org", 2000).outcome(), v1::OUTCOME_DISK_FULL);
  EXPECT_EQ(check("alice@example.org", 2000).mailbox(), "mailboxes/alice@example.org");
  EXPECT_EQ(check("nobody@example.org", 2000).outcome(), v1::OUTCOME_NO_SUCH_MAILBOX);
}

TEST_F(BoundedTest, RecipientsAreBounded) {
  for (std::string name : {"a", "b", "c"}) MakeMailbox(name, 100'000);
  Talk talk(this);
  talk.Begin(BeginWith(Id('a'), 10));
  EXPECT_EQ(talk.To("a@example.org").decision().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(talk.To("b@example.org").decision().outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(talk.To("c@example.org").decision().outcome(), v1::OUTCOME_TOO_MANY_RECIPIENTS);
}

}  // namespace
}  // namespace restante::mail
