// Backups of a store, and the stores that are made from them.
#include "server/engine/embedded/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/engine/embedded/backup_directory.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/crc32c.h"
#include "server/engine/embedded/restore.h"
#include "tests/embedded/small_store.h"
#include "tests/embedded/store_contents.h"
#include "tests/embedded/unlinking_files.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using engine::BackupSummary;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr size_t kLarge = 5'000'000;  // Has a file of its own.

// Texts in short: size and checksum.
std::vector<std::string> Marks(const std::vector<std::string>& texts) {
  std::vector<std::string> marks;
  for (const std::string& text : texts) {
    marks.push_back(text.size() < 20 ? text : absl::StrCat(text.size(), "-", absl::Hex(Crc32c(text))));
  }
  return marks;
}

// A store with a few segments and a body file, and words for what is done to its
// backups.
class BackupTest : public testing::Test {
 protected:
  BackupTest() : store_(directory_.path / "data"), backup_((directory_.path / "backup").string()) {
    store_.options.segment_bytes = 50'000;
    store_.options.maintenance_interval = absl::Milliseconds(20);
    // Only by command: figures are compared.
    store_.options.compaction_bytes_per_second = 0;
  }

  void OpenStore() { ASSERT_TRUE(store_.Open().ok()); }
  void Fill() {
    OpenStore();
    for (uint64_t i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, i)).ok());
    ASSERT_TRUE(store_.Deliver(Noise(kLarge, 100)).ok());
    for (uint64_t uid = 3; uid <= 9; uid += 2) ASSERT_TRUE(store_.Expunge(uid).ok());
  }

  absl::StatusOr<BackupSummary> Backup(engine::BackupOptions options = {}, engine::UpkeepReport report = {}) {
    if (options.directory.empty()) options.directory = backup_;
    damages_.clear();
    return Await<absl::StatusOr<BackupSummary>>([&](auto done) {
      store_.engine->Backup(
          std::move(options),
          [this, report](engine::UpkeepProgress progress) {
            for (const engine::Damage& damage : progress.damages) {
              damages_.push_back(absl::StrCat(damage.file, ": ", damage.problem));
            }
            return !report || report(std::move(progress));
          },
          std::move(done));
    });
  }

  // A store made from the backup; Opened() opens it.
  absl::StatusOr<Restored> RestoreTo(const fs::path& data, bool accept_damage = false) {
    Options options = store_.options;
    options.data_dir = data;
    damaged_.clear();
    RestoreObserver observer;
    observer.damaged = [this](const std::string& line) { damaged_.push_back(line); };
    return Restore(options, backup_, accept_damage, observer,
                   [](engine::Engine&, const BackupManifest&) { return absl::OkStatus(); });
  }
  SmallStore Opened(const fs::path& data) {
    SmallStore store(data);
    store.options.create = false;
    EXPECT_TRUE(store.Open().ok());
    return store;
  }
  std::vector<std::string> Texts() { return Marks(store_.Texts()); }
  // Of a store that is made from the backup; it has to be in order.
  std::vector<std::string> RestoredTexts() {
    const fs::path data = directory_.path / absl::StrCat("restored-", ++restored_);
    const auto restored = RestoreTo(data);
    EXPECT_TRUE(restored.ok()) << restored.status();
    if (!restored.ok()) return {};
    SmallStore store = Opened(data);
    EXPECT_THAT(store.Problems(), IsEmpty());
    return Marks(store.Texts());
  }

  std::vector<std::string> Names(const fs::path& path) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename());
    return names;
  }
  BackupManifest Manifest() { return *ReadBackupManifest(*Files::Posix(), backup_); }
  void FlipOctet(const fs::path& path, size_t at) {
    std::string content = ReadFile(path);
    content[at] = static_cast<char>(content[at] ^ 0x10);
    WriteFile(path, content);
  }

  Directory directory_;
  UnlinkingFiles copying_;
  SmallStore store_;
  std::string backup_;
  std::vector<std::string> damages_;  // That the last backup reported.
  std::vector<std::string> damaged_;  // That the last restore reported.
  int restored_ = 0;
};

