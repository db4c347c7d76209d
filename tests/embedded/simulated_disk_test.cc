// The disk that all crash tests rest on: what survives, what fails, what is noted.
#include "tests/embedded/simulated_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"

namespace restante::embedded {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = SimulatedDisk::Kind;
using Loss = SimulatedDisk::Loss;
using Mode = Files::Mode;

constexpr uint64_t kSector = DiskState::kSectorBytes;

class Disk : public testing::Test {
 protected:
  // The file's content, or `-` where there is none.
  static std::string Content(Files& disk, const std::string& path) {
    const absl::StatusOr<std::string> content = ReadWholeFile(disk, path);
    return content.ok() ? *content : "-";
  }
  std::string After(uint64_t operation, Survives survives, const std::string& path, uint64_t seed = 0) {
    return Content(*disk_.CutAfter(operation, survives, seed), path);
  }
  std::string Now(Survives survives, const std::string& path, uint64_t seed = 0) {
    return After(disk_.operations(), survives, path, seed);
  }
  // Everything that a power cut now may leave of a file, by many seeds.
  std::set<std::string> Outcomes(const std::string& path) {
    std::set<std::string> outcomes;
    for (uint64_t seed = 0; seed < 400; ++seed) outcomes.insert(Now(Survives::kRandom, path, seed));
    return outcomes;
  }
  std::unique_ptr<File> Open(const std::string& path, Mode mode = Mode::kAppend) {
    absl::StatusOr<std::unique_ptr<File>> file = disk_.Open(path, mode);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  // A file whose name and content are durable.
  std::unique_ptr<File> Durable(const std::string& path, const std::string& content) {
    std::unique_ptr<File> file = Open(path);
    EXPECT_TRUE(file->Append({content}).ok() && file->Sync().ok() && disk_.SyncDirectory("/").ok());
    return file;
  }

  SimulatedDisk disk_;
};

TEST_F(Disk, EveryOperationIsNotedAndEveryMomentCanBeSeenAgain) {
  auto file = Open("/a");
  ASSERT_TRUE(file->Append({"one", "two"}).ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(disk_.Rename("/a", "/b").ok());
  ASSERT_TRUE(disk_.SyncDirectory("/").ok());
  ASSERT_EQ(disk_.operations(), 5u);
  EXPECT_EQ(disk_.operation(2).ToString(), "append /a, 6 octets");
  EXPECT_EQ(disk_.operation(4).ToString(), "rename /a to /b");
  // Backwards too.
  for (const int64_t at : {5, 4, 3, 2, 1, 0, 5}) {
    EXPECT_EQ(After(at, Survives::kEverything, "/a"), at == 0 || at > 3 ? "-"
                                                      : at == 1         ? ""
                                                                        : "onetwo")
        << at;
    EXPECT_EQ(After(at, Survives::kEverything, "/b"), at > 3 ? "onetwo" : "-") << at;
    EXPECT_EQ(After(at, Survives::kSynced, "/b"), at == 5 ? "onetwo" : "-") << at;
  }
}

TEST_F(Disk, ANameIsDurableByItsDirectoryAndOctetsByTheirFile) {
  auto unnamed = Open("/unnamed");
  ASSERT_TRUE(unnamed->Append({"x"}).ok() && unnamed->Sync().ok());
  EXPECT_EQ(Now(Survives::kSynced, "/unnamed"), "-");
  auto empty = Open("/empty");
  ASSERT_TRUE(empty->Append({"x"}).ok() && disk_.SyncDirectory("/").ok());
  EXPECT_EQ(Now(Survives::kSynced, "/empty"), "");
  EXPECT_EQ(Now(Survives::kSynced, "/unnamed"), "x");
}

TEST_F(Disk, ADirectoryThatIsNotDurableTakesItsFilesWithIt) {
  ASSERT_TRUE(disk_.MakeDirectory("/a/b").ok());
  auto file = Open("/a/b/c");
  ASSERT_TRUE(file->Append({"x"}).ok() && file->Sync().ok());
  ASSERT_TRUE(disk_.SyncDirectory("/a/b").ok() && disk_.SyncDirectory("/a").ok());
  EXPECT_EQ(Now(Survives::kSynced, "/a/b/c"), "-");
  ASSERT_TRUE(disk_.SyncDirectory("/").ok());
  EXPECT_EQ(Now(Survives::kSynced, "/a/b/c"), "x");
}

TEST_F(Disk, AnUnsyncedAppendIsTornAtEveryOctet) {
  auto file = Durable("/a", "old:");
  ASSERT_TRUE(file->Append({"new"}).ok());
  // Octets that did not get there read as zeros.
  const std::string zeros(3, '\0');
  const std::set<std::string> outcomes = Outcomes("/a");
  for (size_t length = 0; length <= 3; ++length) {
    EXPECT_THAT(outcomes, Contains(std::string("old:new").substr(0, 4 + length)));
    EXPECT_THAT(outcomes, Contains("old:" + zeros.substr(0, length)));
  }
  EXPECT_EQ(outcomes.size(), 7u);
}

TEST_F(Disk, UnsyncedSectorsSurviveInAnyOrder) {
  auto file = Durable("/a", "");
  ASSERT_TRUE(file->Append({std::string(kSector, 'a')}).ok());
  ASSERT_TRUE(file->Append({std::string(kSector, 'b')}).ok());
  const std::string zeros(kSector, '\0');
  EXPECT_THAT(Outcomes("/a"), Contains(zeros + std::string(kSector, 'b')));
  EXPECT_THAT(Outcomes("/a"), Contains(std::string(kSector, 'a') + zeros));
  EXPECT_THAT(Outcomes("/a"), Contains(zeros));
}

TEST_F(Disk, AnUnsyncedTruncationMayOrMayNotSurvive) {
  auto file = Durable("/a", "0123456789");
  ASSERT_TRUE(file->Truncate(4).ok());
  EXPECT_EQ(Now(Survives::kSynced, "/a"), "0123456789");
  EXPECT_THAT(Outcomes("/a"), testing::IsSupersetOf({"0123456789", "0123"}));
  ASSERT_TRUE(file->Append({"ab"}).ok());
  EXPECT_EQ(Content(disk_, "/a"), "0123ab");
  EXPECT_THAT(Outcomes("/a"), testing::IsSupersetOf({"0123456789", "0123", "0123ab", "012345"}));
}

TEST_F(Disk, ARenameIsWholeOrNotAtAll) {
  Durable("/a", "new");
  Durable("/b", "old");
  ASSERT_TRUE(disk_.Rename("/a", "/b").ok());
  std::set<std::string> both;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto image = disk_.CutAfter(disk_.operations(), Survives::kRandom, seed);
    both.insert(absl::StrCat(Content(*image, "/a"), " ", Content(*image, "/b")));
  }
  EXPECT_THAT(both, ElementsAre("- new", "new old"));
}

TEST_F(Disk, UnsyncedNamesSurviveInAnyCombination) {
  Durable("/a", "a");
  ASSERT_TRUE(disk_.Remove("/a").ok());
  Open("/b");
  std::set<std::vector<std::string>> outcomes;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    outcomes.insert(*disk_.CutAfter(disk_.operations(), Survives::kRandom, seed)->List("/"));
  }
  EXPECT_EQ(outcomes.size(), 4u);
}

TEST_F(Disk, WhatAKilledProcessLeavesIsAsUnsyncedAsItWas) {
  auto file = Durable("/a", "durable");
  ASSERT_TRUE(file->Append({" not"}).ok());
  ASSERT_TRUE(disk_.Remove("/a").ok());
  const auto killed = disk_.CutAfter(disk_.operations(), Survives::kEverything);
  EXPECT_THAT(*killed->List("/"), IsEmpty());
  EXPECT_EQ(Content(*killed->CutAfter(0, Survives::kSynced), "/a"), "durable");
  ASSERT_TRUE(killed->SyncDirectory("/").ok());
  EXPECT_EQ(Content(*killed->CutAfter(1, Survives::kSynced), "/a"), "-");
}

TEST_F(Disk, AnImageIsADiskOfItsOwn) {
  Durable("/a", "shared");
  const auto first = disk_.CutAfter(disk_.operations(), Survives::kSynced);
  const auto second = disk_.CutAfter(disk_.operations(), Survives::kSynced);
  auto file = first->Open("/a", Mode::kAppend);
  ASSERT_TRUE((*file)->Append({" changed"}).ok());
  ASSERT_EQ(first->operations(), 1u);
  EXPECT_EQ(Content(*first, "/a"), "shared changed");
  EXPECT_EQ(Content(*second, "/a"), "shared");
  EXPECT_EQ(Content(disk_, "/a"), "shared");
  EXPECT_EQ(Content(*first->CutAfter(1, Survives::kSynced), "/a"), "shared");
}

TEST_F(Disk, LinksShareTheFile) {
  auto file = Durable("/a", "one");
  ASSERT_TRUE(disk_.MakeDirectory("/d").ok());
  ASSERT_TRUE(disk_.Link("/a", "/d/b").ok());
  EXPECT_EQ(disk_.Link("/a", "/d/b").code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(disk_.Remove("/a").ok());
  ASSERT_TRUE(file->Append({"two"}).ok() && file->Sync().ok());
  EXPECT_EQ(Content(disk_, "/d/b"), "onetwo");
  ASSERT_TRUE(disk_.SyncDirectory("/d").ok() && disk_.SyncDirectory("/").ok());
  EXPECT_EQ(Now(Survives::kSynced, "/d/b"), "onetwo");
  EXPECT_EQ(Now(Survives::kSynced, "/a"), "-");
}

// --- faults ---------------------------------------------------------------------

const absl::Status kBroken = absl::InternalError("input/output error");

TEST_F(Disk, AFaultStrikesWhatItNamesAndCounts) {
  const auto fault =
      disk_.Inject({.kind = Kind::kAppend, .path_contains = "/b", .after = 1, .times = 2, .status = kBroken});
  auto a = Open("/a"), b = Open("/b");
  EXPECT_TRUE(a->Append({"x"}).ok());
  EXPECT_TRUE(b->Append({"1"}).ok());
  EXPECT_EQ(b->Append({"2"}).code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(b->Append({"3"}).ok());
  EXPECT_TRUE(b->Append({"4"}).ok());
  EXPECT_EQ(disk_.Struck(fault), 2);
  EXPECT_EQ(Content(disk_, "/b"), "14");
}

TEST_F(Disk, AFaultStrikesTheOperationOfANumber) {
  const auto fault = disk_.Inject({.number = 3, .status = kBroken});
  auto file = Open("/a");
  EXPECT_TRUE(file->Append({"1"}).ok());
  EXPECT_FALSE(disk_.Rename("/a", "/b").ok());
  EXPECT_TRUE(disk_.Rename("/a", "/b").ok());
  EXPECT_EQ(disk_.Struck(fault), 1);
  EXPECT_EQ(disk_.operation(3).ToString(), "rename /a to /b, failed: INTERNAL");
  EXPECT_EQ(After(3, Survives::kEverything, "/a"), "1");
}

TEST_F(Disk, AFailingAppendMayLeaveAPart) {
  disk_.Inject({.kind = Kind::kAppend, .status = kBroken, .part = 0.5});
  auto file = Open("/a");
  EXPECT_FALSE(file->Append({"0123", "4567"}).ok());
  EXPECT_EQ(Content(disk_, "/a"), "0123");
  EXPECT_EQ(Now(Survives::kEverything, "/a"), "0123");
}

TEST_F(Disk, ASyncThatFailedIsNotMadeGoodByTheNext) {
  auto file = Durable("/a", "durable");
  disk_.Inject({.kind = Kind::kSync, .status = kBroken});
  ASSERT_TRUE(file->Append({std::string(2 * PagedOctets::kPageBytes, 'x')}).ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok());
  // In the cache it is still there.
  EXPECT_EQ(Content(disk_, "/a").substr(7, 3), "xxx");
  EXPECT_EQ(Now(Survives::kSynced, "/a").substr(0, 10), std::string("durable\0\0\0", 10));
  // Pages that are written again are written whole.
  ASSERT_TRUE(file->Append({"y"}).ok() && file->Sync().ok());
  EXPECT_EQ(Now(Survives::kSynced, "/a").substr(2 * PagedOctets::kPageBytes), "xxxxxxxy");
  EXPECT_EQ(Now(Survives::kSynced, "/a")[PagedOctets::kPageBytes], '\0');
}

TEST_F(Disk, WhatAFailedSyncLostIsSeenWhenTheCacheIsDropped) {
  auto file = Durable("/a", "durable");
  disk_.Inject({.kind = Kind::kSync, .status = kBroken});
  ASSERT_TRUE(file->Append({"lost"}).ok());
  EXPECT_FALSE(file->Sync().ok());
  // Another process sees it still.
  const auto killed = disk_.CutAfter(disk_.operations(), Survives::kEverything);
  EXPECT_EQ(Content(*killed, "/a"), "durablelost");
  auto again = killed->Open("/a", Mode::kAppend);
  ASSERT_TRUE((*again)->Sync().ok());
  (*again)->DropCached();
  EXPECT_EQ(Content(*killed, "/a"), std::string("durable\0\0\0\0", 11));
  ASSERT_TRUE((*again)->Truncate(7).ok() && (*again)->Append({"!"}).ok() && (*again)->Sync().ok());
  EXPECT_EQ(Content(*killed->CutAfter(killed->operations(), Survives::kSynced), "/a"), "durable!");
}

TEST_F(Disk, ASyncMayFailThoughTheOctetsGotThere) {
  auto file = Durable("/a", "durable");
  disk_.Inject({.kind = Kind::kSync, .status = kBroken, .loss = Loss::kNone});
  ASSERT_TRUE(file->Append({"!"}).ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_EQ(Now(Survives::kSynced, "/a"), "durable!");
}

TEST_F(Disk, ADirectorySyncThatFailedIsMadeGoodByTheNext) {
  disk_.Inject({.kind = Kind::kSyncDirectory, .status = kBroken});
  Open("/a");
  EXPECT_FALSE(disk_.SyncDirectory("/").ok());
  EXPECT_EQ(Now(Survives::kSynced, "/a"), "-");
  EXPECT_TRUE(disk_.SyncDirectory("/").ok());
  EXPECT_EQ(Now(Survives::kSynced, "/a"), "");
}

TEST_F(Disk, AnOperationIsHeldUntilItIsReleased) {
  auto file = Open("/a");
  const auto fault = disk_.Inject({.kind = Kind::kSync, .held = true});
  std::thread syncing([&] { EXPECT_TRUE(file->Sync().ok()); });
  disk_.AwaitStruck(fault);
  EXPECT_EQ(disk_.operations(), 1u);
  EXPECT_TRUE(disk_.Rename("/a", "/b").ok());
  disk_.Release(fault);
  syncing.join();
  EXPECT_EQ(disk_.operations(), 3u);
}

TEST_F(Disk, ReadsFailAndLieWhenToldTo) {
  auto file = Durable("/a", "0123456789");
  const auto failing = disk_.Inject({.kind = Kind::kRead, .path_contains = "/a", .status = kBroken});
  char octets[4] = {};
  EXPECT_EQ(file->ReadAt(0, 4, octets).status().code(), absl::StatusCode::kInternal);
  const auto lying = disk_.Inject({.kind = Kind::kRead, .times = -1, .flips_octet = 6});
  EXPECT_EQ(*file->ReadAt(0, 4, octets), 4u);
  EXPECT_EQ(std::string(octets, 4), "0123");
  EXPECT_EQ(*file->ReadAt(4, 4, octets), 4u);
  EXPECT_EQ(std::string(octets, 4), "45&7");
  EXPECT_EQ(disk_.Struck(failing), 1);
  EXPECT_EQ(disk_.Struck(lying), 1);
  disk_.Heal();
  EXPECT_EQ(Content(disk_, "/a"), "0123456789");
}

TEST_F(Disk, AFullDiskTakesAPartAndGivesRoomBackWithTheLastUser) {
  auto a = Open("/a"), b = Open("/b");
  disk_.SetCapacity(10);
  ASSERT_TRUE(a->Append({"0123456"}).ok());
  EXPECT_EQ(disk_.SpaceAt("/")->available, 3u);
  EXPECT_EQ(b->Append({"abcdef"}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Content(disk_, "/b"), "abc");
  EXPECT_EQ(disk_.out_of_room(), 1);
  ASSERT_TRUE(disk_.Remove("/a").ok());
  EXPECT_EQ(disk_.SpaceAt("/")->available, 0u);
  a.reset();
  EXPECT_EQ(disk_.SpaceAt("/")->available, 7u);
  EXPECT_EQ(b->Preallocate(11).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(b->Preallocate(10).ok());
}

TEST_F(Disk, WithoutInodesNothingIsMade) {
  Open("/a");
  disk_.SetCapacity(1000, 2);
  EXPECT_EQ(disk_.SpaceAt("/")->available_files, 0u);
  EXPECT_EQ(disk_.Open("/b", Mode::kAppend).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(disk_.MakeDirectory("/d").code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(disk_.Remove("/a").ok());
  Open("/b");
}

TEST_F(Disk, OneHasALock) {
  auto lock = disk_.Lock("/lock");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(disk_.Lock("/lock").status().code(), absl::StatusCode::kUnavailable);
  // A machine that stopped holds none.
  EXPECT_TRUE(disk_.CutAfter(disk_.operations(), Survives::kEverything)->Lock("/lock").ok());
  lock->reset();
  EXPECT_TRUE(disk_.Lock("/lock").ok());
}

}  // namespace
}  // namespace restante::embedded
