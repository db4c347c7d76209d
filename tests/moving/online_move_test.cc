// A store moves while it serves.
#include "server/engine/moving/online_move.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/time/clock.h"
#include "server/engine/house.h"
#include "tests/moving/online_store.h"

namespace restante::moving {
namespace {

using engine::Id;
using engine::Noise;
using engine::PartitionId;
using engine::ValueOf;
using testing::HasSubstr;

class Online : public testing::Test {
 protected:
  Online() {
    auto engine = std::make_unique<MovingEngine>(OpenToServe(directory_ / "old", Clock::System()));
    moving_ = engine.get();
    store_ = std::make_unique<MovingStore>(std::move(engine));
    for (int i = 0; i < 4; ++i) mailboxes_.push_back(store_->CreateMailbox(i == 0 ? NewDomain() : domain_));
    options_.places.from = "embedded:/old";
    options_.places.to = "embedded:/new";
    options_.open = [this](bool to_serve) -> absl::StatusOr<std::unique_ptr<engine::Engine>> {
      return to_serve ? OpenToServe(directory_ / "new", Clock::System())
                      : OpenToMove(directory_ / "new", Clock::System());
    };
    options_.say = [this](const std::string& line, bool) {
      absl::MutexLock lock(&mutex_);
      said_.push_back(line);
    };
    options_.pause = options_.after_error = absl::Milliseconds(20);
  }
  ~Online() override { move_.reset(); }

