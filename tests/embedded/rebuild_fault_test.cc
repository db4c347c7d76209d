// The index made again from a log that something went wrong with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = SimulatedDisk::Kind;

const absl::Status kBroken = absl::InternalError("input/output error");

class RebuildFault : public testing::Test {
 protected:
  RebuildFault() : store_("/data") {
    store_.options.files = &disk_;
    store_.options.segment_bytes = 50'000;
    store_.options.compaction_bytes_per_second = 0;  // Only by command.
  }
  void SetUp() override {
    ASSERT_TRUE(store_.Open().ok());
    ASSERT_TRUE(store_.Deliver("kept").ok());
  }

  absl::Status OpenRebuilding() {
    store_.options.rebuild_index = true;
    absl::Status status = store_.Open();
    store_.options.rebuild_index = false;
    return status;
  }
  absl::Status Compact() {
    return Await<absl::Status>([&](auto done) {
      store_.engine->Compact([](const engine::UpkeepProgress&) { return true; }, std::move(done));
    });
  }
  // Deliveries that fill a segment, and are expunged.
  void FillSegment() {
    for (int i = 0; i < 12; ++i) {
      const auto receipt = store_.Deliver(Noise(5'000, i));
      ASSERT_TRUE(receipt.ok()) << receipt.status();
      ASSERT_TRUE(store_.Expunge(receipt->recipients(0).uid()).ok());
    }
  }
  bool Has(uint64_t segment) { return disk_.SizeOf("/data/segments/" + SegmentName(segment)).ok(); }
  // Every way to start gives the same store, time after time.
  void ExpectKept() {
    for (int times = 0; times < 2; ++times) {
      const absl::Status rebuilt = OpenRebuilding();
      ASSERT_TRUE(rebuilt.ok()) << rebuilt;
      EXPECT_THAT(store_.Texts(), ElementsAre("kept"));
      EXPECT_THAT(store_.Problems(), IsEmpty());
      const absl::Status opened = store_.Open();
      ASSERT_TRUE(opened.ok()) << opened;
      EXPECT_THAT(store_.Texts(), ElementsAre("kept"));
      EXPECT_THAT(store_.Problems(), IsEmpty());
    }
  }

  SimulatedDisk disk_;
  SmallStore store_;
};

TEST_F(RebuildFault, WhereASegmentEndsIsKnownThoughItsSuccessorWasBegunInAnEarlierLife) {
  const auto fault = disk_.Inject({.kind = Kind::kAppend, .path_contains = "/segments/", .status = kBroken});
  ASSERT_FALSE(store_.Deliver("lost").ok());
  ASSERT_EQ(disk_.Struck(fault), 1);
  // The log goes on in segment 2, which has no group yet.
  ASSERT_TRUE(Has(2));
  ASSERT_TRUE(store_.Open().ok());
  FillSegment();
  ASSERT_TRUE(store_.Deliver(Noise(5'000, 99)).ok());
  ASSERT_TRUE(store_.Expunge(store_.Entries().back().uid()).ok());
  // (The oldest is left alone, so that its successor is what goes.)
  disk_.Inject({.kind = Kind::kRead, .path_contains = SegmentName(1), .times = -1, .status = kBroken});
  Compact().IgnoreError();
  disk_.Heal();
  ASSERT_TRUE(Has(1));
  ASSERT_FALSE(Has(2));
  ExpectKept();
}

TEST_F(RebuildFault, ASegmentWhoseRemovalFailedIsNotTakenUpAgain) {
  FillSegment();
  ASSERT_TRUE(store_.Deliver(Noise(5'000, 99)).ok());
  ASSERT_TRUE(store_.Expunge(store_.Entries().back().uid()).ok());
  const auto fault =
      disk_.Inject({.kind = Kind::kRemove, .path_contains = SegmentName(1), .times = -1, .status = kBroken});
  ASSERT_TRUE(Compact().ok());
  store_.Close();
  ASSERT_GE(disk_.Struck(fault), 1);
  ASSERT_TRUE(Has(1));
  disk_.Heal();
  ExpectKept();
}

}  // namespace
}  // namespace restante::embedded
