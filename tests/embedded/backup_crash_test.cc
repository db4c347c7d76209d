// The power is cut after every single operation of the disk while a store is
// backed up, and while a backup is restored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/engine/embedded/restore.h"
#include "tests/embedded/delivery.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kData[] = "/data", kBackup[] = "/mnt/backup", kRestored[] = "/restored";

std::vector<std::string> Marks(const std::vector<std::string>& texts) {
  std::vector<std::string> marks;
  for (const std::string& text : texts)
    marks.push_back(absl::StrCat(text.size(), "-", absl::Hex(Crc32c(text))));
  return marks;
}

SmallStore StoreOn(SimulatedDisk& disk, const std::string& path) {
  SmallStore store(path);
  store.options.files = &disk;
  store.options.segment_bytes = 20'000;
  store.options.compaction_bytes_per_second = 0;
  // The disk is not looked at by the clock: operations are counted.
  store.options.maintenance_interval = absl::Hours(1);
  return store;
}

// A message that has a file of its own, for it was announced as a large one.
absl::Status DeliverInFile(SmallStore& store, uint64_t seed) {
  Delivery delivery{.transaction = store.NewTransaction(), .text = Noise(8'000, seed), .expected = 5'000'000};
  delivery.entries.emplace_back(store.mailbox, stored::Entry());
  return Deliver(*store.engine, std::move(delivery)).status();
}

absl::StatusOr<engine::BackupSummary> BackUp(SmallStore& store) {
  return Await<absl::StatusOr<engine::BackupSummary>>([&](auto done) {
    store.engine->Backup(
        {.directory = kBackup}, [](engine::UpkeepProgress) { return true; }, std::move(done));
  });
}

absl::Status RestoreOn(SimulatedDisk& disk, const std::string& path = kRestored) {
  return Restore(StoreOn(disk, path).options, kBackup, false, {},
                 [](engine::Engine&, const BackupManifest&) { return absl::OkStatus(); })
      .status();
}

// What a store that is in order holds.
std::vector<std::string> Content(SimulatedDisk& disk, const std::string& path) {
  SmallStore store = StoreOn(disk, path);
  store.options.create = false;
  const absl::Status opened = store.Open();
  EXPECT_TRUE(opened.ok()) << opened;
  if (!opened.ok()) return {"does not open"};
  EXPECT_THAT(store.Problems(), IsEmpty());
  return Marks(store.Texts());
}

std::unique_ptr<SimulatedDisk> NewDisk(bool links) {
  auto disk = std::make_unique<SimulatedDisk>();
  EXPECT_TRUE(disk->MakeDirectory("/mnt").ok());
  EXPECT_TRUE(disk->SyncDirectory("/").ok());
  if (!links) {
    disk->Inject(
        {.kind = SimulatedDisk::Kind::kLink, .times = -1, .status = absl::UnimplementedError("two disks")});
  }
  return disk;
}

struct Mode {
  Survives survives;
  uint64_t seed;
};
constexpr Mode kModes[] = {{Survives::kSynced, 0}, {Survives::kEverything, 0}, {Survives::kRandom, 1},
                           {Survives::kRandom, 2}, {Survives::kRandom, 3},     {Survives::kRandom, 4},
                           {Survives::kRandom, 5}, {Survives::kRandom, 6}};

class BackupCrash : public testing::TestWithParam<bool> {};

TEST_P(BackupCrash, AFinishedBackupIsNeverLostAndAnUnfinishedOneNeverTakenForOne) {
  const std::unique_ptr<SimulatedDisk> disk = NewDisk(GetParam());
  SmallStore store = StoreOn(*disk, kData);
  ASSERT_TRUE(store.Open().ok());
  for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(store.Deliver(Noise(5'000, i)).ok());
  ASSERT_TRUE(DeliverInFile(store, 10).ok());
  const uint64_t begun = disk->operations();
  ASSERT_TRUE(BackUp(store).ok());
  const uint64_t first_done = disk->operations();
  const std::vector<std::string> first = Marks(store.Texts());
  for (uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(store.Deliver(Noise(5'000, 20 + i)).ok());
  for (uint64_t uid = 1; uid <= 7; uid += 2) ASSERT_TRUE(store.Expunge(uid).ok());
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                store.engine->Compact([](engine::UpkeepProgress) { return true; }, std::move(done));
              }).ok());
  const uint64_t second_begun = disk->operations();
  ASSERT_TRUE(BackUp(store).ok());
  const uint64_t ended = disk->operations();
  const std::vector<std::string> second = Marks(store.Texts());
  ASSERT_NE(first, second);

  int cuts = 0, found[3] = {};
  for (uint64_t at = begun; at <= ended; ++at) {
    if (at == first_done + 1) at = second_begun;
    for (const Mode& mode : kModes) {
      ++cuts;
      SCOPED_TRACE(absl::StrCat("cut after ", at, " of ", ended, ": ", disk->operation(at).ToString(),
                                "; mode ", static_cast<int>(mode.survives), ", seed ", mode.seed));
      const std::unique_ptr<SimulatedDisk> image = disk->CutAfter(at, mode.survives, mode.seed);
      if (!GetParam()) {
        image->Inject({.kind = SimulatedDisk::Kind::kLink,
                       .times = -1,
                       .status = absl::UnimplementedError("two disks")});
      }
      const absl::Status restored = RestoreOn(*image);
      if (absl::IsNotFound(restored)) {
        ASSERT_LT(at, first_done) << restored;
        ++found[0];
      } else {
        ASSERT_TRUE(restored.ok()) << restored;
        const std::vector<std::string> content = Content(*image, kRestored);
        ASSERT_TRUE(content == first || content == second);
        ASSERT_TRUE(at >= second_begun || content == first);
        ASSERT_TRUE(at < ended || content == second);
        ++found[content == first ? 1 : 2];
      }
      // The store goes on, and its next backup is whole.
      if (at % 5 != 0) continue;
      SmallStore again = StoreOn(*image, kData);
      again.options.create = false;
      ASSERT_TRUE(again.Open().ok());
      ASSERT_TRUE(again.Deliver("later").ok());
      const auto summary = BackUp(again);
      ASSERT_TRUE(summary.ok()) << summary.status();
      const std::vector<std::string> now = Marks(again.Texts());
      again.Close();
      const std::unique_ptr<SimulatedDisk> after = image->CutAfter(image->operations(), Survives::kSynced);
      const absl::Status anew = RestoreOn(*after, "/anew");
      ASSERT_TRUE(anew.ok()) << anew;
      ASSERT_EQ(Content(*after, "/anew"), now);
    }
  }
  std::printf("%d cuts: none in %d, the first in %d, the second in %d\n", cuts, found[0], found[1], found[2]);
  EXPECT_GT(cuts, 200);
  for (const int times : found) EXPECT_GT(times, 0);
}

TEST_P(BackupCrash, ADiskThatFailsLeavesTheEarlierBackup) {
  using Kind = SimulatedDisk::Kind;
  int struck = 0;
  for (const absl::Status& error :
       {absl::InternalError("input/output error"), absl::ResourceExhaustedError("full")}) {
    for (const Kind kind : {Kind::kCreate, Kind::kAppend, Kind::kSync, Kind::kRename, Kind::kMakeDirectory,
                            Kind::kSyncDirectory, Kind::kLink, Kind::kRead}) {
      for (int after = 0;; ++after) {
        SCOPED_TRACE(
            absl::StrCat("kind ", static_cast<int>(kind), ", after ", after, ": ", error.ToString()));
        const std::unique_ptr<SimulatedDisk> disk = NewDisk(GetParam());
        SmallStore store = StoreOn(*disk, kData);
        ASSERT_TRUE(store.Open().ok());
        for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(store.Deliver(Noise(5'000, i)).ok());
        ASSERT_TRUE(BackUp(store).ok());
        const std::vector<std::string> first = Marks(store.Texts());
        for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(store.Deliver(Noise(5'000, 10 + i)).ok());
        const auto fault = disk->Inject(
            {.kind = kind, .path_contains = kBackup, .after = after, .times = -1, .status = error});
        const auto summary = BackUp(store);
        const bool did = disk->Struck(fault) > 0;
        disk->Heal();
        if (!did) {
          EXPECT_TRUE(summary.ok()) << summary.status();
          break;
        }
        ++struck;
        EXPECT_FALSE(summary.ok());
        const std::vector<std::string> second = Marks(store.Texts());
        EXPECT_THAT(std::string(summary.status().message()), HasSubstr(std::string(error.message())));
        ASSERT_TRUE(RestoreOn(*disk).ok());
        // When only the last sync fails, the new one is there already.
        const std::vector<std::string> content = Content(*disk, kRestored);
        ASSERT_TRUE(content == first || (kind == Kind::kSyncDirectory && content == second));
        EXPECT_THAT(store.Problems(), IsEmpty());
        ASSERT_TRUE(store.Deliver("later").ok()) << "the store does not mind";
        const auto again = BackUp(store);
        ASSERT_TRUE(again.ok()) << again.status();
      }
    }
  }
  EXPECT_GT(struck, 20);
  std::printf("%d faults\n", struck);
}

INSTANTIATE_TEST_SUITE_P(With, BackupCrash, testing::Bool(),
                         [](const auto& links) { return links.param ? "Links" : "Copies"; });

// Once into an empty place, once over what another one has left just before its end.
class RestoreCrash : public testing::TestWithParam<bool> {};

TEST_P(RestoreCrash, IsAStoreWithAllOfItOrNone) {
  const std::unique_ptr<SimulatedDisk> disk = NewDisk(true);
  std::vector<std::string> content;
  {
    SmallStore store = StoreOn(*disk, kData);
    ASSERT_TRUE(store.Open().ok());
    for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(store.Deliver(Noise(5'000, i)).ok());
    ASSERT_TRUE(DeliverInFile(store, 10).ok());
    ASSERT_TRUE(BackUp(store).ok());
    content = Marks(store.Texts());
  }
  if (GetParam()) {
    const auto given_up =
        Restore(StoreOn(*disk, kRestored).options, kBackup, false, {},
                [](engine::Engine&, const BackupManifest&) { return absl::UnavailableError("given up"); });
    ASSERT_EQ(given_up.status().code(), absl::StatusCode::kUnavailable);
  }
  const uint64_t begun = disk->operations();
  // It counts as restored only with what was done to it in the end.
  const auto restore = [](SimulatedDisk& on) {
    return Restore(StoreOn(on, kRestored).options, kBackup, false, {},
                   [](engine::Engine& engine, const BackupManifest&) {
                     return Await<absl::Status>([&](auto done) {
                       engine.Update(
                           engine::PartitionId::Directory(), {},
                           [](const engine::View&) -> absl::StatusOr<engine::Verdict> {
                             engine::Change change;
                             change.head.mutable_directory()->set_uid_validity_next(4711);
                             return change;
                           },
                           std::move(done));
                     });
                   })
        .status();
  };
  ASSERT_TRUE(restore(*disk).ok());
  const uint64_t ended = disk->operations();
  int cuts = 0, stores = 0;
  for (uint64_t at = begun; at <= ended; ++at) {
    for (const Mode& mode : kModes) {
      ++cuts;
      SCOPED_TRACE(absl::StrCat("cut after ", at, " of ", ended, ": ", disk->operation(at).ToString(),
                                "; mode ", static_cast<int>(mode.survives), ", seed ", mode.seed));
      const std::unique_ptr<SimulatedDisk> image = disk->CutAfter(at, mode.survives, mode.seed);
      SmallStore store = StoreOn(*image, kRestored);
      store.options.create = false;
      absl::Status opened = store.Open();
      if (!opened.ok()) {
        ASSERT_TRUE(absl::IsFailedPrecondition(opened) || absl::IsNotFound(opened)) << opened;
        ASSERT_LT(at, ended) << opened;
        store.options.create = true;
        ASSERT_TRUE(!absl::IsFailedPrecondition(opened) || absl::IsFailedPrecondition(store.Open()));
        if (at % 3 != 0) continue;
        ASSERT_TRUE(restore(*image).ok());
        store.options.create = false;
        ASSERT_TRUE(store.Open().ok());
      } else {
        ++stores;
      }
      ASSERT_THAT(store.Problems(), IsEmpty());
      ASSERT_EQ(Marks(store.Texts()), content);
      const auto head = Await<absl::StatusOr<engine::ReadResult>>(
          [&](auto done) { store.engine->Read(engine::PartitionId::Directory(), {}, std::move(done)); });
      ASSERT_TRUE(head.ok() && head->head);
      ASSERT_EQ(head->head->directory().uid_validity_next(), 4711u);
    }
  }
  std::printf("%d cuts, %d of them with a store\n", cuts, stores);
  EXPECT_GT(cuts, 200);
  EXPECT_GT(stores, 0);
}

INSTANTIATE_TEST_SUITE_P(Over, RestoreCrash, testing::Bool(),
                         [](const auto& another) { return another.param ? "Another" : "Nothing"; });

}  // namespace
}  // namespace restante::embedded