  uint64_t NewDomain() { return domain_ = store_->CreateDomain(); }
  void Start() { move_ = std::make_unique<OnlineMove>(moving_, options_); }
  void AwaitDone() {
    const absl::Time end = absl::Now() + absl::Minutes(2);
    while (!move_->done() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
    ASSERT_TRUE(move_->done()) << Said();
  }
  void AwaitSaid(const std::string& what) {
    const absl::Time end = absl::Now() + absl::Minutes(2);
    while (Said().find(what) == std::string::npos && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
    ASSERT_THAT(Said(), HasSubstr(what));
  }
  std::string Said() {
    absl::MutexLock lock(&mutex_);
    std::string all;
    for (const std::string& line : said_) all += line + "\n";
    return all;
  }
  // Ends it, and opens what it has left in the new place.
  MovingStore& Reopened() {
    move_.reset();
    store_.reset();
    moving_ = nullptr;
    reopened_ = std::make_unique<MovingStore>(OpenToServe(directory_ / "new", Clock::System()));
    return *reopened_;
  }

  TemporaryDirectory directory_;
  absl::Mutex mutex_;
  std::vector<std::string> said_ ABSL_GUARDED_BY(mutex_);
  MovingEngine* moving_ = nullptr;
  std::unique_ptr<MovingStore> store_, reopened_;
  uint64_t domain_ = 0;
  std::vector<uint64_t> mailboxes_;
  OnlineMoveOptions options_;
  std::unique_ptr<OnlineMove> move_;
};

TEST_F(Online, NothingIsLostOrDoubledUnderLoad) {
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE(seed);
  Load load(store_.get(), mailboxes_, seed, 1);
  while (load.deliveries() < 100) absl::SleepFor(absl::Milliseconds(5));
  Start();
  AwaitDone();
  const uint64_t moved_at = load.deliveries(), read_at = load.reads();
  while (load.deliveries() < moved_at + 50 || load.reads() < read_at + 20)
    absl::SleepFor(absl::Milliseconds(5));
  load.Stop();
  EXPECT_FALSE(CheckServed(moving_->from()).ok());
  load.ExpectAll(*store_);
  MovingStore& there = Reopened();
  EXPECT_TRUE(CheckServed(&there.engine()).ok());
  load.ExpectAll(there);
  EXPECT_EQ(there.Verify(), std::vector<std::string>());
}

// However slow the copy: it comes to an end, and no later than that does mail wait.
TEST_F(Online, WhatComesFasterThanItIsCopiedIsLetInAtThePaceOfTheCopy) {
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE(seed);
  Load load(store_.get(), mailboxes_, seed, 1);
  options_.left_at_most = 50;
  options_.places.at = [&](absl::string_view step) {
    if (step == "written") absl::SleepFor(absl::Milliseconds(250));
  };
  while (load.deliveries() < 2000) absl::SleepFor(absl::Milliseconds(5));
  Start();
  AwaitDone();
  load.Stop();
  EXPECT_THAT(Said(), HasSubstr("new mail is let in at the pace of the copy"));
  load.ExpectAll(*store_);
  MovingStore& there = Reopened();
  load.ExpectAll(there);
}

TEST_F(Online, ASenderBetween354AndTheDotIsWaitedFor) {
  options_.drain_patience = absl::Milliseconds(50);
  store_->MakeReady(1, 1000, {mailboxes_[0], mailboxes_[1]});
  Start();
  AwaitSaid("what was promised did not end within 50ms, or too much changes: changing over later");
  // Others are served meanwhile, sooner or later.
  uint64_t tx = 2;
  while (TryToDeliver(*store_, tx, 100, {mailboxes_[2]}) != "receipt") ++tx;
  EXPECT_FALSE(move_->done());
  ASSERT_TRUE(store_->Commit(1, Noise(1000, 1), {mailboxes_[0], mailboxes_[1]}).ok());
  AwaitDone();
  MovingStore& there = Reopened();
  for (const uint64_t mailbox : {mailboxes_[0], mailboxes_[1]}) {
    ASSERT_EQ(there.EntriesOf(mailbox).size(), 1u);
    EXPECT_TRUE(there.TextOf(there.EntriesOf(mailbox)[0]) == Noise(1000, 1));
  }
}

TEST_F(Online, WhatWasNotPromisedHearsToTryAgain) {
  EXPECT_EQ(store_->Open(1, 100), "opened");
  EXPECT_EQ(store_->Reserve(1, mailboxes_[0], 100), "granted 100");
  auto body = store_->Stage(Noise(100, 1));
  Start();
  AwaitDone();
  EXPECT_EQ(store_->Reserve(1, mailboxes_[1], 100), "UNAVAILABLE");
  EXPECT_EQ(store_->Confirm(1), "UNAVAILABLE");
  store_->engine().Close(Id(1));
  // The text was put down where it is served no more.
  store_->MakeReady(2, 100, {mailboxes_[0]});
  engine::CommitRequest request = store_->CommitOf(2, Noise(100, 2), {mailboxes_[0]});
  request.body = std::move(body);
  EXPECT_EQ(store_->Commit(std::move(request)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(TryToDeliver(*store_, 3, 100, {mailboxes_[0]}), "receipt");
  store_->ExpectExact(mailboxes_);
}

TEST_F(Online, ReceiptsAnswerAfterTheMoveWhateverCameBefore) {
  const std::string key(16, '\1'), other(16, '\2'), old_key(16, '\3');
  store_->DeliverOnce(1, old_key, "before", {mailboxes_[0]});
  // Receipts and hand-overs while it is moved, too.
  absl::Notification copied, go_on;
  options_.places.at = [&](absl::string_view step) {
    if (step != "copied" || copied.HasBeenNotified()) return;
    copied.Notify();
    go_on.WaitForNotification();
  };
  Start();
  copied.WaitForNotification();
  const auto receipt = store_->DeliverOnce(2, key, "meanwhile", {mailboxes_[0]});
  store_->DeliverOnce(3, other, "handed over", {mailboxes_[0]});
  store_->engine().HandedOver(Id(3), {});
  store_->engine().HandedOver(Id(1), {});
  ASSERT_TRUE(store_->Settle(4).ok());
  go_on.Notify();
  AwaitDone();
  EXPECT_EQ(store_->Settle(2)->SerializeAsString(), receipt.SerializeAsString());
  EXPECT_EQ(store_->Open(4), "tombstone");
  EXPECT_EQ(store_->DeliverOnce(5, key, "meanwhile", {mailboxes_[0]}).recipients(0).stored_by(),
            Id(2).ToBytes());
  EXPECT_EQ(store_->DeliverOnce(6, other, "handed over", {mailboxes_[0]}).recipients(0).stored_by(), "");
  EXPECT_EQ(store_->DeliverOnce(7, old_key, "before", {mailboxes_[0]}).recipients(0).stored_by(), "");
  store_->ExpectExact(mailboxes_);
}

TEST_F(Online, ChangesWaitForAMomentAndGoOnInTheNewPlace) {
  store_->Deliver("text", {mailboxes_[0]});
  absl::Notification frozen, changed;
  std::thread changing;
  options_.places.at = [&](absl::string_view step) {
    if (step != "frozen") return;
    frozen.Notify();
    changing = std::thread([&] {
      EXPECT_TRUE(store_->Put(PartitionId::Directory(), {{"d/late", "1"}}).ok());
      changed.Notify();
    });
    // Reads go on.
    EXPECT_EQ(store_->TextOf(store_->EntriesOf(mailboxes_[0])[0]), "text");
    EXPECT_EQ(store_->Open(1), "UNAVAILABLE");
    EXPECT_FALSE(changed.HasBeenNotified());
  };
  Start();
  AwaitDone();
  changing.join();
  EXPECT_EQ(Reopened().Read(PartitionId::Directory(), {"d/late"}).values.size(), 1u);
}

TEST_F(Online, AnEntryReadBeforeIsNotCopiedAfterwards) {
  store_->Deliver("text", {mailboxes_[0]});
  const engine::stored::Entry before = store_->EntriesOf(mailboxes_[0])[0];
  Start();
  AwaitDone();
  EXPECT_EQ(store_->TextOf(before), "text");
  EXPECT_EQ(store_->Copy(before, mailboxes_[1]).code(), absl::StatusCode::kUnavailable);
  const engine::stored::Entry after = store_->EntriesOf(mailboxes_[0])[0];
  EXPECT_NE(after.body(), before.body());
  EXPECT_TRUE(store_->Copy(after, mailboxes_[1]).ok());
  store_->ExpectExact(mailboxes_);
}

TEST_F(Online, EventsAndThresholdsGoOn) {
  const uint64_t small = store_->CreateMailbox(domain_, ValueOf(1000));
  store_->Deliver(std::string(850, 'x'), {small});
  Start();
  AwaitDone();
  store_->Deliver(std::string(60, 'x'), {small});
  const auto events = engine::Await<absl::StatusOr<engine::EventPage>>(
      [&](auto done) { store_->engine().ReadEvents(0, 10, std::move(done)); });
  ASSERT_TRUE(events.ok());
  ASSERT_EQ(events->events.size(), 2u);
  EXPECT_EQ(events->events[0].quota().percent(), 80u);
  EXPECT_EQ(events->events[1].quota().percent(), 90u);
  EXPECT_EQ(events->events[1].sequence(), 2u);
}

TEST_F(Online, APlaceThatIsNotEmptyIsSaidAndTheStoreIsServedOn) {
  {
    MovingStore other(OpenToServe(directory_ / "new", Clock::System()));
    other.CreateMailboxAndDomain();
  }
  Start();
  AwaitSaid("not moved: embedded:/new: is not empty: it holds 1 domains and 1 mailboxes");
  EXPECT_EQ(TryToDeliver(*store_, 1, 100, {mailboxes_[0]}), "receipt");
}

TEST_F(Online, OneThatWasBegunWithoutServingIsNotGoneOnWith) {
  move_.reset();
  store_->Deliver("text", {mailboxes_[0]});
  {
    const auto to = OpenToMove(directory_ / "new", Clock::System());
    MoveOptions options;
    options.from = options_.places.from;
    options.to = options_.places.to;
    options.at = [&](absl::string_view step) {
      if (step == "events copied") store_->Deliver("a difference", {mailboxes_[0]});
    };
    EXPECT_FALSE(MoveStore(moving_->from(), to.get(), options).ok());
  }
  Start();
  AwaitSaid("holds a part of a move that was begun while the store was not served");
}

}  // namespace
}  // namespace restante::moving
