// A store moves to another engine: everything is there, once, and only one place is served.
#include "server/engine/moving/move.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/house.h"
#include "server/engine/memory/memory_engine.h"
#include "server/engine/moving/marks.h"
#include "tests/moving/moving_store.h"

namespace restante::moving {
namespace {

using engine::Id;
using engine::Noise;
using engine::PartitionId;
using testing::HasSubstr;

std::unique_ptr<engine::Engine> NewMemory(const Clock* clock, uint64_t max_disk = quota::kUnlimited) {
  engine::MemoryOptions options;
  options.clock = clock;
  options.max_disk = max_disk;
  return engine::NewMemoryEngine(std::move(options));
}

class Move : public testing::Test {
 protected:
  // One that is full of things, in memory or in a directory.
  MovingStore& NewSource(bool memory) {
    MovingStore& store = Keep(memory ? NewMemory(&clock_) : OpenToServe(directory_ / "old", &clock_));
    store.Furnish();
    if (!memory) Reopen(store, "old", /*to_move=*/true);
    return store;
  }
  MovingStore& NewTarget(bool memory) {
    return Keep(memory ? NewMemory(&clock_) : OpenToMove(directory_ / "new", &clock_));
  }
  MovingStore& Keep(std::unique_ptr<engine::Engine> engine) {
    stores_.push_back(std::make_unique<MovingStore>(std::move(engine)));
    return *stores_.back();
  }
  void Reopen(MovingStore& store, const std::string& name, bool to_move) {
    store.Take().reset();
    store.Give(to_move ? OpenToMove(directory_ / name, &clock_) : OpenToServe(directory_ / name, &clock_));
  }
  absl::StatusOr<Moved> MoveIt(MovingStore& from, MovingStore& to) {
    return MoveStore(&from.engine(), &to.engine(), options_);
  }