TEST_F(BackupTest, HoldsAllThatTheStoreHeld) {
  Fill();
  const auto summary = Backup();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->moment, store_.Figure("durable_group"));
  EXPECT_EQ(summary->bodies, 27u);
  EXPECT_THAT(damages_, IsEmpty());
  const std::vector<std::string> contents = ContentsOf(*store_.engine, {});
  // What comes later is not in it.
  ASSERT_TRUE(store_.Deliver("later").ok());
  ASSERT_TRUE(store_.Expunge(1).ok());
  store_.Close();

  const fs::path data = directory_.path / "restored";
  ASSERT_TRUE(RestoreTo(data).ok());
  SmallStore again = Opened(data);
  EXPECT_THAT(ContentsOf(*again.engine, {}), testing::ElementsAreArray(contents));
  EXPECT_THAT(again.Problems(), IsEmpty());
  // And it goes on.
  ASSERT_TRUE(again.Deliver(Noise(kLarge, 7)).ok());
  ASSERT_TRUE(again.Expunge(2).ok());
  ASSERT_TRUE(again.Open().ok());
  EXPECT_THAT(again.Problems(), IsEmpty());
}

TEST_F(BackupTest, OfAnEmptyStoreIsOneToo) {
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(Backup().ok());
  EXPECT_THAT(RestoredTexts(), IsEmpty());
}

TEST_F(BackupTest, ReceiptsStayValid) {
  OpenStore();
  const engine::TransactionId id = store_.NewTransaction(), lost = store_.NewTransaction();
  ASSERT_TRUE(store_.DeliverAs(id, "once").ok());
  ASSERT_FALSE(store_.Settle(lost)->committed());
  ASSERT_TRUE(Backup().ok());
  const fs::path data = directory_.path / "restored";
  ASSERT_TRUE(RestoreTo(data).ok());
  SmallStore again = Opened(data);
  EXPECT_TRUE(again.Settle(id)->committed());
  EXPECT_FALSE(again.Settle(lost)->committed());
  ASSERT_TRUE(again.DeliverAs(id, "once").ok());
  EXPECT_THAT(again.Texts(), ElementsAre("once"));
}

TEST_F(BackupTest, LinksWhatWillNotChangeAndCopiesTheRest) {
  Fill();
  const auto first = Backup();
  ASSERT_TRUE(first.ok()) << first.status();
  const uint64_t segments = store_.Figure("segments");
  EXPECT_EQ(first->files, segments + 1);
  EXPECT_EQ(first->linked_files, segments) << "all but the newest segment, and the body file";
  EXPECT_EQ(first->kept_files, 0u);
  EXPECT_EQ(first->copied_bytes, fs::file_size(store_.Segment(store_.Figure("segment"))));
  EXPECT_EQ(fs::hard_link_count(store_.Segment(1)), 2u);
  EXPECT_EQ(fs::hard_link_count(store_.Segment(store_.Figure("segment"))), 1u);
}

