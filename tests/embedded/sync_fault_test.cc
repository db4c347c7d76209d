// A sync that failed, a process that ends, and then a power cut: what was said in
// between stays true.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::IsEmpty;
using Kind = SimulatedDisk::Kind;
using Loss = SimulatedDisk::Loss;

const absl::Status kBroken = absl::InternalError("input/output error");

// A store on a disk, and all that can be asked of it.
struct Life {
  explicit Life(std::unique_ptr<SimulatedDisk> d) : disk(std::move(d)), store("/data") {
    store.options.files = disk.get();
  }
  // As the next process finds it, after kill -9 or a power cut.
  std::unique_ptr<Life> Next(Survives survives, uint64_t number) {
    return std::make_unique<Life>(disk->CutAfter(number, survives));
  }
  std::unique_ptr<Life> Next(Survives survives) { return Next(survives, disk->operations()); }

  std::unique_ptr<SimulatedDisk> disk;
  SmallStore store;
};

class SyncFault : public testing::TestWithParam<Loss> {
 protected:
  SyncFault() : life_(std::make_unique<SimulatedDisk>()) {}
  void SetUp() override {
    ASSERT_TRUE(life_.store.Open().ok());
    ASSERT_TRUE(life_.store.Deliver("first").ok());
  }

  // Opens the store; what it says of the delivery must not change by a power cut.
  void ExpectNoGuess(Life& life, engine::TransactionId id) {
    const absl::Status opened = life.store.Open();
    ASSERT_TRUE(opened.ok()) << opened;
    const auto said = life.store.Settle(id);
    ASSERT_TRUE(said.ok()) << said.status();
    const std::vector<std::string> texts = life.store.Texts();
    EXPECT_EQ(texts.size(), said->committed() ? 2u : 1u);
    for (const Survives survives : {Survives::kSynced, Survives::kEverything}) {
      const auto after = life.Next(survives);
      const absl::Status again = after->store.Open();
      ASSERT_TRUE(again.ok()) << again;
      EXPECT_EQ(after->store.Settle(id)->committed(), said->committed());
      EXPECT_EQ(after->store.Texts(), texts);
      EXPECT_THAT(after->store.Problems(), IsEmpty());
    }
  }

  Life life_;
};

TEST_P(SyncFault, WhatWasUndecidedIsDecidedForGood) {
  const auto fault = life_.disk->Inject({.kind = Kind::kSync,
                                         .path_contains = "/segments/",
                                         .times = -1,
                                         .status = kBroken,
                                         .loss = GetParam()});
  const engine::TransactionId id = life_.store.NewTransaction();
  EXPECT_EQ(life_.store.DeliverAs(id, "undecided").status().code(), absl::StatusCode::kUnknown);
  EXPECT_GE(life_.disk->Struck(fault), 2);
  ExpectNoGuess(*life_.Next(Survives::kEverything), id);
}

TEST_P(SyncFault, WithoutAnotherSegmentToo) {
  life_.disk->Inject({.kind = Kind::kSync,
                      .path_contains = "/segments/",
                      .times = -1,
                      .status = kBroken,
                      .loss = GetParam()});
  const auto create = life_.disk->Inject(
      {.kind = Kind::kCreate, .path_contains = "/segments/", .times = -1, .status = kBroken});
  const engine::TransactionId id = life_.store.NewTransaction();
  EXPECT_EQ(life_.store.DeliverAs(id, "undecided").status().code(), absl::StatusCode::kUnknown);
  EXPECT_GE(life_.disk->Struck(create), 1);
  ExpectNoGuess(*life_.Next(Survives::kEverything), id);
}

TEST_P(SyncFault, AStartWhoseSyncFailedIsFollowedByOneThatDoesNotRelyOnIt) {
  // Killed between the append and the sync of a group.
  const engine::TransactionId id = life_.store.NewTransaction();
  const uint64_t before = life_.disk->operations();
  ASSERT_TRUE(life_.store.DeliverAs(id, "whole, but not synced").ok());
  uint64_t append = before + 1;
  while (life_.disk->operation(append).kind != Kind::kAppend ||
         !absl::StrContains(life_.disk->operation(append).path, "/segments/")) {
    ++append;
  }
  const auto killed = life_.Next(Survives::kEverything, append);
  const auto fault = killed->disk->Inject(
      {.kind = Kind::kSync, .path_contains = "/segments/", .status = kBroken, .loss = GetParam()});
  EXPECT_FALSE(killed->store.Open().ok());
  EXPECT_EQ(killed->disk->Struck(fault), 1);
  ExpectNoGuess(*killed->Next(Survives::kEverything), id);
}

INSTANTIATE_TEST_SUITE_P(Losses, SyncFault, testing::Values(Loss::kAll, Loss::kSome, Loss::kNone),
                         [](const auto& loss) {
                           return loss.param == Loss::kAll    ? "AllIsLost"
                                  : loss.param == Loss::kSome ? "SomeIsLost"
                                                              : "NothingIsLost";
                         });

}  // namespace
}  // namespace restante::embedded
