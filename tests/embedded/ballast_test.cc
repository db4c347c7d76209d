// What is held back, how it is given up, and how it comes back.
#include "server/engine/embedded/ballast.h"

#include <gtest/gtest.h>

#include "server/engine/embedded/ballasted_files.h"
#include "server/engine/embedded/disk_room.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {
namespace {

using Kind = SimulatedDisk::Kind;
using Share = Ballast::Share;

constexpr uint64_t kMiB = 1 << 20;
constexpr Files::Space kRoomy{.total = 1 << 30, .available = 1 << 30, .available_files = 1000};

class BallastTest : public testing::Test {
 protected:
  BallastTest() : ballast_(&disk_, "/ballast", "/spare") {}

  void ExpectHeld(uint64_t bytes, uint64_t files) {
    EXPECT_EQ(ballast_.held().bytes, bytes);
    EXPECT_EQ(ballast_.held().files, files);
    const auto size = disk_.SizeOf("/ballast");
    EXPECT_EQ(size.ok() ? *size : 0, bytes);
    const auto spares = disk_.List("/spare");
    EXPECT_EQ(spares.ok() ? spares->size() : 0, files);
  }

  SimulatedDisk disk_;
  Ballast ballast_;
};

TEST_F(BallastTest, ItIsMadeAndFoundAgainByTheNextProcess) {
  ExpectHeld(0, 0);
  ASSERT_TRUE(ballast_.Restore({.bytes = 32 * kMiB, .files = 64}, kRoomy).ok());
  ExpectHeld(32 * kMiB, 64);
  const Ballast next(&disk_, "/ballast", "/spare");
  EXPECT_EQ(next.held().bytes, 32 * kMiB);
  EXPECT_EQ(next.held().files, 64u);
}

TEST_F(BallastTest, EverybodyGetsHisShareAndNoMore) {
  ASSERT_TRUE(ballast_.Restore({.bytes = 32 * kMiB, .files = 64}, kRoomy).ok());
  // A piece is a thirty-second part, or what is wanted if that is more.
  EXPECT_TRUE(ballast_.GiveUp({.bytes = 1}, Share::kHalf));
  ExpectHeld(31 * kMiB, 64);
  EXPECT_TRUE(ballast_.GiveUp({.bytes = 5 * kMiB, .files = 2}, Share::kHalf));
  ExpectHeld(26 * kMiB, 62);
  EXPECT_TRUE(ballast_.GiveUp({.bytes = 100 * kMiB, .files = 100}, Share::kHalf));
  ExpectHeld(16 * kMiB, 32);
  EXPECT_FALSE(ballast_.GiveUp({.bytes = 1, .files = 1}, Share::kHalf));
  EXPECT_TRUE(ballast_.GiveUp({.bytes = 100 * kMiB, .files = 100}, Share::kThreeQuarters));
  ExpectHeld(8 * kMiB, 16);
  EXPECT_FALSE(ballast_.GiveUp({.bytes = 1, .files = 1}, Share::kThreeQuarters));
  EXPECT_TRUE(ballast_.GiveUp({.bytes = 100 * kMiB, .files = 100}, Share::kAll));
  ExpectHeld(0, 0);
  EXPECT_FALSE(ballast_.GiveUp({.bytes = 1, .files = 1}, Share::kAll));
}

TEST_F(BallastTest, ItComesBackButNotAtOnceAndNeverTakesMoreThanHalfOfWhatIsFree) {
  const Ballast::Amount whole{.bytes = 32 * kMiB, .files = 64};
  ASSERT_TRUE(ballast_.Restore(whole, kRoomy).ok());
  ASSERT_TRUE(ballast_.GiveUp({.bytes = 20 * kMiB, .files = 20}, Share::kAll));
  ASSERT_TRUE(ballast_.Restore(whole, kRoomy).ok());
  ExpectHeld(12 * kMiB, 44);
  ASSERT_TRUE(ballast_.Restore(whole, {.available = 8 * kMiB, .available_files = 10}).ok());
  ExpectHeld(16 * kMiB, 49);
  // Not for crumbs.
  ASSERT_TRUE(ballast_.Restore(whole, {.available = kMiB, .available_files = 1}).ok());
  ExpectHeld(16 * kMiB, 49);
  ASSERT_TRUE(ballast_.Restore(whole, kRoomy).ok());
  ExpectHeld(32 * kMiB, 64);
}

TEST_F(BallastTest, WhatCannotBeHadIsNotHeld) {
  disk_.SetCapacity(10 * kMiB, 20);
  EXPECT_EQ(ballast_.Restore({.bytes = 32 * kMiB, .files = 64}, kRoomy).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ballast_.held().bytes, 0u);
  EXPECT_LE(ballast_.held().files, 20u);
}

TEST_F(BallastTest, OneThatWasRemovedByHandIsMadeAgain) {
  const Ballast::Amount whole{.bytes = 32 * kMiB, .files = 4};
  ASSERT_TRUE(ballast_.Restore(whole, kRoomy).ok());
  ASSERT_TRUE(disk_.Remove("/ballast").ok());
  EXPECT_FALSE(ballast_.GiveUp({.bytes = 1}, Share::kAll));
  ExpectHeld(0, 4);
  ASSERT_TRUE(ballast_.Restore(whole, kRoomy).ok());
  ExpectHeld(32 * kMiB, 4);
}

TEST_F(BallastTest, ItShrinksAndGoesWhenLessIsWanted) {
  ASSERT_TRUE(ballast_.Restore({.bytes = 32 * kMiB, .files = 64}, kRoomy).ok());
  ASSERT_TRUE(ballast_.Restore({.bytes = 8 * kMiB, .files = 8}, kRoomy).ok());
  ExpectHeld(8 * kMiB, 8);
  ASSERT_TRUE(ballast_.Restore({}, kRoomy).ok());
  ExpectHeld(0, 0);
}

TEST_F(BallastTest, AnAppendLeavesNothingTwiceAndIsGivenUpForGoodAfterAnotherError) {
  auto shared = std::make_shared<Ballast>(&disk_, "/ballast", "/spare");
  ASSERT_TRUE(shared->Restore({.bytes = 32 * kMiB, .files = 4}, kRoomy).ok());
  BallastedFiles files(std::shared_ptr<Files>(&disk_, [](Files*) {}), shared, Share::kAll);
  auto file = files.Open("/file", Files::Mode::kCreate);
  ASSERT_TRUE((*file)->Append({"begin "}).ok());
  const absl::Status full = absl::ResourceExhaustedError("no space");
  const auto twice = disk_.Inject(
      {.kind = Kind::kAppend, .path_contains = "/file", .times = 2, .status = full, .part = 0.5});
  ASSERT_TRUE((*file)->Append({"once ", "only"}).ok());
  EXPECT_EQ(disk_.Struck(twice), 2);
  EXPECT_EQ(*ReadWholeFile(disk_, "/file"), "begin once only");
  // What is there is not known now, so nothing is cut off.
  disk_.Inject({.kind = Kind::kAppend,
                .path_contains = "/file",
                .status = absl::InternalError("input/output error"),
                .part = 0.5});
  EXPECT_FALSE((*file)->Append({"half"}).ok());
  disk_.Inject({.kind = Kind::kAppend, .path_contains = "/file", .status = full});
  EXPECT_TRUE(absl::IsResourceExhausted((*file)->Append({"lost"})));
  EXPECT_EQ(*ReadWholeFile(disk_, "/file"), "begin once onlyha");
}

TEST(HeadRoom, LeavesCompactionTwoSegmentsBesideTheBallast) {
  for (uint64_t total = 8 * kMiB; total < uint64_t{1} << 43; total += total / 3) {
    const HeadRoom room = HeadRoomOf(total, {});
    const uint64_t segment = std::clamp(total / kSegmentsOfAStore, kMinSegmentBytes, kMaxSegmentBytes);
    // (Rounding down costs some octets.)
    EXPECT_GE(room.reserve + 256, room.ballast + 2 * segment) << total;
    EXPECT_LE(room.reserve, std::max(total / 20, total / 8 + 2 * segment)) << total;
    EXPECT_LE(room.reserve, 1024 * kMiB) << total;
    EXPECT_GE(room.ballast, std::min(total / 8, 16 * kMiB)) << total;
    EXPECT_LE(room.ballast, 128 * kMiB) << total;
  }
  EXPECT_EQ(HeadRoomOf(uint64_t{1} << 40, {}).reserve, 1024 * kMiB);
  EXPECT_EQ(HeadRoomOf(uint64_t{1} << 40, {}).ballast, 128 * kMiB);
}

TEST(HeadRoom, IsWhatTheOperatorSays) {
  EXPECT_EQ(HeadRoomOf(uint64_t{1} << 40, {.reserve = 0, .ballast = {}}).ballast, 0u);
  EXPECT_EQ(HeadRoomOf(uint64_t{1} << 40, {.reserve = 80 * kMiB, .ballast = {}}).reserve, 80 * kMiB);
  EXPECT_EQ(HeadRoomOf(uint64_t{1} << 40, {.reserve = 80 * kMiB, .ballast = {}}).ballast, 30 * kMiB);
  EXPECT_EQ(HeadRoomOf(uint64_t{1} << 40, {.reserve = 80 * kMiB, .ballast = 90 * kMiB}).ballast, 80 * kMiB);
}

}  // namespace
}  // namespace restante::embedded