TEST_F(BackupTest, ASecondRunWritesOnlyWhatIsNew) {
  Fill();
  const auto first = Backup();
  ASSERT_TRUE(first.ok()) << first.status();
  const auto unchanged = Backup();
  ASSERT_TRUE(unchanged.ok()) << unchanged.status();
  EXPECT_EQ(unchanged->kept_files, first->files);
  EXPECT_EQ(unchanged->linked_files + unchanged->copied_bytes, 0u);
  EXPECT_EQ(unchanged->bytes, first->bytes);

  const uint64_t segment = store_.Figure("segment");
  ASSERT_TRUE(store_.Deliver(Noise(kLarge, 200)).ok());
  while (store_.Figure("segment") == segment) ASSERT_TRUE(store_.Deliver(Noise(5'000, 201)).ok());
  const auto second = Backup();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->kept_files, first->files - 1) << "what was the newest segment is whole now";
  EXPECT_EQ(second->linked_files, 2u) << "that one, and the body file";
  EXPECT_EQ(second->copied_bytes, fs::file_size(store_.Segment(segment + 1)));
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(Texts()));
}

TEST_F(BackupTest, WhatTheStoreHasNoMoreGoesFromTheBackupToo) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  for (uint64_t uid = 1; uid <= 31; ++uid) store_.Expunge(uid).IgnoreError();
  ASSERT_TRUE(store_.Deliver("kept").ok());
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                store_.engine->Compact([](engine::UpkeepProgress) { return true; }, std::move(done));
              }).ok());
  EXPECT_TRUE(fs::exists(fs::path(backup_) / "segments/0000000000000001.log"));
  const auto summary = Backup();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_FALSE(fs::exists(fs::path(backup_) / "segments/0000000000000001.log"));
  EXPECT_THAT(Names(fs::path(backup_) / "bodies"), IsEmpty());
  EXPECT_EQ(Names(fs::path(backup_) / "segments").size(), summary->files);
  EXPECT_THAT(RestoredTexts(), ElementsAre("kept"));
}

TEST_F(BackupTest, WhereLinksDoNotWorkEverythingIsCopied) {
  store_.options.files = &copying_;
  Fill();
  const auto first = Backup();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(copying_.refused(), 0);
  EXPECT_EQ(first->linked_files, 0u);
  EXPECT_EQ(first->copied_bytes, first->bytes);
  EXPECT_EQ(fs::hard_link_count(store_.Segment(1)), 1u);
  ASSERT_TRUE(store_.Deliver("more").ok());
  const auto second = Backup();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->kept_files, first->files - 1);
  EXPECT_EQ(second->copied_bytes, fs::file_size(store_.Segment(store_.Figure("segment"))));
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(Texts()));
}

