// The states of a message in FORMAT.md, one by one: what is on disk in each, and
// what the next start makes of it. Each test shows that its cut met that state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "tests/embedded/crash_check.h"
#include "tests/embedded/noted_store.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = SimulatedDisk::Kind;

constexpr char kBodies[] = "/srv/store/bodies";
constexpr char kFirstSegment[] = "/srv/store/segments/0000000000000001.log";
constexpr size_t kLarge = 40'000;  // Gets a file of its own.

class CrashState : public testing::Test {
 protected:
  CrashState() : options_(SmallOptions()), store_(&disk_, options_) {}

  void SetUp() override {
    ASSERT_TRUE(store_.Open().ok());
    ASSERT_TRUE(store_.MakeMailbox().ok());
    ASSERT_TRUE(store_.Deliver({0}, 100).ok());
  }

  // The number of the last operation of a kind on a path that contains this.
  uint64_t Last(Kind kind, const std::string& path_contains) {
    for (uint64_t number = disk_.operations(); number > 0; --number) {
      const DiskOperation operation = disk_.operation(number);
      if (operation.kind == kind && absl::StrContains(operation.path, path_contains)) return number;
    }
    ADD_FAILURE() << "no operation on " << path_contains;
    return 0;
  }

  void Cut(uint64_t after, Survives survives, uint64_t seed = 0) {
    after_ = after;
    image_ = disk_.CutAfter(after, survives, seed);
  }
  std::vector<std::string> Names(const std::string& directory) { return *image_->List(directory); }
  uint64_t SizeOf(const std::string& path) { return *image_->SizeOf(path); }

  // Whether that start, or what came after it, removed a file.
  bool WasRemoved(const std::string& name) {
    for (uint64_t number = 1; number <= image_->operations(); ++number) {
      const DiskOperation operation = image_->operation(number);
      if (operation.kind == Kind::kRemove && absl::EndsWith(operation.path, name)) return true;
    }
    return false;
  }

  // Starts on the image; all promises have to hold. (So does all that is checked
  // there after it: more mail, another start.)
  void Start() {
    check_ =
        std::make_unique<CrashCheck>(image_.get(), options_, store_.history(), static_cast<int64_t>(after_));
    EXPECT_TRUE(check_->Run(/*seed=*/1)) << absl::StrJoin(check_->problems(), "\n");
  }
  // How many messages that start showed.
  size_t Shown() { return check_->shown().mailboxes.begin()->second.messages.size(); }

  const Options options_;
  SimulatedDisk disk_;
  NotedStore store_;
  uint64_t after_ = 0;
  std::unique_ptr<SimulatedDisk> image_;
  std::unique_ptr<CrashCheck> check_;
};

TEST_F(CrashState, WhatIsReservedLeavesNothing) {
  const uint64_t before = disk_.operations();
  const uint64_t mailbox = store_.history().partitions.back().partition.number;
  engine::TransactionId id;
  id.octets[0] = 1;
  ASSERT_TRUE(Await<absl::StatusOr<engine::OpenResult>>([&](auto done) {
                store_.engine().Open(id, 5000, std::move(done));
              }).ok());
  ASSERT_TRUE(Await<absl::StatusOr<engine::ReserveResult>>([&](auto done) {
                store_.engine().Reserve(id, mailbox, {.bytes = 5000, .at_least = 5000}, std::move(done));
              }).ok());
  ASSERT_TRUE(Await<absl::StatusOr<engine::Confirmed>>([&](auto done) {
                store_.engine().Confirm(id, std::move(done));
              }).ok());
  // (The index may still be written to, for the message that is there.)
  for (uint64_t number = before + 1; number <= disk_.operations(); ++number) {
    EXPECT_THAT(disk_.operation(number).path, testing::HasSubstr("/index/"));
  }
  Cut(disk_.operations(), Survives::kEverything);
  Start();
  EXPECT_EQ(Shown(), 1u);
}

TEST_F(CrashState, ASmallBodyThatWasWrittenLeavesNothing) {
  ASSERT_TRUE(store_.Abandon(0, 500).ok());
  Cut(disk_.operations(), Survives::kEverything);
  EXPECT_THAT(Names(kBodies), IsEmpty());
  Start();
  EXPECT_EQ(Shown(), 1u);
}

