// What a store that may move lets through, and when.
#include "server/engine/moving/moving_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/engine/memory/memory_engine.h"
#include "tests/contract/describe.h"
#include "tests/moving/moving_store.h"

namespace restante::moving {
namespace {

using engine::Id;
using engine::PartitionId;
using testing::ElementsAre;
using testing::IsEmpty;

class Pacing : public testing::Test {
 protected:
  Pacing() {
    auto engine = std::make_unique<MovingEngine>(engine::NewMemoryEngine({}));
    moving_ = engine.get();
    store_ = std::make_unique<MovingStore>(std::move(engine));
    mailbox_ = store_->CreateMailboxAndDomain();
    moving_->StartNoting();
  }
  void OpenWithRoom(uint64_t tx) {
    ASSERT_EQ(store_->Open(tx, 10), "opened");
    ASSERT_EQ(store_->Reserve(tx, mailbox_, 10), "granted 10");
  }
  // What is answered to them, as it comes.
  void Confirm(uint64_t tx) {
    moving_->Confirm(Id(tx), [this, tx](absl::StatusOr<engine::Confirmed> confirmed) {
      heard_.push_back(absl::StrCat(tx, ": ", engine::Describe(confirmed)));
    });
  }
  void Change(const std::string& name) {
    moving_->Update(
        PartitionId::Mailbox(mailbox_), {},
        [name](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
          engine::Change change;
          change.head = *view.head;
          change.puts = {{"k/" + name, name}};
          return change;
        },
        [this, name](absl::Status status) { heard_.push_back(absl::StrCat(name, ": ", status.ToString())); });
  }
  std::vector<std::string> Heard() { return std::exchange(heard_, {}); }

  std::unique_ptr<MovingStore> store_;
  MovingEngine* moving_ = nullptr;
  uint64_t mailbox_ = 0;
  std::vector<std::string> heard_;  // The memory engine answers at once.
};

TEST_F(Pacing, SoManyChangesPassAsAreAllowedAndInTheirOrder) {
  moving_->Allow(2);
  for (const uint64_t tx : {1u, 2u, 3u}) OpenWithRoom(tx);
  Confirm(1);
  Change("one");
  EXPECT_THAT(Heard(), ElementsAre("1: confirmed", "one: OK"));
  Confirm(2);
  Change("two");
  Confirm(3);
  EXPECT_THAT(Heard(), IsEmpty());
  moving_->Allow(1);
  EXPECT_THAT(Heard(), ElementsAre("2: confirmed"));
  moving_->Allow(1);
  EXPECT_THAT(Heard(), ElementsAre("two: OK"));
  moving_->AllowAll();
  EXPECT_THAT(Heard(), ElementsAre("3: confirmed"));
  Change("three");
  EXPECT_THAT(Heard(), ElementsAre("three: OK"));
}

TEST_F(Pacing, WhatWasPromisedWaitsForNothing) {
  OpenWithRoom(1);
  EXPECT_EQ(store_->Confirm(1), "confirmed");
  moving_->Allow(0);
  EXPECT_EQ(store_->Confirm(1), "confirmed");
  EXPECT_TRUE(store_->Commit(1, "0123456789", {mailbox_}).ok());
  EXPECT_TRUE(store_->Settle(2).ok());
  store_->engine().HandedOver(Id(1), {});
  EXPECT_EQ(store_->EntriesOf(mailbox_).size(), 1u);
  Change("waits");
  EXPECT_THAT(Heard(), IsEmpty());
  moving_->StopNoting();
  EXPECT_THAT(Heard(), ElementsAre("waits: OK"));
}

TEST_F(Pacing, AChangeOfSeveralMailboxesIsSoMany) {
  const uint64_t other = store_->CreateMailboxAndDomain();
  moving_->Allow(3);
  store_->Deliver("text", {mailbox_, other});
  Change("one");
  Change("two");
  EXPECT_THAT(Heard(), ElementsAre("one: OK"));
  moving_->Allow(1);
  EXPECT_THAT(Heard(), ElementsAre("two: OK"));
}

// A 354 that waited while the store began to change over is none.
TEST_F(Pacing, ADrainAnswersWhatWaits) {
  moving_->Allow(0);
  OpenWithRoom(1);
  Confirm(1);
  EXPECT_THAT(Heard(), IsEmpty());
  EXPECT_TRUE(moving_->Drain(absl::ZeroDuration()));
  EXPECT_THAT(Heard(), ElementsAre("1: UNAVAILABLE"));
}

// Whose sender went while it waited.
TEST_F(Pacing, AConfirmThatWasClosedMeanwhilePromisesNothing) {
  moving_->Allow(0);
  OpenWithRoom(1);
  Confirm(1);
  moving_->Close(Id(1));
  moving_->AllowAll();
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_NE(heard_[0], "1: confirmed");
  store_->ExpectExact({mailbox_});
}

}  // namespace
}  // namespace restante::moving
