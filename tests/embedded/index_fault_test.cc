// What LevelDB would do after a failure, and must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "server/engine/embedded/index.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::IsEmpty;
using Kind = SimulatedDisk::Kind;

const absl::Status kBroken = absl::InternalError("input/output error");

class IndexFault : public testing::Test {
 protected:
  IndexFault() : store_("/data") { store_.options.files = &disk_; }
  void SetUp() override { ASSERT_TRUE(store_.Open().ok()); }

  // While the index is opened again, it cannot be asked for receipts.
  void Deliver() {
    const std::string text = absl::StrCat("message ", kept_.size());
    absl::Status status;
    do {
      status = store_.Deliver(text).status();
    } while (absl::IsUnavailable(status));
    ASSERT_TRUE(status.ok()) << status;
    kept_.push_back(text);
  }
  void ExpectAllKept() {
    EXPECT_TRUE(store_.Texts() == kept_);
    EXPECT_THAT(store_.Problems(), IsEmpty());
  }
  // After a failed sync of a file another one proves nothing.
  void ExpectNoSyncAfterAFailedOne() {
    std::set<uint64_t> failed;
    for (uint64_t i = 1; i <= disk_.operations(); ++i) {
      const DiskOperation operation = disk_.operation(i);
      if (operation.kind != Kind::kSync) continue;
      EXPECT_FALSE(failed.contains(operation.file)) << operation.ToString();
      if (operation.failed != absl::StatusCode::kOk) failed.insert(operation.file);
    }
    EXPECT_THAT(failed, testing::Not(IsEmpty()));
  }

  SimulatedDisk disk_;
  SmallStore store_;
  std::vector<std::string> kept_;
};

