#include "server/engine/embedded/compaction_policy.h"

#include <gtest/gtest.h>

namespace restante::embedded {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

SegmentUse Use(uint64_t number, uint64_t size, uint64_t body, uint64_t live) {
  SegmentUse use;
  use.number = number;
  use.size = size;
  use.body_bytes = body;
  use.live_bytes = live;
  return use;
}

TEST(CompactionPolicy, TakesTheSegmentWithTheLargestDeadShare) {
  const SegmentUse uses[] = {Use(1, 100, 90, 60), Use(2, 100, 90, 20), Use(3, 1000, 900, 300)};
  EXPECT_EQ(ChooseSegment(uses, {}), 2u);
}

TEST(CompactionPolicy, LeavesWhatHoldsMostlyLivingMail) {
  const SegmentUse uses[] = {Use(1, 100, 90, 71), Use(2, 100, 90, 90)};
  EXPECT_EQ(ChooseSegment(uses, {}), std::nullopt);
}

TEST(CompactionPolicy, KeysCountAsLivingUntilTheyWereCounted) {
  SegmentUse use = Use(1, 100, 10, 10);
  EXPECT_EQ(DeadBytes(use, true), 0u);
  use.live_key_bytes = 30;
  EXPECT_EQ(DeadBytes(use, true), 60u);
  // Compressed group records take less than their keys.
  use.live_key_bytes = 500;
  EXPECT_EQ(DeadBytes(use, true), 0u);
}

TEST(CompactionPolicy, ErasedKeysStayWhileAnOlderSegmentMayHoldWhatTheyErase) {
  SegmentUse use = Use(2, 100, 0, 0);
  use.live_key_bytes = 0;
  use.erased_bytes = 95;
  EXPECT_EQ(DeadBytes(use, false), 5u);
  EXPECT_EQ(DeadBytes(use, true), 100u);
  const SegmentUse uses[] = {Use(1, 100, 90, 90), use};
  EXPECT_EQ(ChooseSegment(uses, {}), std::nullopt);
}

TEST(CompactionPolicy, ManyErasedKeysMakeTheOldestSegmentGo) {
  SegmentUse use = Use(2, 10 * kMiB, 0, 0);
  use.live_key_bytes = 0;
  use.erased_bytes = 10 * kMiB;
  const SegmentUse uses[] = {Use(1, 100 * kMiB, 100 * kMiB, 100 * kMiB), use};
  EXPECT_EQ(ChooseSegment(uses, {}), 1u);
}

TEST(CompactionPolicy, TheNewestIsLeftOnlyForAWorthwhilePiece) {
  SegmentUse newest = Use(3, 2 * kMiB, 2 * kMiB, kMiB + 1);
  newest.newest = true;
  EXPECT_EQ(ChooseSegment({&newest, 1}, {}), std::nullopt);
  newest.live_bytes = kMiB;
  EXPECT_EQ(ChooseSegment({&newest, 1}, {}), 3u);
}

TEST(CompactionPolicy, WhatCouldNotBeEmptiedIsNotTriedAgain) {
  SegmentUse stuck = Use(1, 100, 100, 1);
  stuck.stuck = true;
  const SegmentUse uses[] = {stuck, Use(2, 100, 100, 50)};
  EXPECT_EQ(ChooseSegment(uses, {}), 2u);
}

TEST(CompactionPolicy, WhatLivesHasToFitIntoTheRoomThereIs) {
  const SegmentUse uses[] = {Use(1, 100, 100, 30), Use(2, 200, 200, 20), Use(3, 100, 100, 0)};
  EXPECT_EQ(ChooseSegment(absl::MakeSpan(uses, 2), {.room = 25}), 2u);
  EXPECT_EQ(ChooseSegment(absl::MakeSpan(uses, 2), {.room = 19}), std::nullopt);
  EXPECT_EQ(ChooseSegment(uses, {.room = 0}), 3u);
}

TEST(CompactionPolicy, ASegmentWithoutAGroupGoes) {
  const SegmentUse uses[] = {Use(1, 0, 0, 0)};
  EXPECT_EQ(ChooseSegment(uses, {}), 1u);
}

}  // namespace
}  // namespace restante::embedded