  FakeClock clock_;
  TemporaryDirectory directory_;
  MoveOptions options_ = OptionsOf(clock_);
  std::vector<std::unique_ptr<MovingStore>> stores_;
};

class MoveBetween : public Move, public testing::WithParamInterface<std::pair<bool, bool>> {};
INSTANTIATE_TEST_SUITE_P(Engines, MoveBetween,
                         testing::Values(std::pair(true, false), std::pair(false, true),
                                         std::pair(false, false)),
                         [](const auto& pair) {
                           const auto name = [](bool memory) { return memory ? "Memory" : "Embedded"; };
                           return absl::StrCat(name(pair.param.first), "To", name(pair.param.second));
                         });

TEST_P(MoveBetween, EverythingIsThereAfterwards) {
  MovingStore &from = NewSource(GetParam().first), &to = NewTarget(GetParam().second);
  options_.width = 1;
  std::vector<MoveProgress> told;
  options_.report = [&](const MoveProgress& progress) { told.push_back(progress); };
  const auto moved = MoveIt(from, to);
  ASSERT_TRUE(moved.ok()) << moved.status();
  ExpectSame(from, to);
  EXPECT_EQ(moved->mailboxes, 4u);
  EXPECT_EQ(moved->messages, 614u);
  EXPECT_EQ(moved->bodies, 608u) << "what was shared is shared again";
  EXPECT_GE(moved->receipts, 600u);
  EXPECT_GE(moved->events, 1u);
  ASSERT_FALSE(told.empty());
  EXPECT_TRUE(told.back().comparing);
  EXPECT_EQ(told.back().mailboxes, 4u);
  EXPECT_EQ(told.back().octets, told.back().total_octets);
}

TEST_P(MoveBetween, TheNewPlaceGoesOnWhereTheOldOneWas) {
  MovingStore &from = NewSource(GetParam().first), &to = NewTarget(GetParam().second);
  const std::string key(16, '\1');
  const uint64_t next_uid = from.HeadOf(from.first).uid_next();
  const auto receipt = from.Settle(1);
  ASSERT_TRUE(MoveIt(from, to).ok());
  if (!GetParam().second) Reopen(to, "new", /*to_move=*/false);
  // Once: a commit that is repeated, and a retry whose answer was lost.
  EXPECT_EQ(to.Open(1), "receipt");
  EXPECT_EQ(to.Settle(1)->SerializeAsString(), receipt->SerializeAsString());
  EXPECT_EQ(to.Open(3), "tombstone");
  const auto retry = to.DeliverOnce(50, key, "retried", {from.first});
  EXPECT_EQ(retry.recipients(0).stored_by(), Id(1).ToBytes());
  // Numbers go on.
  EXPECT_EQ(to.Deliver("the next", {from.first}).recipients(0).uid(), next_uid);
  EXPECT_GT(to.engine().NewNumber(), from.ends);
  EXPECT_EQ(to.Check(from.first, 15'000'000).substr(0, 14), "mailbox: needs");
  to.Know(from);
  to.Live();
  to.ExpectExact({from.first, from.second, from.large});
}

TEST_F(Move, OnlyOnePlaceMayBeServedAtAnyStep) {
  MovingStore &from = NewSource(true), &to = NewTarget(true);
  std::vector<std::string> steps;
  options_.width = 1;
  options_.at = [&](absl::string_view step) {
    if (!steps.empty() && steps.back() == step) return;
    steps.push_back(std::string(step));
    const bool old_is = CheckServed(&from.engine()).ok(), new_is = CheckServed(&to.engine()).ok();
    EXPECT_FALSE(old_is) << step;
    EXPECT_EQ(new_is, step == "moving out" || step == "moved in") << step;
    if (step == "moving out") {
      EXPECT_TRUE(CheckEmpty(&to.engine()).ok());
    }
  };
  ASSERT_TRUE(MoveIt(from, to).ok());
  EXPECT_THAT(
      steps, testing::ElementsAre("moving out", "moving in", "written", "directory copied", "receipts copied",
                                  "events copied", "compared", "moved out", "moved in"));
  EXPECT_THAT(CheckServed(&from.engine()).message(), HasSubstr("was moved to embedded:/new on "));
}

TEST_F(Move, MovedAlreadyItSaysSoAgain) {
  MovingStore &from = NewSource(true), &to = NewTarget(true);
  ASSERT_TRUE(MoveIt(from, to).ok());
  to.Deliver("served since", {from.first});
  ASSERT_TRUE(MoveIt(from, to).ok());
  MovingStore& elsewhere = NewTarget(true);
  options_.to = "embedded:/elsewhere";
  EXPECT_THAT(MoveIt(from, elsewhere).status().message(),
              HasSubstr("embedded:/old: the store was moved to embedded:/new"));
}

TEST_F(Move, BackIsAMoveToANewPlace) {
  MovingStore &from = NewSource(true), &to = NewTarget(false), &back = NewTarget(true);
  ASSERT_TRUE(MoveIt(from, to).ok());
  to.Deliver("served since", {from.first});
  std::swap(options_.from, options_.to);
  EXPECT_THAT(MoveIt(to, from).status().message(), HasSubstr("embedded:/old: the store was moved to"));
  ASSERT_TRUE(MoveIt(to, back).ok());
  ExpectSame(to, back);
}

TEST_F(Move, AStoreThatIsNotEmptyIsNotMovedTo) {
  MovingStore &from = NewSource(true), &to = NewTarget(true);
  to.CreateMailboxAndDomain();
  const absl::Status refused = MoveIt(from, to).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(),
              HasSubstr("embedded:/new: is not empty: it holds 1 domains and 1 mailboxes"));
  EXPECT_TRUE(CheckServed(&from.engine()).ok());
  EXPECT_TRUE(CheckServed(&to.engine()).ok());
}

// Ends a move somewhere.
absl::Status Tamper(MovingStore& from, MovingStore& to, MoveOptions options, const std::string& step,
                    const std::function<void()>& tamper) {
  options.at = [&](absl::string_view at) {
    if (at == step) tamper();
  };
  return MoveStore(&from.engine(), &to.engine(), options).status();
}

TEST_F(Move, ADifferenceEndsItBeforeTheCommitPointAndIsSetRightByTheNextRun) {
  MovingStore &from = NewSource(true), &to = NewTarget(true);
  const std::pair<std::function<void()>, std::string> tampers[] = {
      {[&] { ASSERT_TRUE(to.Expunge(from.large, 77).ok()); }, "its head differs"},
      {[&] {
         ASSERT_TRUE(to.Put(PartitionId::Mailbox(from.first), {{"w", "other"}}).ok());
       },
       "key w: differs"},
      {[&] {
         ASSERT_TRUE(to.Put(PartitionId::Directory(), {{"d/x", ""}}).ok());
       },
       "is only in the store that is moved to"},
      {[&] { to.CreateMailboxAndDomain(); }, "it has to hold 4 and"}};
  for (const auto& [tamper, message] : tampers) {
    const absl::Status refused = Tamper(from, to, options_, "events copied", tamper);
    EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << message;
    EXPECT_THAT(refused.message(), HasSubstr(message));
    EXPECT_FALSE(CheckServed(&to.engine()).ok());
  }
  const auto moved = MoveIt(from, to);
  ASSERT_TRUE(moved.ok()) << moved.status();
  ExpectSame(from, to);
}

TEST_F(Move, AReceiptTooMuchIsADifference) {
  MovingStore &from = NewSource(true), &to = NewTarget(true);
  const absl::Status refused =
      Tamper(from, to, options_, "events copied", [&] { ASSERT_TRUE(to.Settle(4711).ok()); });
  EXPECT_THAT(refused.message(), HasSubstr("receipts: "));
}

TEST_F(Move, GivenUpAndServedInBetweenItEndsAsIfItHadNotBeen) {
  MovingStore &from = NewSource(true), &to = NewTarget(false);
  ASSERT_FALSE(Tamper(from, to, options_, "events copied", [&] {
                 ASSERT_TRUE(to.Put(PartitionId::Directory(), {{"d/x", ""}}).ok());
               }).ok());
  ASSERT_TRUE(Stay(&from.engine(), &clock_).ok());
  EXPECT_TRUE(CheckServed(&from.engine()).ok());
  from.Live();
  options_.width = 1;
  const auto moved = MoveIt(from, to);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->bodies, 3u) << "only what is new is copied";
  ExpectSame(from, to);
}

