// Making a backup, and making it again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "tests/embedded/backup_fixture.h"
#include "tests/embedded/store_contents.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using engine::BackupSummary;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

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

}  // namespace
}  // namespace restante::embedded