// While files are copied one after another, the store lets go of all of them.
TEST_F(BackupTest, FilesAreKeptUntilTheyAreCopiedAndThenRemoved) {
  store_.options.files = &copying_;
  Fill();
  const std::vector<std::string> texts = Texts();
  const uint64_t last = store_.Figure("segment");
  bool emptied = false;
  const auto summary = Backup({}, [&](engine::UpkeepProgress) {
    if (std::exchange(emptied, true)) return true;
    for (uint64_t uid = 1; uid <= 31; ++uid) store_.Expunge(uid).IgnoreError();
    EXPECT_TRUE(store_.Deliver("kept").ok());
    EXPECT_TRUE(Await<absl::Status>([&](auto done) {
                  store_.engine->Compact([](engine::UpkeepProgress) { return true; }, std::move(done));
                }).ok());
    EXPECT_LE(store_.Figure("segments"), 2u) << "the store knows them no more";
    EXPECT_TRUE(fs::exists(store_.Segment(last - 1)));
    return true;
  });
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_TRUE(emptied);
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(texts));
  for (uint64_t segment = 1; segment < last; ++segment) {
    EXPECT_FALSE(fs::exists(store_.Segment(segment))) << segment;
  }
  EXPECT_THAT(Names(fs::path(store_.options.data_dir) / "bodies"), IsEmpty());
  EXPECT_THAT(store_.Texts(), ElementsAre("kept"));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(BackupTest, IsRefusedWhereItDoesNotBelong) {
  Fill();
  const fs::path here = directory_.path;
  fs::create_directory(here / "foreign");
  WriteFile(here / "foreign/letter", "not yours");
  fs::create_directory_symlink(here / "data", here / "link");
  WriteFile(here / "file", "");
  SmallStore other(here / "other");
  ASSERT_TRUE(other.Open().ok());
  ASSERT_TRUE(Await<absl::StatusOr<BackupSummary>>([&](auto done) {
                other.engine->Backup(
                    {.directory = here / "others"}, [](engine::UpkeepProgress) { return true; },
                    std::move(done));
              }).ok());
  const struct {
    std::string directory;
    absl::StatusCode code;
    const char* text;
  } cases[] = {
      {"backup", absl::StatusCode::kInvalidArgument, "absolute"},
      {"", absl::StatusCode::kInvalidArgument, "absolute"},
      {here / "data", absl::StatusCode::kFailedPrecondition, "data directory"},
      {here / "data/backup", absl::StatusCode::kFailedPrecondition, "data directory"},
      {here / "x/../data/bodies", absl::StatusCode::kFailedPrecondition, "data directory"},
      {here / "link/backup", absl::StatusCode::kFailedPrecondition, "data directory"},
      {here, absl::StatusCode::kFailedPrecondition, "data directory"},
      {here / "foreign", absl::StatusCode::kFailedPrecondition, "letter"},
      {here / "others", absl::StatusCode::kFailedPrecondition, "another store"},
      {here / "file", absl::StatusCode::kFailedPrecondition, "not a directory"},
      {here / "not/there", absl::StatusCode::kNotFound, "mounted"},
      {here / "not/there/", absl::StatusCode::kNotFound, "mounted"},
  };
  for (const auto& c : cases) {
    const auto summary = Await<absl::StatusOr<BackupSummary>>([&](auto done) {
      store_.engine->Backup(
          {.directory = c.directory}, [](engine::UpkeepProgress) { return true; }, std::move(done));
    });
    EXPECT_EQ(summary.status().code(), c.code) << c.directory << ": " << summary.status();
    EXPECT_THAT(std::string(summary.status().message()), HasSubstr(c.text)) << c.directory;
  }
  EXPECT_THAT(Names(here / "foreign"), ElementsAre("letter"));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(BackupTest, OnlyOneRunsAtATime) {
  Fill();
  absl::StatusOr<BackupSummary> second = absl::UnknownError("not asked");
  const auto first = Backup({}, [&](engine::UpkeepProgress) {
    if (!absl::IsUnknown(second.status())) return true;
    second = Await<absl::StatusOr<BackupSummary>>([&](auto done) {
      store_.engine->Backup(
          {.directory = directory_.path / "second"}, [](engine::UpkeepProgress) { return true; },
          std::move(done));
    });
    return true;
  });
  EXPECT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_TRUE(Backup().ok());
}

TEST_F(BackupTest, EndsWithTheStore) {
  Fill();
  absl::Notification running;
  std::atomic<bool> told{false};
  absl::StatusOr<BackupSummary> summary = absl::UnknownError("never ended");
  store_.engine->Backup(
      {.directory = backup_, .bytes_per_second = 1},
      [&](engine::UpkeepProgress) {
        if (!told.exchange(true)) running.Notify();
        return true;
      },
      [&](absl::StatusOr<BackupSummary> s) { summary = std::move(s); });
  AwaitOrDie(running);
  store_.Close();
  EXPECT_EQ(summary.status().code(), absl::StatusCode::kCancelled) << summary.status();
  OpenStore();
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

// --- interruptions --------------------------------------------------------------

TEST_F(BackupTest, GivenUpAnywhereItLeavesTheEarlierOneAndIsTakenUpAgain) {
  store_.options.files = &copying_;
  Fill();
  ASSERT_TRUE(Backup().ok());
  const std::vector<std::string> before = Texts();
  for (uint64_t i = 0; i < 12; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, 300 + i)).ok());
  ASSERT_TRUE(store_.Deliver(Noise(kLarge, 400)).ok());
  for (int at = 0;; ++at) {
    int calls = 0;
    const auto summary = Backup({}, [&](engine::UpkeepProgress) { return ++calls <= at; });
    if (summary.ok()) {
      EXPECT_GT(at, 8) << "there were places to give it up";
      EXPECT_GT(summary->kept_files, 0u);
      break;
    }
    ASSERT_EQ(summary.status().code(), absl::StatusCode::kCancelled) << summary.status();
    if (at % 4 == 0) {
      ASSERT_THAT(RestoredTexts(), testing::ElementsAreArray(before)) << "given up at " << at;
    }
  }
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(Texts()));
}