TEST_F(Move, WhoeverStaysAfterwardsMovesAnew) {
  MovingStore &from = NewSource(true), &to = NewTarget(true), &again = NewTarget(true);
  ASSERT_TRUE(MoveIt(from, to).ok());
  ASSERT_TRUE(Stay(&from.engine(), &clock_).ok());
  EXPECT_TRUE(CheckServed(&from.engine()).ok());
  from.Live();
  EXPECT_THAT(MoveIt(from, to).status().message(), HasSubstr("is not empty"));
  ASSERT_TRUE(MoveIt(from, again).ok());
  ExpectSame(from, again);
  EXPECT_EQ(Stay(&to.engine(), &clock_).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(Move, AMoveUnderWayGoesNowhereElse) {
  MovingStore &from = NewSource(true), &to = NewTarget(true), &elsewhere = NewTarget(true);
  ASSERT_FALSE(Tamper(from, to, options_, "events copied", [&] {
                 ASSERT_TRUE(to.Put(PartitionId::Directory(), {{"d/x", ""}}).ok());
               }).ok());
  options_.to = "rados:pool";
  EXPECT_THAT(MoveIt(from, elsewhere).status().message(),
              HasSubstr("embedded:/old: the store is being moved to embedded:/new"));
  // Nor does another store come in between, or what is half there go on.
  MovingStore& other = NewSource(true);
  EXPECT_THAT(MoveIt(other, to).status().message(), HasSubstr("is being moved here from embedded:/old"));
  EXPECT_THAT(MoveIt(to, elsewhere).status().message(), HasSubstr("is being moved here from embedded:/old"));
}

TEST_F(Move, WhatDoesNotFitIsNotBegun) {
  MovingStore &from = NewSource(true), &to = Keep(NewMemory(&clock_, 1'000'000));
  const absl::Status refused = MoveIt(from, to).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(),
              HasSubstr("embedded:/new: has 1000000 bytes left of 1000000, the mail takes "));
  EXPECT_TRUE(CheckServed(&from.engine()).ok());
}

TEST_F(Move, ADamagedTextIsNamed) {
  MovingStore &from = NewSource(true), &to = NewTarget(true);
  const engine::stored::Entry before = from.EntriesOf(from.first)[0];
  engine::stored::Entry damaged = before;
  damaged.set_crc32c(before.crc32c() + 1);
  const auto key = engine::EntryKey(before.uid());
  ASSERT_TRUE(from.Put(PartitionId::Mailbox(from.first), {{key, damaged.SerializeAsString()}}).ok());
  const absl::Status refused = MoveIt(from, to).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(refused.message(),
              HasSubstr(absl::StrCat("mailbox partition ", from.first, ", UID ", before.uid())));
  ASSERT_TRUE(from.Put(PartitionId::Mailbox(from.first), {{key, before.SerializeAsString()}}).ok());
  ASSERT_TRUE(MoveIt(from, to).ok());
  ExpectSame(from, to);
}

}  // namespace
}  // namespace restante::moving
