// Stores that are made from backups, and what becomes of the backups then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "server/engine/embedded/backup.h"
#include "server/engine/embedded/backup_directory.h"
#include "server/engine/embedded/body_codec.h"
#include "tests/embedded/backup_fixture.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
