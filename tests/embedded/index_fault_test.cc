// What LevelDB would do after a failure, and must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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

// A power cut may leave a checkpoint whose sync was under way without some of the
// batches before it, where it begins another block of LevelDB's log (32 KiB): the
// index would be refused as damaged.
TEST(Index, ACheckpointDoesNotOutliveWhatItCovers) {
  constexpr int kGroups = 12;
  constexpr uint64_t kSeeds = 40;
  SimulatedDisk disk;
  Index index(&disk, "/index");
  ASSERT_TRUE(disk.MakeDirectory("/index").ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  ASSERT_TRUE(index.Open(/*create=*/true).ok());
  stored::Checkpoint checkpoint;
  ASSERT_TRUE(index.WriteCheckpoint(checkpoint).ok());
  const uint64_t made = disk.operations();
  for (uint64_t number = 1; number <= kGroups; ++number) {
    stored::Group group;
    group.set_number(number);
    stored::Put& put = *group.add_puts();
    put.set_key(absl::StrCat("x", number));
    put.set_value(std::string(10'900, 'x'));
    ASSERT_TRUE(index.Apply({&group}).ok());
    if (number % 3 != 0) continue;
    checkpoint.set_group(number);
    checkpoint.set_previous_group(number - 3);
    ASSERT_TRUE(index.WriteCheckpoint(checkpoint).ok());
  }
  index.Close();
  ASSERT_GT(disk.operations(), made + kGroups);
  for (uint64_t after = made; after <= disk.operations(); ++after) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const std::unique_ptr<SimulatedDisk> image = disk.CutAfter(after, Survives::kRandom, seed);
      Index left(image.get(), "/index");
      const absl::Status opened = left.Open(/*create=*/false);
      ASSERT_TRUE(opened.ok()) << "after " << disk.operation(after).ToString() << ", seed " << seed << ": "
                               << opened;
    }
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