TEST_F(CrashState, ALargeBodyThatIsBeingWrittenLeavesAPartThatTheNextStartRemoves) {
  ASSERT_TRUE(store_.Deliver({0}, kLarge).ok());
  Cut(Last(Kind::kAppend, ".part"), Survives::kEverything);
  ASSERT_THAT(Names(kBodies), ElementsAre(testing::EndsWith(".part")));
  const std::string left = Names(kBodies)[0];
  Start();
  EXPECT_EQ(Shown(), 1u);
  EXPECT_TRUE(WasRemoved(left));
}

TEST_F(CrashState, ALargeBodyWithoutItsGroupLeavesAFileThatTheNextStartRemoves) {
  ASSERT_TRUE(store_.Deliver({0}, kLarge).ok());
  Cut(Last(Kind::kSyncDirectory, kBodies), Survives::kSynced);
  ASSERT_THAT(Names(kBodies), ElementsAre(testing::EndsWith(".body")));
  const std::string left = Names(kBodies)[0];
  Start();
  EXPECT_EQ(Shown(), 1u);
  EXPECT_TRUE(WasRemoved(left));
}

TEST_F(CrashState, AGroupThatIsNotSyncedIsCutOffWhereverItIsTorn) {
  const uint64_t before = *disk_.SizeOf(kFirstSegment);
  ASSERT_TRUE(store_.Deliver({0}, 3000).ok());
  const uint64_t whole = *disk_.SizeOf(kFirstSegment);
  int torn = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Cut(Last(Kind::kAppend, "/segments/"), Survives::kRandom, seed);
    const uint64_t size = SizeOf(kFirstSegment);
    Start();
    // Shorter, or with holes.
    if (Shown() == 1 && size > before) ++torn;
    EXPECT_TRUE(Shown() == 1 || size == whole);
  }
  EXPECT_GT(torn, 10);
}

TEST_F(CrashState, AWholeGroupThatIsNotSyncedIsSyncedAndKept) {
  ASSERT_TRUE(store_.Deliver({0}, 3000).ok());
  Cut(Last(Kind::kAppend, "/segments/"), Survives::kEverything);
  const uint64_t size = SizeOf(kFirstSegment);
  Start();
  EXPECT_EQ(Shown(), 2u);
  EXPECT_GE(check_->recovered_groups(), 1u);
  // It was synced before the index got it: an index that has seen more than the log
  // has would be refused.
  uint64_t synced = 1;
  while (image_->operation(synced).ToString() != std::string("sync ") + kFirstSegment) ++synced;
  for (uint64_t number = 1; number < synced; ++number) {
    const DiskOperation operation = image_->operation(number);
    EXPECT_FALSE(operation.kind == Kind::kAppend && absl::StrContains(operation.path, "/index/")) << number;
  }
  EXPECT_EQ(*image_->CutAfter(synced, Survives::kSynced)->SizeOf(kFirstSegment), size);
}

TEST_F(CrashState, WhatIsSyncedIsStoredThoughTheIndexLags) {
  ASSERT_TRUE(store_.Deliver({0}, 3000).ok());
  Cut(Last(Kind::kSync, "/segments/"), Survives::kSynced);
  Start();
  EXPECT_EQ(Shown(), 2u);
  EXPECT_GE(check_->recovered_groups(), 1u);
}

TEST_F(CrashState, WhatIsCheckpointedNeedsNoReplay) {
  ASSERT_TRUE(store_.Deliver({0}, 3000).ok());
  store_.Close();
  Cut(Last(Kind::kSync, "/index/"), Survives::kSynced);
  Start();
  EXPECT_EQ(Shown(), 2u);
  EXPECT_EQ(check_->recovered_groups(), 0u);
}

TEST_F(CrashState, AnExpungedBodysFileIsRemovedByTheNextStart) {
  ASSERT_TRUE(store_.Deliver({0}, kLarge).ok());
  ASSERT_TRUE(store_.Expunge(0).ok());
  ASSERT_TRUE(store_.Expunge(0).ok());
  store_.AwaitOperation(Kind::kRemove, ".body", 0);
  // Its group is synced, the file is still there.
  Cut(Last(Kind::kRemove, ".body") - 1, Survives::kSynced);
  ASSERT_THAT(Names(kBodies), SizeIs(1));
  Start();
  EXPECT_EQ(Shown(), 0u);
  EXPECT_THAT(Names(kBodies), IsEmpty());
  // A removal that did not last is done again.
  Cut(Last(Kind::kRemove, ".body"), Survives::kSynced);
  ASSERT_THAT(Names(kBodies), SizeIs(1));
  Start();
  EXPECT_THAT(Names(kBodies), IsEmpty());
}

