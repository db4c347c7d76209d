// Clients of several stores: which is taken, and what happens when one is lost.
#include "client/lib/stores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "restante/client.h"
#include "tests/client/fake_store.h"
#include "tests/client/stores_fixture.h"

namespace restante {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

constexpr char kAlice[] = "alice@example.org";

// --- which is taken ---------------------------------------------------------------

TEST_F(StoresTest, AMailboxGoesToTheStoreThatItPrefers) {
  Connect(Options());
  for (int i = 0; i < 30; ++i) {
    MakeMailbox(absl::StrCat("user", i), 1 << 20);
    const std::string address = absl::StrCat("user", i, "@example.org");
    ExpectStored(address, Preference(address).front());
  }
  for (size_t i = 0; i < stores.size(); ++i) EXPECT_GT(State(i).transactions, 0u);
}

TEST_F(StoresTest, WithoutARecipientTransactionsAreSpreadOut) {
  Connect(Options());
  std::deque<Delivery> open(300);
  for (Delivery& d : open) Begin(&d, /*recipient=*/"");
  // A fair draw is off by 8 (one standard deviation).
  for (size_t i = 0; i < stores.size(); ++i) EXPECT_NEAR(State(i).open, 100, 60);
}

// --- one is lost ------------------------------------------------------------------

TEST_F(StoresTest, WhoPrefersAStoreThatIsGoneGoesToTheNextAndBackAgain) {
  Connect(Options());
  const std::vector<size_t> order = Preference(kAlice);
  stores[order[0]].proxy().Cut();
  AwaitOnlyDown(order[0]);
  ExpectStored(kAlice, order[1]);
  stores[order[1]].proxy().Cut();
  AwaitUp(order[1], false);
  ExpectStored(kAlice, order[2]);
  stores[order[0]].proxy().Restore();
  stores[order[1]].proxy().Restore();
  ASSERT_TRUE(loop.RunUntil([&] { return AllUp(); }));
  ExpectStored(kAlice, order[0]);
}

TEST_F(StoresTest, AStoreThatWasNeverThereIsInNobodysWay) {
  stores[Preference(kAlice)[0]].proxy().Cut();
  client = DeliveryClient::Connect(Options());
  ASSERT_TRUE(loop.RunUntil([&] { return client->connected(); }));
  Delivery d;
  Begin(&d);
  d.Send({}, "text\r\n");
  AwaitOver(d);
  EXPECT_TRUE(d.receipts.has_value()) << d.lost.value_or(absl::OkStatus());
}

TEST_F(StoresTest, WithAllOfThemGoneATransactionIsLostAtOnce) {
  Connect(Options());
  for (Store& store : stores) store.proxy().Cut();
  ASSERT_TRUE(loop.RunUntil([&] { return !client->connected(); }));
  Delivery d;
  Begin(&d);
  AwaitOver(d);  // Well before the deadline of 30 s.
  ASSERT_TRUE(d.lost.has_value());
  EXPECT_FALSE(d.lost_after_commit);
  EXPECT_TRUE(absl::IsUnavailable(Check(kAlice).status()));
}

TEST_F(StoresTest, ATransactionIsLostWithItsStoreBeforeCommit) {
  Connect(Options());
  Delivery d;
  Begin(&d);
  AwaitHeard(d, v1::Answer::kDecision);
  stores[Preference(kAlice)[0]].proxy().Cut();
  AwaitOver(d);
  ASSERT_TRUE(d.lost.has_value());
  EXPECT_FALSE(d.lost_after_commit);
  EXPECT_EQ(Messages(alice_), 0u);
}

TEST_F(StoresTest, ALostAnswerToCommitIsToldByAnotherStore) {
  Connect(Options());
  Delivery d;
  Begin(&d);
  const std::string id = last_id;
  d.t->Data();
  AwaitHeard(d, v1::Answer::kReady);
  Proxy& proxy = stores[Preference(kAlice)[0]].proxy();
  proxy.HoldAnswers();
  d.t->Chunk("text\r\n");
  d.t->Commit();
  ASSERT_TRUE(loop.RunUntil([&] { return Messages(alice_) == 1; }));
  EXPECT_FALSE(d.over());
  proxy.Cut();
  AwaitOver(d);
  ASSERT_TRUE(d.lost.has_value());
  EXPECT_TRUE(d.lost_after_commit);
  const absl::StatusOr<v1::GetReceiptResponse> settled = Settle(id);
  ASSERT_TRUE(settled.ok()) << settled.status();
  EXPECT_TRUE(settled->committed());
  EXPECT_EQ(settled->receipts().receipts(0).uid(), 1u);
  EXPECT_EQ(Messages(alice_), 1u);
}

TEST_F(StoresTest, ACommitThatNeverArrivedIsToldByAnotherStoreAndNeverWill) {
  Connect(Options());
  Delivery d, again;
  Begin(&d);
  const std::string id = last_id;
  d.t->Data();
  AwaitHeard(d, v1::Answer::kReady);
  Proxy& proxy = stores[Preference(kAlice)[0]].proxy();
  proxy.Freeze();
  d.t->Chunk("text\r\n");
  // Large, so that it is known when it has left.
  d.t->Commit(std::string(10'000, 'd'));
  ASSERT_TRUE(loop.RunUntil([&] { return proxy.kept() > 5'000; }));
  proxy.Cut();
  AwaitOver(d);
  ASSERT_TRUE(d.lost.has_value());
  EXPECT_TRUE(d.lost_after_commit);
  const absl::StatusOr<v1::GetReceiptResponse> settled = Settle(id);
  ASSERT_TRUE(settled.ok()) << settled.status();
  EXPECT_FALSE(settled->committed());
  Begin(&again, kAlice, id);
  again.Send({}, "text\r\n");
  AwaitOver(again);
  EXPECT_EQ(again.refused, v1::OUTCOME_REQUEST_ID_ABORTED);
  EXPECT_EQ(Messages(alice_), 0u);
}

TEST_F(StoresTest, SettlingWaitsForTheFirstStoreThatIsBack) {
  Connect(Options());
  Delivery d;
  Begin(&d);
  d.Send({}, "text\r\n");
  AwaitOver(d);
  for (Store& store : stores) store.proxy().Cut();
  ASSERT_TRUE(loop.RunUntil([&] { return !client->connected(); }));
  std::optional<absl::StatusOr<v1::GetReceiptResponse>> result;
  client->Settle(last_id, {}, milliseconds(60'000), [&](auto r) { result = std::move(r); });
  stores[1].proxy().Restore();
  ASSERT_TRUE(loop.RunUntil([&] { return result.has_value(); }));
  ASSERT_TRUE(result->ok()) << result->status();
  EXPECT_TRUE((*result)->committed());
}

// --- one hangs ----------------------------------------------------------------------

TEST_F(StoresTest, AStoreThatHangsTakesNothingNewAndLosesNothing) {
  Connect(Options(milliseconds(300)));
  const size_t first = Preference(kAlice)[0];
  ASSERT_TRUE(loop.RunUntil([&] { return State(first).up; }));
  Delivery open;
  Begin(&open);
  AwaitHeard(open, v1::Answer::kDecision);
  const uint64_t before = State(first).transactions;
  stores[first].proxy().Freeze();
  AwaitOnlyDown(first);
  Delivery d;
  Begin(&d);
  d.Send({}, "text\r\n");
  AwaitOver(d);
  EXPECT_TRUE(d.receipts.has_value()) << d.lost.value_or(absl::OkStatus());
  EXPECT_EQ(State(first).transactions, before);
  EXPECT_FALSE(open.over());
  stores[first].proxy().Thaw();
  AwaitUp(first, true);
  open.Send({}, "text\r\n");
  AwaitOver(open);
  EXPECT_TRUE(open.receipts.has_value()) << open.lost.value_or(absl::OkStatus());
}

TEST_F(StoresTest, AnAnswerThatHangsIsNotWaitedForLong) {
  Connect(Options(milliseconds(300)));
  Delivery d;
  Begin(&d);
  AwaitHeard(d, v1::Answer::kDecision);
  stores[Preference(kAlice)[0]].proxy().Freeze();
  d.t->Data();
  AwaitOver(d);  // Well before the deadline of 30 s.
  ASSERT_TRUE(d.lost.has_value());
  EXPECT_FALSE(d.lost_after_commit);
}

TEST_F(StoresTest, ACommitThatHangsIsToldByAnotherStore) {
  Connect(Options(milliseconds(300)));
  Delivery d;
  Begin(&d);
  const std::string id = last_id;
  d.t->Data();
  AwaitHeard(d, v1::Answer::kReady);
  Proxy& proxy = stores[Preference(kAlice)[0]].proxy();
  proxy.HoldAnswers();
  d.t->Chunk("text\r\n");
  d.t->Commit();
  AwaitOver(d);  // Well before keepalive would end the connection.
  ASSERT_TRUE(d.lost.has_value());
  EXPECT_TRUE(d.lost_after_commit);
  const absl::StatusOr<v1::GetReceiptResponse> settled = Settle(id);
  ASSERT_TRUE(settled.ok()) << settled.status();
  EXPECT_TRUE(settled->committed());
  // What the store had said in the meantime reaches nobody.
  proxy.Thaw();
  ASSERT_TRUE(loop.RunUntil([&] { return AllUp(); }));
  EXPECT_EQ(Messages(alice_), 1u);
}

TEST_F(StoresTest, ARecipientIsAskedOfAnotherStoreWhileOneHangs) {
  Connect(Options(milliseconds(300)));
  Proxy& proxy = stores[Preference(kAlice)[0]].proxy();
  proxy.Freeze();
  // Whether or not it is known yet that it does.
  const absl::StatusOr<v1::CheckRecipientResponse> checked = Check(kAlice);
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->decision().outcome(), v1::OUTCOME_OK);
  proxy.Thaw();
}

TEST_F(StoresTest, ARecipientIsAskedOfAnotherStoreWhileOneIsGone) {
  Connect(Options());
  stores[Preference(kAlice)[0]].proxy().Cut();
  EXPECT_TRUE(Check(kAlice).ok());
}

// --- one drains ---------------------------------------------------------------------

TEST_F(StoresTest, AStoreThatDrainsSaysSoAndTakesNothingNew) {
  Connect(Options(milliseconds(300)));
  const size_t first = Preference(kAlice)[0];
  ASSERT_TRUE(loop.RunUntil([&] { return State(first).up; }));
  Delivery open;
  Begin(&open);
  AwaitHeard(open, v1::Answer::kDecision);
  stores[first].deliveries().Drain();
  AwaitOnlyDown(first);
  const uint64_t before = State(first).transactions;
  Delivery d;
  Begin(&d);
  d.Send({}, "text\r\n");
  AwaitOver(d);
  EXPECT_TRUE(d.receipts.has_value());
  EXPECT_EQ(State(first).transactions, before);
  open.Send({}, "text\r\n");
  AwaitOver(open);
  EXPECT_TRUE(open.receipts.has_value());
}

TEST_F(StoresTest, OneRefusalBecauseOfDrainingIsEnough) {
  Connect(Options());
  const std::vector<size_t> order = Preference(kAlice);
  stores[order[0]].deliveries().Drain();
  Delivery d;
  Begin(&d);
  AwaitOver(d);
  EXPECT_EQ(d.refused, v1::OUTCOME_DRAINING);
  ExpectStored(kAlice, order[1]);
}

// --- what was handed over ---------------------------------------------------------

class HandedOverTest : public ::testing::Test {
 protected:
  ~HandedOverTest() override {
    client.reset();
    loop.Drain();
  }

  void Connect() {
    ClientOptions options;
    options.target = absl::StrCat(one.target(), ",", two.target());
    options.min_backoff = milliseconds(20);
    options.max_backoff = milliseconds(100);
    options.store_patience = std::chrono::minutes(10);
    options.executor = loop.executor();
    client = DeliveryClient::Connect(std::move(options));
  }
  bool Up(const FakeStore& store) {
    for (const StoreState& state : client->stores()) {
      if (state.address == store.target()) return state.up;
    }
    return false;
  }

  FakeStore one, two;
  EventLoop loop;
  std::shared_ptr<DeliveryClient> client;
};

TEST_F(HandedOverTest, IsToldToTheStoreThatCommittedAndElseToAnother) {
  Connect();
  ASSERT_TRUE(loop.RunUntil([&] { return Up(one) && Up(two); }));
  Delivery d;
  d.t = client->Begin(v1::Begin(), &d);
  d.Send({"alice@example.org"}, "x");
  ASSERT_TRUE(loop.RunUntil([&] { return d.over(); }));
  ASSERT_TRUE(d.receipts.has_value());
  const bool by_one = !one.stored().empty();
  FakeStore& committer = by_one ? one : two;
  FakeStore& other = by_one ? two : one;
  // Any mailbox, also one that prefers the other.
  for (int i = 0; i < 10; ++i) {
    client->HandedOver(d.receipts->transaction_id(), {absl::StrCat("mailboxes/user", i, "@example.org")});
  }
  ASSERT_TRUE(loop.RunUntil([&] { return committer.handed_over().size() == 10; }));
  committer.Stop();
  ASSERT_TRUE(loop.RunUntil([&] { return !Up(committer); }));
  client->HandedOver(d.receipts->transaction_id(), {"mailboxes/alice@example.org"});
  ASSERT_TRUE(loop.RunUntil([&] { return !other.handed_over().empty(); }));
  EXPECT_THAT(other.handed_over(), ElementsAre(d.receipts->transaction_id()));
}

TEST_F(HandedOverTest, WaitsForTheFirstStoreThatIsThere) {
  one.Stop();
  two.Stop();
  Connect();
  for (int i = 0; i < 10; ++i) {
    client->HandedOver(absl::StrCat("transaction", i), {absl::StrCat("mailboxes/user", i, "@example.org")});
  }
  two.Start();
  ASSERT_TRUE(loop.RunUntil([&] { return two.handed_over().size() == 10; }));
  EXPECT_THAT(one.handed_over(), ElementsAre());
}

// --- blocking calls ---------------------------------------------------------------

TEST_F(StoresTest, CallsGoToTheFirstStoreThatIsThere) {
  stores[0].proxy().Freeze();
  ClientOptions options = Options();
  options.deadline = milliseconds(60'000);
  Client calls(options);
  ASSERT_TRUE(calls.GetCapacity({}).ok());
  stores[1].proxy().Cut();
  // The call that meets the loss fails: it may have been carried out.
  while (!calls.GetCapacity({}).ok()) {
  }
  stores[2].proxy().Cut();
  while (calls.GetCapacity({}).ok()) {
  }
  stores[0].proxy().Thaw();
  while (!calls.GetCapacity({}).ok()) {
  }
}

TEST_F(StoresTest, AWholeMessageIsDeliveredToWhoIsThere) {
  const std::vector<size_t> order = Preference(kAlice);
  stores[order[0]].proxy().Cut();
  stores[order[1]].proxy().Cut();
  ClientOptions options = Options();
  options.executor = nullptr;
  for (int i = 0; i < 10; ++i) {
    // It knows of none yet whether it is there.
    const std::shared_ptr<DeliveryClient> fresh = DeliveryClient::Connect(options);
    const absl::StatusOr<DeliveryResult> result =
        DeliverMessage(*fresh, {.sender = "bob@example.net", .recipients = {kAlice}}, "text\r\n");
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->committed);
  }
  EXPECT_EQ(Messages(alice_), 10u);
}

TEST_F(StoresTest, CallsSayWhatIsWrongWithTheList) {
  ClientOptions options = Options();
  options.target += ",";
  Client calls(options);
  EXPECT_TRUE(absl::IsInvalidArgument(calls.GetCapacity({}).status()));
  client = DeliveryClient::Connect(options);
  Delivery d;
  Begin(&d);
  AwaitOver(d);
  ASSERT_TRUE(d.lost.has_value());
  EXPECT_THAT(std::string(d.lost->message()), ::testing::HasSubstr("an address of a store is missing"));
}

}  // namespace
}  // namespace restante
