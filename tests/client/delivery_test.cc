// DeliveryClient against a store with knobs.
#include "restante/delivery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/client/delivery_client_fixture.h"

namespace restante {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

TEST_F(DeliveryClientTest, DeliversOneMessageStepByStep) {
  Connect();
  Delivery d;
  d.on_answer = [&](const v1::Answer& answer) {
    if (answer.has_begun()) d.t->Recipient("alice@example.org");
    if (answer.has_decision()) d.t->Data();
    if (answer.has_ready()) {
      d.t->Chunk("Subject: x\r\n");
      d.t->Chunk("\r\ny\r\n");
      d.t->Commit();
    }
  };
  Begin(&d, "bob@example.org");
  AwaitOver(d);
  ASSERT_TRUE(d.receipts.has_value());
  EXPECT_TRUE(d.receipts->committed());
  FakeStore::Stored stored = store.stored()[d_id];
  EXPECT_EQ(stored.text, "Subject: x\r\n\r\ny\r\n");
  EXPECT_TRUE(stored.crc_matched);
  EXPECT_THAT(d.heard, ElementsAre(v1::Answer::kBegun, v1::Answer::kDecision, v1::Answer::kReady,
                                   v1::Answer::kReceipts));
}

TEST_F(DeliveryClientTest, TellsWhatElseIsSaidOfARecipient) {
  Connect();
  Delivery d;
  d.on_answer = [&](const v1::Answer& answer) {
    if (!answer.has_begun()) return;
    d.t->Recipient("alice@example.org");
    v1::Recipient bob;
    bob.set_address("bob@example.org");
    bob.set_ignore_quota(true);
    d.t->Recipient(bob);
    d.Send({}, "x\r\n");
  };
  Begin(&d, "carol@example.org");
  AwaitOver(d);
  const FakeStore::Stored stored = store.stored()[d_id];
  EXPECT_THAT(stored.recipients, ElementsAre("alice@example.org", "bob@example.org"));
  EXPECT_THAT(stored.ignore_quota, ElementsAre(false, true));
}

TEST_F(DeliveryClientTest, SendsWhatARetryIsRecognisedByAndThatAnAnswerWasHandedOver) {
  Connect();
  Delivery d;
  Begin(&d, "bob@example.org");
  d.t->Recipient("alice@example.org");
  d.t->Data();
  d.t->Commit("a digest");
  AwaitOver(d);
  ASSERT_TRUE(d.receipts.has_value());
  EXPECT_EQ(store.stored()[d_id].digest, "a digest");
  EXPECT_THAT(store.handed_over(), ElementsAre());
  client->HandedOver(d.receipts->transaction_id(), {"mailboxes/alice@example.org"});
  ASSERT_TRUE(loop.RunUntil([&] { return !store.handed_over().empty(); }));
  EXPECT_THAT(store.handed_over(), ElementsAre(d.receipts->transaction_id()));
}

TEST_F(DeliveryClientTest, TheStoreHearsOfWhatWasHandedOverWhileItWasAway) {
  store.Stop();
  Connect();
  client->HandedOver("first", {});
  // Streams are opened meanwhile that never reach it.
  AwaitAway();
  client->HandedOver("second", {});
  EXPECT_THAT(store.handed_over(), ElementsAre());
  store.Start();
  ASSERT_TRUE(loop.RunUntil([&] { return store.handed_over().size() >= 2; }));
  EXPECT_THAT(store.handed_over(), ElementsAre("first", "second"));
}

TEST_F(DeliveryClientTest, SendsWhatGatheredInOneRequest) {
  Connect();
  AwaitConnected();
  // While the store does not read, events pile up behind the write under way.
  std::deque<Delivery> deliveries(50);
  for (Delivery& d : deliveries) {
    Begin(&d, "bob@example.org");
    for (int i = 0; i < 10; ++i) d.t->Recipient(absl::StrCat("r", i, "@example.org"));
  }
  for (Delivery& d : deliveries) d.Send({}, "x\r\n");
  for (Delivery& d : deliveries) AwaitOver(d);
  EXPECT_EQ(store.stored().size(), 50u);
  EXPECT_GT(store.most_events_in_a_request(), 3u);
  // And what came back together was handed over together.
  EXPECT_LT(loop.closures_run(), 50 * 13);
}

TEST_F(DeliveryClientTest, LargeBodyStaysWithinCreditAndTakesAStreamOfItsOwn) {
  Connect();
  AwaitConnected();
  std::string text(5'000'000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  Delivery small, large;
  Begin(&small, "bob@example.org");
  ASSERT_TRUE(loop.RunUntil([&] { return !small.heard.empty(); }));
  int before = store.streams_opened();
  Begin(&large, "bob@example.org", text.size());
  std::string id = d_id;
  large.Send({"alice@example.org"}, text);
  AwaitOver(large);
  ASSERT_TRUE(large.receipts.has_value());
  EXPECT_EQ(store.streams_opened(), before + 1);
  EXPECT_TRUE(store.stored()[id].text == text);
  EXPECT_TRUE(store.stored()[id].crc_matched);
  EXPECT_LE(store.largest_request(), size_t{1} << 20);
  small.Send({"alice@example.org"}, "x\r\n");
  AwaitOver(small);
  // The large one's stream has gone, the others stand.
  ASSERT_TRUE(loop.RunUntil([&] { return store.streams_open() == before; }));
  EXPECT_TRUE(client->connected());
}

TEST_F(DeliveryClientTest, MoreOctetsThanGrantedFailTheTransaction) {
  Connect();
  Delivery d, other;
  Begin(&d, "bob@example.org");
  std::string id = d_id;
  ASSERT_TRUE(loop.RunUntil([&] { return !d.heard.empty(); }));
  EXPECT_EQ(d.t->credit(), FakeStore::kFirstCredit);
  d.t->Chunk(std::string(FakeStore::kFirstCredit + 1, 'x'));
  d.t->Commit();
  AwaitOver(d);
  EXPECT_EQ(d.refused, v1::OUTCOME_CREDIT_EXCEEDED);
  store.AwaitAborts(1);
  Begin(&other, "bob@example.org");
  other.Send({"alice@example.org"}, "x");
  AwaitOver(other);
  EXPECT_FALSE(store.stored().contains(id));
}

TEST_F(DeliveryClientTest, RefusalIsAnAnswerAndGivesTheTransactionUp) {
  Connect();
  Delivery d;
  Begin(&d, "refuse@example.org");
  d.Send({"alice@example.org"}, "");
  AwaitOver(d);
  EXPECT_EQ(d.refused, v1::OUTCOME_DISK_FULL);
  store.AwaitAborts(1);
}

TEST_F(DeliveryClientTest, AbortIsAnsweredAndAfterCommitWithoutEffect) {
  Connect();
  Delivery aborted, committed;
  Begin(&aborted, "bob@example.org");
  aborted.t->Abort();
  AwaitOver(aborted);
  EXPECT_TRUE(aborted.aborted);
  Begin(&committed, "bob@example.org");
  ASSERT_TRUE(loop.RunUntil([&] { return !committed.heard.empty(); }));
  committed.Send({"alice@example.org"}, "x");
  committed.t->Abort();
  AwaitOver(committed);
  EXPECT_TRUE(committed.receipts.has_value());
}

TEST_F(DeliveryClientTest, OneStalledTransactionHoldsUpNoneOf200) {
  ClientOptions options = Options();
  options.streams = 1;
  Connect(options);
  AwaitConnected();
  Delivery stalled;
  Begin(&stalled, "nocredit@example.org");
  stalled.Send({"alice@example.org", "stall@example.org"}, std::string(FakeStore::kFirstCredit + 1, 'x'));
  std::deque<Delivery> deliveries(199);
  for (Delivery& d : deliveries) {
    Begin(&d, "bob@example.org");
    d.Send({"alice@example.org"}, std::string(10'000, 'y'));
  }
  for (Delivery& d : deliveries) {
    AwaitOver(d);
    EXPECT_TRUE(d.receipts.has_value());
  }
  EXPECT_FALSE(stalled.over());
  EXPECT_EQ(stalled.t->credit(), 0u);
  EXPECT_EQ(store.streams_opened(), 1);
  EXPECT_EQ(store.stored().size(), 199u);
}

TEST_F(DeliveryClientTest, OverdueAnswerIsALossOfThatTransactionAlone) {
  ClientOptions options = Options();
  options.deadline = milliseconds(300);
  options.streams = 1;
  Connect(options);
  AwaitConnected();
  Delivery silent, starved, idle;
  Begin(&idle, "bob@example.org");
  ASSERT_TRUE(loop.RunUntil([&] { return !idle.heard.empty(); }));
  Begin(&silent, "silent@example.org");
  Begin(&starved, "nocredit@example.org");
  starved.Send({"alice@example.org"}, std::string(FakeStore::kFirstCredit + 1, 'x'));
  AwaitOver(silent);
  AwaitOver(starved);
  ASSERT_TRUE(silent.lost.has_value());
  EXPECT_TRUE(absl::IsDeadlineExceeded(*silent.lost)) << *silent.lost;
  EXPECT_FALSE(silent.lost_after_commit);
  ASSERT_TRUE(starved.lost.has_value());
  store.AwaitAborts(2);
  // A transaction that nothing is due for lives on, on the same stream.
  idle.Send({"alice@example.org"}, "x");
  AwaitOver(idle);
  EXPECT_TRUE(idle.receipts.has_value());
  EXPECT_EQ(store.streams_opened(), 1);
}

TEST_F(DeliveryClientTest, LostStreamWithoutCommitStoresNothing) {
  Connect();
  Delivery bystander, d;
  Begin(&bystander, "bob@example.org");
  ASSERT_TRUE(loop.RunUntil([&] { return !bystander.heard.empty(); }));
  store.Stop();
  AwaitOver(bystander);
  ASSERT_TRUE(bystander.lost.has_value());
  EXPECT_FALSE(bystander.lost_after_commit);
  AwaitAway();  // While it ended it may have answered once more.
  store.Start();
  AwaitConnected();
  Begin(&d, "bob@example.org");
  d.Send({"alice@example.org"}, "x");
  AwaitOver(d);
  EXPECT_TRUE(d.receipts.has_value());
  EXPECT_EQ(store.stored().size(), 1u);
}

TEST_F(DeliveryClientTest, LostStreamAfterCommitIsSettledEitherWay) {
  Connect();
  for (bool committed : {true, false}) {
    Delivery d;
    Begin(&d, committed ? "lost-after@example.org" : "lost-before@example.org");
    std::string id = d_id;
    d.Send({"alice@example.org"}, "x");
    AwaitOver(d);
    ASSERT_TRUE(d.lost.has_value());
    EXPECT_TRUE(d.lost_after_commit);
    store.FailReceipts(2);
    int before = store.receipt_calls();
    absl::StatusOr<v1::GetReceiptResponse> settled = Settle(id);
    ASSERT_TRUE(settled.ok()) << settled.status();
    EXPECT_EQ(settled->committed(), committed);
    EXPECT_EQ(store.tombstones().contains(id), !committed);
    EXPECT_EQ(store.receipt_calls(), before + 3);
  }
}

TEST_F(DeliveryClientTest, SettleEndsWithItsPatienceAndWithAHopelessError) {
  Connect();
  store.FailReceipts(1'000'000);
  // On a machine that is too busy to ask twice in that time, it takes more of it.
  milliseconds patience(200);
  int before = 0;
  do {
    before = store.receipt_calls();
    const absl::StatusOr<v1::GetReceiptResponse> settled = Settle(NewRequestId(), patience);
    ASSERT_TRUE(absl::IsDeadlineExceeded(settled.status())) << settled.status();
    patience *= 2;
  } while (store.receipt_calls() < before + 2);
  store.RefuseReceipts(grpc::StatusCode::INVALID_ARGUMENT);
  before = store.receipt_calls();
  EXPECT_TRUE(absl::IsInvalidArgument(Settle(NewRequestId()).status()));
  EXPECT_EQ(store.receipt_calls(), before + 1);
}

TEST_F(DeliveryClientTest, SettleOutlastsAStoreThatIsAway) {
  Connect();
  Delivery d;
  Begin(&d, "lost-after@example.org");
  std::string id = d_id;
  d.Send({"alice@example.org"}, "x");
  AwaitOver(d);
  store.Stop();
  AwaitAway();
  std::optional<absl::StatusOr<v1::GetReceiptResponse>> result;
  client->Settle(id, {}, milliseconds(60'000), [&](auto r) { result = std::move(r); });
  store.Start();
  ASSERT_TRUE(loop.RunUntil([&] { return result.has_value(); }));
  ASSERT_TRUE(result->ok()) << result->status();
  EXPECT_TRUE((*result)->committed());
}

TEST_F(DeliveryClientTest, StoreThatIsAwayLosesAtOnceAndIsFoundAgain) {
  store.Stop();
  Connect();
  Delivery first;
  Begin(&first, "bob@example.org");
  first.Send({"alice@example.org"}, "x");
  AwaitOver(first);  // Well before the deadline of 30 s, or this test would time out.
  ASSERT_TRUE(first.lost.has_value());
  EXPECT_THAT(first.lost->message(), ::testing::HasSubstr(store.target()));
  EXPECT_FALSE(client->connected());
  AwaitAway();
  for (int round = 0; round < 3; ++round) {
    store.Start();
    AwaitConnected();
    Delivery d;
    Begin(&d, "bob@example.org");
    d.Send({"alice@example.org"}, "x");
    AwaitOver(d);
    EXPECT_TRUE(d.receipts.has_value()) << d.lost.value_or(absl::OkStatus());
    store.Stop();
    AwaitAway();
    EXPECT_FALSE(client->connected());
  }
}

TEST_F(DeliveryClientTest, BrokenStreamsAreNotReopenedInALoop) {
  Connect();
  AwaitConnected();
  Delivery d, after;
  Begin(&d, "lost-at-begin@example.org");
  AwaitOver(d);
  ASSERT_TRUE(d.lost.has_value());
  ASSERT_TRUE(loop.RunUntil([&] {
    Delivery retry;
    Begin(&retry, "bob@example.org");
    return loop.RunUntil([&] { return retry.over() || !retry.heard.empty(); }) && !retry.over();
  }));
  EXPECT_LE(store.streams_opened(), 4);
}

TEST_F(DeliveryClientTest, CapacityIsAskedForAtTheStart) {
  Connect();
  EXPECT_EQ(client->capacity().max_message_bytes(), 0u);
  ASSERT_TRUE(loop.RunUntil([&] { return client->capacity().max_message_bytes() == 50u << 20; }));
}

TEST_F(DeliveryClientTest, DestroyedTransactionIsAbortedUnlessCommitted) {
  Connect();
  AwaitConnected();
  std::string committed;
  {
    Delivery d, c;
    Begin(&d, "bob@example.org");
    d.t->Recipient("alice@example.org");
    d.t.reset();
    Begin(&c, "bob@example.org");
    committed = d_id;
    ASSERT_TRUE(loop.RunUntil([&] { return !c.heard.empty(); }));
    c.Send({"alice@example.org"}, "x");
    c.t.reset();
  }
  store.AwaitAborts(1);
  ASSERT_TRUE(loop.RunUntil([&] { return store.stored().contains(committed); }));
  EXPECT_EQ(store.stored().size(), 1u);
}

// Destroys the transaction, then the client, at the n-th closure of a delivery,
// for every n.
TEST_F(DeliveryClientTest, MayBeDestroyedAtEveryPoint) {
  for (const char* sender : {"bob@example.org", "lost-after@example.org", "lost-at-begin@example.org"}) {
    for (bool whole_client : {false, true}) {
      for (int point = 0; point < 8; ++point) {
        Connect();
        auto d = std::make_unique<Delivery>();
        int before = loop.closures_run();
        Begin(d.get(), sender, point % 2 == 0 ? std::nullopt : std::optional<uint64_t>(1'000'000));
        if (point > 0) d->Send({"alice@example.org"}, std::string(300'000, 'x'));
        if (!loop.RunUntil([&] { return loop.closures_run() - before >= point || d->over(); })) FAIL();
        if (whole_client) {
          std::weak_ptr<DeliveryClient> gone = client;
          client.reset();
          ASSERT_TRUE(gone.expired());
          d->t->Recipient("after@example.org");
          d->t->Abort();
        }
        d.reset();
        loop.Drain();
      }
    }
  }
  client.reset();
  store.AwaitNoStream();
}

TEST_F(DeliveryClientTest, HandlerMayDestroyItsTransactionAndTheClient) {
  for (bool whole_client : {false, true}) {
    Connect();
    Delivery d, other;
    int calls = 0;
    d.on_answer = [&](const v1::Answer&) {
      ++calls;
      d.t.reset();
      if (whole_client) client.reset();
    };
    Begin(&d, "bob@example.org");
    d.t->Recipient("alice@example.org");
    ASSERT_TRUE(loop.RunUntil([&] { return calls > 0; }));
    client.reset();
    loop.Drain();
    EXPECT_EQ(calls, 1);
  }
}

// With the default executor the destructors wait for a call under way.
TEST_F(DeliveryClientTest, DefaultExecutorCallsNobodyAfterDestruction) {
  struct Counting : TransactionHandler {
    void OnAnswer(const v1::Answer&) override { alive_seen = alive_seen && alive; }
    void OnLost(absl::Status, bool) override { alive_seen = alive_seen && alive; }
    std::atomic<bool> alive{true}, alive_seen{true};
  };
  ClientOptions options = Options();
  options.executor = nullptr;
  for (int round = 0; round < 30; ++round) {
    Connect(options);
    std::deque<Counting> handlers(20);
    std::deque<std::unique_ptr<Transaction>> transactions;
    for (Counting& handler : handlers) {
      v1::Begin begin;
      begin.set_sender("bob@example.org");
      transactions.push_back(client->Begin(begin, &handler));
      transactions.back()->Recipient("alice@example.org");
      transactions.back()->Data();
      transactions.back()->Commit();
    }
    if (round % 3 == 0) std::this_thread::yield();
    if (round % 2 == 0) client.reset();
    for (size_t i = 0; i < handlers.size(); ++i) {
      transactions[i].reset();
      handlers[i].alive = false;
    }
    client.reset();
    for (Counting& handler : handlers) EXPECT_TRUE(handler.alive_seen);
  }
}

TEST(RequestId, Is16OctetsAndNeverTheSame) {
  EXPECT_EQ(NewRequestId().size(), 16u);
  EXPECT_NE(NewRequestId(), NewRequestId());
}

}  // namespace
}  // namespace restante