TEST_F(CrashState, ASegmentThatTheIndexLetGoIsRemovedByTheNextStart) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(store_.Deliver({0}, 6000).ok());
  for (int i = 0; i < 13; ++i) ASSERT_TRUE(store_.Expunge(0).ok());
  store_.AwaitOperation(Kind::kRemove, "/segments/", 0);
  const uint64_t removed = Last(Kind::kRemove, "/segments/");
  const std::string path = disk_.operation(removed).path;
  for (const uint64_t after : {removed - 1, removed}) {
    Cut(after, Survives::kSynced);
    ASSERT_TRUE(image_->SizeOf(path).ok());
    Start();
    EXPECT_FALSE(image_->SizeOf(path).ok());
  }
}

// --- when writing fails ---------------------------------------------------------------

const absl::Status kBroken = absl::InternalError("input/output error");

TEST_F(CrashState, AGroupWhoseSyncFailedDoesNotCountOnceTheNextSegmentSaysSo) {
  // Its octets did reach the disk.
  const auto fault = disk_.Inject({.kind = Kind::kSync,
                                   .path_contains = "/segments/",
                                   .status = kBroken,
                                   .loss = SimulatedDisk::Loss::kNone});
  EXPECT_TRUE(absl::IsAborted(store_.Deliver({0}, 3000)));
  ASSERT_EQ(disk_.Struck(fault), 1);
  const uint64_t begun = Last(Kind::kSyncDirectory, "/segments");
  Cut(begun, Survives::kSynced);
  ASSERT_THAT(Names("/srv/store/segments"), SizeIs(2));
  Start();
  EXPECT_EQ(Shown(), 1u);
  // A moment before nobody had been told, and the group is whole.
  Cut(begun - 1, Survives::kSynced);
  ASSERT_THAT(Names("/srv/store/segments"), SizeIs(1));
  Start();
  EXPECT_EQ(Shown(), 2u);
}

TEST_F(CrashState, AGroupWhoseAppendFailedDoesNotCountOnceItIsCutOff) {
  const uint64_t before = *disk_.SizeOf(kFirstSegment);
  const auto fault =
      disk_.Inject({.kind = Kind::kAppend, .path_contains = "/segments/", .status = kBroken, .part = 1});
  EXPECT_TRUE(absl::IsAborted(store_.Deliver({0}, 3000)));
  ASSERT_EQ(disk_.Struck(fault), 1);
  const uint64_t truncated = Last(Kind::kTruncate, kFirstSegment);
  Cut(truncated + 1, Survives::kSynced);
  EXPECT_EQ(SizeOf(kFirstSegment), before);
  Start();
  EXPECT_EQ(Shown(), 1u);
  // Not cut off yet: nobody had been told, and it is whole.
  Cut(truncated - 1, Survives::kEverything);
  EXPECT_GT(SizeOf(kFirstSegment), before + 3000);
  Start();
  EXPECT_EQ(Shown(), 2u);
}

TEST_F(CrashState, AnUndecidedGroupThatTheDiskNeverGotIsNotBelieved) {
  // The sync loses the octets and leaves them in the cache; nothing says that they
  // do not count, for no segment can be begun; then the process is killed.
  disk_.Inject({.kind = Kind::kSync, .path_contains = "/segments/", .status = kBroken});
  disk_.Inject({.kind = Kind::kCreate, .path_contains = "/segments/", .times = -1, .status = kBroken});
  std::thread client([&] { EXPECT_FALSE(store_.Deliver({0}, 3000).ok()); });
  while (!store_.engine().GetCapacity().read_only) std::this_thread::yield();
  Cut(disk_.operations(), Survives::kEverything);
  EXPECT_GT(SizeOf(kFirstSegment), 3000u);
  Start();
  EXPECT_EQ(Shown(), 1u);
  disk_.Heal();
  client.join();
}

}  // namespace
}  // namespace restante::embedded