TEST_F(BackupTest, AFirstOneThatWasGivenUpIsNoBackup) {
  Fill();
  int calls = 0;
  ASSERT_FALSE(Backup({}, [&](engine::UpkeepProgress) { return ++calls < 5; }).ok());
  const auto restored = RestoreTo(directory_.path / "restored");
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(restored.status().message()), HasSubstr("never finished"));
  EXPECT_FALSE(fs::exists(directory_.path / "restored"));
  ASSERT_TRUE(Backup().ok());
  EXPECT_THAT(Names(backup_), UnorderedElementsAre("BACKUP", "bodies", "segments"));
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(Texts()));
}

// --- damage -----------------------------------------------------------------------

TEST_F(BackupTest, DamageInItIsFoundAndNamed) {
  store_.options.files = &copying_;  // The store's own files stay whole.
  Fill();
  ASSERT_TRUE(Backup().ok());
  for (const BackupFile& file : Manifest().files) {
    const fs::path path = fs::path(backup_) / file.name;
    const std::string whole = ReadFile(path);
    for (const size_t at : {size_t{0}, whole.size() / 2, whole.size() - 1}) {
      FlipOctet(path, at);
      const auto restored = RestoreTo(directory_.path / "restored");
      ASSERT_EQ(restored.status().code(), absl::StatusCode::kDataLoss) << path << " " << at;
      ASSERT_THAT(damaged_, ElementsAre(HasSubstr(path.string())));
      WriteFile(path, whole);
    }
    WriteFile(path, whole.substr(0, whole.size() - 1));
    ASSERT_FALSE(RestoreTo(directory_.path / "restored").ok());
    ASSERT_THAT(damaged_, ElementsAre(HasSubstr(path.string())));
    fs::remove(path);
    ASSERT_FALSE(RestoreTo(directory_.path / "restored").ok());
    ASSERT_THAT(damaged_, ElementsAre(HasSubstr(path.string())));
    WriteFile(path, whole);
  }
  EXPECT_TRUE(RestoreTo(directory_.path / "restored").ok());
}