// Whether memory was full or a checkpoint was asked for, and whatever of it a power cut
// leaves: the checkpoint that is found says exactly which groups are.
TEST(Index, APowerCutLeavesAllGroupsUpToItsCheckpointAndNoOther) {
  constexpr uint64_t kGroups = 24;
  constexpr uint64_t kSeeds = 20;
  SimulatedDisk disk;
  ASSERT_TRUE(disk.MakeDirectory("/index").ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  Index index(&disk, "/index", Index::kSmallestBuffer);
  ASSERT_TRUE(index.Open(/*create=*/true).ok());
  ASSERT_TRUE(index.WriteCheckpoint({}).ok());
  const uint64_t made = disk.operations();
  stored::Checkpoint reached;
  std::map<uint64_t, uint64_t> checkpointed;  // Operations, and the group that is durable then.
  for (uint64_t number = 1; number <= kGroups; ++number) {
    stored::Group group;
    group.set_number(number);
    stored::Put& put = *group.add_puts();
    put.set_key(absl::StrCat("x", number));
    put.set_value(Noise(10'900, number));
    reached.set_group(number);
    ASSERT_TRUE(index.Apply({&group}, &reached).ok());
    if (number % 9 != 0) continue;
    ASSERT_TRUE(index.WriteCheckpoint(reached).ok());
    checkpointed[disk.operations()] = number;
  }
  index.Close();
  std::set<uint64_t> found;
  for (uint64_t after = made; after <= disk.operations(); ++after) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const std::string where = absl::StrCat("after ", disk.operation(after).ToString(), ", seed ", seed);
      const std::unique_ptr<SimulatedDisk> image = disk.CutAfter(after, Survives::kRandom, seed);
      Index left(image.get(), "/index");
      const absl::Status opened = left.Open(/*create=*/false);
      ASSERT_TRUE(opened.ok()) << where << ": " << opened;
      const uint64_t group = left.ReadCheckpoint()->group();
      found.insert(group);
      for (uint64_t number = 1; number <= kGroups; ++number) {
        EXPECT_EQ((*left.Snapshot(0)->Get(absl::StrCat("x", number))).has_value(), number <= group)
            << where << ": group " << number << ", checkpoint " << group;
      }
      if (const auto next = checkpointed.upper_bound(after); next != checkpointed.begin()) {
        EXPECT_GE(group, std::prev(next)->second) << where;
      }
    }
  }
  // Checkpoints, and between them what filled the memory.
  EXPECT_TRUE(found.contains(9) && found.contains(18));
  EXPECT_GT(found.size(), 4u);
}

// LevelDB 1.23 does not survive it when its memory cannot become a table while a range is
// being compacted by request.
TEST(Index, ATableThatCannotBeMadeBesideACompactionIsAnErrorAndNothingWorse) {
  SimulatedDisk disk;
  ASSERT_TRUE(disk.MakeDirectory("/index").ok());
  Index index(&disk, "/index", Index::kSmallestBuffer);
  ASSERT_TRUE(index.Open(/*create=*/true).ok());
  std::vector<stored::Group> groups(5);
  for (size_t number = 0; number < groups.size(); ++number) {
    groups[number].set_number(number + 1);
    for (int i = 0; i < 5000; ++i) {
      stored::Put& put = *groups[number].add_puts();
      put.set_key(absl::StrCat("x", i));
      put.set_value(absl::StrCat(Noise(16, number), i));
    }
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(index.Apply({&groups[i]}, nullptr).ok());
  ASSERT_TRUE(index.WriteCheckpoint({}).ok());

  const auto compacted = disk.Inject({.kind = Kind::kCreate, .path_contains = ".ldb", .held = true});
  std::thread compaction(
      [&, snapshot = index.Snapshot(0)] { snapshot->CompactIndex([] { return true; }).IgnoreError(); });
  disk.AwaitStruck(compacted);
  const auto broken = disk.Inject({.kind = Kind::kCreate, .path_contains = ".ldb", .status = kBroken});
  absl::Status written;
  absl::Notification applied;
  std::thread writer([&] {
    for (int i = 3; i < 5 && written.ok(); ++i) written = index.Apply({&groups[i]}, nullptr);
    applied.Notify();
    written.Update(index.WriteCheckpoint({}));
  });
  // (It is to wait for the compaction, so this is in vain.)
  applied.WaitForNotificationWithTimeout(absl::Milliseconds(500));
  disk.Release(compacted);
  compaction.join();
  writer.join();
  EXPECT_EQ(disk.Struck(broken), 1);
  EXPECT_TRUE(absl::IsUnavailable(written)) << written;
}

// Each change of a manifest is synced before the next is begun: what is wrong with the
// last one may be a crash's doing, what is wrong with another is not.
TEST(Index, ATornLastChangeOfAManifestIsNoneAndATornEarlierOneIsDamage) {
  SimulatedDisk disk;
  ASSERT_TRUE(disk.MakeDirectory("/index").ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  Index index(&disk, "/index");
  ASSERT_TRUE(index.Open(/*create=*/true).ok());
  ASSERT_TRUE(index.WriteCheckpoint({}).ok());
  std::string manifest;
  uint64_t before_last = 0, end = 0;
  stored::Checkpoint reached;
  for (uint64_t number = 1; number <= 3; ++number) {
    before_last = end;
    stored::Group group;
    group.set_number(number);
    group.add_puts()->set_key(absl::StrCat("x", number));
    reached.set_group(number);
    ASSERT_TRUE(index.Apply({&group}, &reached).ok());
    ASSERT_TRUE(index.WriteCheckpoint(reached).ok());
    const std::vector<std::string> names = *disk.List("/index");
    for (const std::string& name : names) {
      if (absl::StartsWith(name, "MANIFEST")) manifest = absl::StrCat("/index/", name);
    }
    end = *disk.SizeOf(manifest);
  }
  index.Close();
  ASSERT_GT(before_last, 0u);
  const uint64_t all = disk.operations();
  for (uint64_t at = 0; at < end; ++at) {
    const std::unique_ptr<SimulatedDisk> image = disk.CutAfter(all, Survives::kEverything);
    const auto wrong =
        image->Inject({.kind = Kind::kRead, .path_contains = manifest, .times = -1, .flips_octet = at});
    Index left(image.get(), "/index");
    const absl::Status opened = left.Open(/*create=*/false);
    EXPECT_GT(image->Struck(wrong), 0);
    if (at < before_last) {
      EXPECT_TRUE(absl::IsDataLoss(opened)) << "octet " << at << ": " << opened;
      continue;
    }
    ASSERT_TRUE(opened.ok()) << "octet " << at << ": " << opened;
    EXPECT_EQ(left.ReadCheckpoint()->group(), 2u) << "octet " << at;
    EXPECT_FALSE((*left.Snapshot(0)->Get("x3")).has_value()) << "octet " << at;
  }
}

TEST_F(IndexFault, AStartThatFailsAtAnyOperationIsFollowedByOneThatDoesNot) {
  int failed = 0;
  for (int after = 0;; ++after) {
    Deliver();
    store_.Close();
    const auto fault = disk_.Inject({.path_contains = "/index", .after = after, .status = kBroken});
    failed += !store_.Open().ok();
    const bool struck = disk_.Struck(fault) > 0;
    disk_.Heal();
    if (!struck) break;
    const absl::Status opened = store_.Open();
    ASSERT_TRUE(opened.ok()) << "after operation " << after << ": " << opened;
    ExpectAllKept();
  }
  EXPECT_GT(failed, 5);
  ExpectNoSyncAfterAFailedOne();
}

TEST_F(IndexFault, OpenedAgainInProcessItSurvivesAnotherFailure) {
  store_.options.checkpoint_bytes = 1;  // So that every batch is written at once.
  ASSERT_TRUE(store_.Open().ok());
  // The directory is synced for the new MANIFEST, for a temporary file, and for
  // that as CURRENT.
  for (int after = 0; after < 3; ++after) {
    const uint64_t reopened = store_.Figure("index_reopened");
    disk_.Inject({.kind = Kind::kAppend, .path_contains = "/index/", .status = kBroken});
    const auto fault = disk_.Inject(
        {.kind = Kind::kSyncDirectory, .path_contains = "/index", .after = after, .status = kBroken});
    Deliver();
    disk_.AwaitStruck(fault);
    store_.AwaitIndexed();
    EXPECT_GE(store_.Figure("index_reopened"), reopened + 2);
    ExpectAllKept();
  }
  ASSERT_TRUE(store_.Open().ok());
  ExpectAllKept();
}

}  // namespace
}  // namespace restante::embedded
