// What is damaged in a backup, or in the store that is backed up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/embedded/backup_fixture.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

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

}  // namespace
}  // namespace restante::embedded