TEST_F(BackupTest, WhatCanBeReadOfADamagedOneIsRestoredWhenWanted) {
  OpenStore();
  ASSERT_TRUE(store_.Deliver(Noise(5'000, 1)).ok());
  ASSERT_TRUE(store_.Deliver(Noise(kLarge, 2)).ok());
  ASSERT_TRUE(store_.Deliver("whole").ok());
  ASSERT_TRUE(Backup().ok());
  store_.Close();
  fs::remove(fs::path(backup_) / Manifest().files[0].name);
  FlipOctet(fs::path(backup_) / Manifest().files[1].name, 2'000);
  const fs::path data = directory_.path / "restored";
  EXPECT_EQ(RestoreTo(data).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(damaged_.size(), 2u);
  const auto restored = RestoreTo(data, /*accept_damage=*/true);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->damaged_files, 2u);
  SmallStore again = Opened(data);
  const std::vector<stored::Entry> entries = again.Entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(again.TextOf(entries[0]).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(again.TextOf(entries[1]).ok());
  EXPECT_EQ(*again.TextOf(entries[2]), "whole");
}

TEST_F(BackupTest, ADamagedManifestIsRefused) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  const fs::path path = fs::path(backup_) / "BACKUP";
  const std::string whole = ReadFile(path);
  for (size_t at = 0; at < whole.size(); ++at) {
    FlipOctet(path, at);
    const auto manifest = ReadBackupManifest(*Files::Posix(), backup_);
    ASSERT_EQ(manifest.status().code(), absl::StatusCode::kDataLoss) << at;
    ASSERT_THAT(std::string(manifest.status().message()), HasSubstr(path.string()));
    WriteFile(path, whole.substr(0, at));
    ASSERT_FALSE(ReadBackupManifest(*Files::Posix(), backup_).ok()) << at;
    WriteFile(path, whole);
  }
  FlipOctet(path, 100);
  EXPECT_EQ(Backup().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(RestoreTo(directory_.path / "restored").ok());
}

TEST_F(BackupTest, DamagedFilesThatAreKeptAreMadeAgainWhenTheyAreRead) {
  store_.options.files = &copying_;
  Fill();
  ASSERT_TRUE(Backup().ok());
  const std::vector<BackupFile> made = Manifest().files;
  FlipOctet(fs::path(backup_) / made[0].name, 1'000'000);
  FlipOctet(fs::path(backup_) / made[1].name, 10'000);
  ASSERT_TRUE(Backup().ok());
  EXPECT_EQ(RestoreTo(directory_.path / "restored").status().code(), absl::StatusCode::kDataLoss)
      << "a run that does not read them keeps them";
  const auto summary = Backup({.directory = {}, .verify_kept = true});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->copied_bytes, made[0].bytes + made[1].bytes);
  EXPECT_EQ(summary->kept_files, made.size() - 2);
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(Texts()));
}

TEST_F(BackupTest, DamageOfTheStoreIsToldAndTheRestIsBackedUp) {
  Fill();
  store_.Close();
  const fs::path body = fs::path(store_.options.data_dir) / "bodies" /
                        Names(fs::path(store_.options.data_dir) / "bodies").front();
  FlipOctet(body, 1'000'000);
  FlipOctet(store_.Segment(1), 10'000);
  OpenStore();
  for (int run = 0; run < 2; ++run) {
    const auto summary = Backup();
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_THAT(damages_,
                UnorderedElementsAre(HasSubstr(body.string()), HasSubstr(store_.Segment(1).string())))
        << "in every run";
  }
  const auto restored = RestoreTo(directory_.path / "restored");
  ASSERT_TRUE(restored.ok()) << "the backup is what it should be: " << restored.status();
  EXPECT_EQ(restored->damaged_files, 2u);
  SmallStore again = Opened(directory_.path / "restored");
  int whole = 0;
  for (const stored::Entry& entry : again.Entries()) whole += again.TextOf(entry).ok();
  EXPECT_EQ(whole, 25);
}

TEST_F(BackupTest, WhatOnlyTheBackupHasStaysInIt) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  const fs::path bodies = fs::path(store_.options.data_dir) / "bodies";
  fs::remove(bodies / Names(bodies).front());
  const auto summary = Backup();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(RestoredTexts().size(), 27u);
  // A new one cannot have it.
  ASSERT_TRUE(Backup({.directory = directory_.path / "second"}).ok());
  EXPECT_THAT(damages_, ElementsAre(HasSubstr("missing")));
}

TEST_F(BackupTest, ALogThatCannotBeReplayedIsNotBackedUp) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  const std::vector<std::string> before = Texts();
  for (uint64_t i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, 500 + i)).ok());
  store_.Close();
  // The last group record of a segment that the backup does not have yet.
  const fs::path segment = store_.Segment(Manifest().files.size() + 1);
  FlipOctet(segment, fs::file_size(segment) - 10);
  OpenStore();
  const auto summary = Backup();
  EXPECT_EQ(summary.status().code(), absl::StatusCode::kDataLoss) << summary.status();
  EXPECT_THAT(std::string(summary.status().message()), HasSubstr(segment.string()));
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(before)) << "the earlier one is as it was";
}

// --- histories ------------------------------------------------------------------------

TEST_F(BackupTest, ARestoredStoreDoesNotMixItsHistoryWithTheLostOne) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  const fs::path old = directory_.path / "old";
  fs::copy(backup_, old, fs::copy_options::recursive);
  for (uint64_t i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, 600 + i)).ok());
  ASSERT_TRUE(Backup().ok());
  const std::vector<std::string> lost = Texts();
  store_.Close();

  const std::string newer = std::exchange(backup_, old);
  ASSERT_TRUE(RestoreTo(directory_.path / "restored").ok());
  store_ = Opened(directory_.path / "restored");
  backup_ = newer;
  // Neither when its log is shorter than the lost one nor when it is longer.
  for (int round = 0; round < 2; ++round) {
    const auto summary = Backup();
    EXPECT_EQ(summary.status().code(), absl::StatusCode::kFailedPrecondition) << round << summary.status();
    EXPECT_THAT(std::string(summary.status().message()), HasSubstr("before it was restored"));
    for (uint64_t i = 0; i < 60; ++i) ASSERT_TRUE(store_.Deliver(Noise(5'000, 700 + i)).ok());
  }
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(lost)) << "the backup is as it was";
  backup_ = old;
  ASSERT_TRUE(Backup().ok()) << "that one is of this history";
  EXPECT_THAT(RestoredTexts(), testing::ElementsAreArray(Texts()));
}

// A body file, whole.
std::string BodyFile(const std::string& text, uint32_t store, stored::BodyLocation* location) {
  BodyEncoder encoder;
  std::vector<std::string> blocks;
  encoder.Append(text, &blocks);
  encoder.Finish(&blocks);
  RecordHeader header = encoder.Header(7, store);
  std::string file;
  for (const std::string& block : blocks) file += block;
  file += encoder.table();
  location->set_file(7);
  location->set_own_file(true);
  location->set_offset(file.size());
  location->set_size(text.size());
  file += EncodeHeader(&header);
  location->set_stored_bytes(file.size());
  return file;
}

// Two histories may give files with the same name and size.
TEST(WriteBackup, TellsAFileOfAnotherHistoryFromADamagedOne) {
  constexpr uint64_t kStore = 0x1234567890;
  Directory directory;
  Files& files = *Files::Posix();
  const std::string source = directory.path / "7.body", backup = directory.path / "backup";
  BackupPlan plan;
  plan.manifest.store_id = kStore;
  plan.sources.push_back(
      {.name = BackupNameOfBody(7), .path = source, .body = 7, .location = stored::BodyLocation()});
  const std::string ours = BodyFile(Noise(20'000, 1), kStore & 0xffffffff, &*plan.sources[0].location);
  const std::string theirs = BodyFile(Noise(20'000, 2), kStore & 0xffffffff, &*plan.sources[0].location);
  ASSERT_EQ(ours.size(), theirs.size());
  plan.sources[0].bytes = ours.size();
  std::vector<std::string> damages;
  const auto run = [&](const std::string& content, bool verify_kept) {
    std::filesystem::remove(source);
    WriteFile(source, content);
    damages.clear();
    const auto earlier = PrepareBackup(files, backup, directory.path / "data", kStore);
    EXPECT_TRUE(earlier.ok()) << earlier.status();
    const BackupObserver observer{
        .progress = [&](uint64_t, uint64_t, std::vector<engine::Damage> found) -> absl::Status {
          for (const engine::Damage& damage : found) damages.push_back(damage.problem);
          return absl::OkStatus();
        },
        .needs = [](absl::flat_hash_set<std::string>) {},
        .let_go = [](const std::string&) {}};
    return WriteBackup(files, backup, plan, *earlier, verify_kept, observer);
  };
  std::string damaged = ours;
  damaged[damaged.size() - 100] ^= 1;
  for (const bool verify_kept : {false, true}) {
    SCOPED_TRACE(verify_kept);
    ASSERT_TRUE(run(ours, verify_kept).ok());
    EXPECT_EQ(run(theirs, verify_kept).status().code(), absl::StatusCode::kFailedPrecondition);
    // Damaged, or cut off, the store's is another matter: the backup's is better.
    for (const std::string& content : {damaged, ours.substr(0, 5'000)}) {
      const auto summary = run(content, verify_kept);
      ASSERT_TRUE(summary.ok()) << summary.status();
      EXPECT_EQ(summary->kept_files, 1u);
      EXPECT_EQ(ReadFile(backup + "/" + BackupNameOfBody(7)), ours);
    }
  }
  // Where there is nothing better it is told.
  std::filesystem::remove_all(backup);
  ASSERT_TRUE(run(damaged, false).ok());
  EXPECT_EQ(damages.size(), 1u);
  std::filesystem::remove_all(backup);
  const auto summary = run(ours.substr(0, 5'000), false);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_THAT(damages, ElementsAre(HasSubstr("ends at 5000")));
  EXPECT_EQ(summary->files, 0u);
}

// --- restoring --------------------------------------------------------------------------

TEST_F(BackupTest, IsNoDataDirectory) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  for (const bool create : {false, true}) {
    SmallStore wrong(backup_);
    wrong.options.create = create;
    const absl::Status opened = wrong.Open();
    EXPECT_EQ(opened.code(), absl::StatusCode::kFailedPrecondition) << opened;
    EXPECT_THAT(std::string(opened.message()), HasSubstr("--restore"));
  }
}

TEST_F(BackupTest, IsRestoredOnlyIntoAnEmptyPlace) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  fs::create_directory(directory_.path / "foreign");
  WriteFile(directory_.path / "foreign/letter", "not yours");
  for (const char* const place : {"foreign", "data", "backup", "backup/data"}) {
    const auto restored = RestoreTo(directory_.path / place);
    EXPECT_EQ(restored.status().code(), absl::StatusCode::kFailedPrecondition) << place << restored.status();
  }
  EXPECT_EQ(RestoreTo(directory_.path / "not/there").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Names(directory_.path / "foreign"), ElementsAre("letter"));
  EXPECT_THAT(store_.Problems(), IsEmpty());
  fs::create_directory(directory_.path / "empty");
  EXPECT_TRUE(RestoreTo(directory_.path / "empty").ok());
}

TEST_F(BackupTest, ARestoreThatWasGivenUpIsNoStoreAndCanBeRepeated) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  Options options = store_.options;
  options.data_dir = directory_.path / "restored";
  for (int round = 0; round < 2; ++round) {
    const auto restored = Restore(options, backup_, false, {}, [](engine::Engine&, const BackupManifest&) {
      return absl::UnavailableError("given up");
    });
    EXPECT_EQ(restored.status().code(), absl::StatusCode::kUnavailable);
    for (const bool create : {false, true}) {
      SmallStore wrong(options.data_dir);
      wrong.options.create = create;
      const absl::Status opened = wrong.Open();
      EXPECT_EQ(opened.code(), absl::StatusCode::kFailedPrecondition) << opened;
      EXPECT_THAT(std::string(opened.message()), HasSubstr("interrupted"));
    }
  }
  ASSERT_TRUE(RestoreTo(options.data_dir).ok());
  SmallStore again = Opened(options.data_dir);
  EXPECT_THAT(Marks(again.Texts()), testing::ElementsAreArray(Texts()));
}

TEST_F(BackupTest, ARestoredStoreSharesNothingWithTheBackup) {
  Fill();
  ASSERT_TRUE(Backup().ok());
  ASSERT_TRUE(RestoreTo(directory_.path / "restored").ok());
  for (const auto& entry : fs::recursive_directory_iterator(directory_.path / "restored")) {
    if (entry.is_regular_file()) {
      EXPECT_EQ(entry.hard_link_count(), 1u) << entry.path();
    }
  }
}

}  // namespace
}  // namespace restante::embedded
