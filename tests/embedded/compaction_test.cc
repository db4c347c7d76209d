// Space comes back, and nothing but space goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/numbers.h"
#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/faulty_files.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using testing::SizeIs;

uint64_t SizeOfTree(const fs::path& path) {
  uint64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

class Compaction : public testing::Test {
 protected:
  Compaction() : store_(directory_.path / "data") {
    store_.options.segment_bytes = 400'000;
    store_.options.checkpoint_bytes = 300'000;
    store_.options.maintenance_interval = absl::Milliseconds(10);
  }

  // By command, and waits for it.
  absl::Status Compact() {
    return Await<absl::Status>([&](auto done) {
      store_.engine->Compact(
          [&](engine::UpkeepProgress progress) {
            reclaimed_ = progress.done_bytes;
            return true;
          },
          std::move(done));
    });
  }

  // What the store holds, and that it is all right, before and after it is opened
  // again, and after its index was thrown away.
  void ExpectTexts(const std::vector<std::string>& texts) {
    const auto check = [&](const char* when) {
      EXPECT_TRUE(store_.Texts() == texts) << when;
      EXPECT_THAT(store_.Problems(), IsEmpty()) << when;
    };
    check("running");
    ASSERT_TRUE(store_.Open().ok());
    check("opened again");
    store_.Close();
    fs::remove_all(fs::path(store_.options.data_dir) / "index");
    store_.options.rebuild_index = true;
    const absl::Status opened = store_.Open();
    ASSERT_TRUE(opened.ok()) << opened;
    store_.options.rebuild_index = false;
    check("index made again");
  }

  FaultyFiles files_;
  Directory directory_;
  SmallStore store_;
  uint64_t reclaimed_ = 0;
};

TEST_F(Compaction, NineTenthsDeletedComeBackByThemselves) {
  ASSERT_TRUE(store_.Open().ok());
  std::vector<std::string> kept;
  uint64_t live = 0;
  constexpr int kMessages = 600;
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(store_.Deliver(Noise(60'000, i)).ok());
    if (i % 10 == 0) {
      kept.push_back(Noise(60'000, i));
      live += 60'000;
    }
  }
  ASSERT_GT(SizeOfTree(store_.options.data_dir), kMessages * 60'000u);
  for (int uid = 1; uid <= kMessages; ++uid) {
    if ((uid - 1) % 10 == 0) continue;
    ASSERT_TRUE(store_.Expunge(uid).ok());
  }
  store_.AwaitFigure("disk_used_bytes", [&](uint64_t used) { return used < live * 13 / 10; });
  EXPECT_GT(store_.Figure("compacted_segments"), 10u);
  EXPECT_LT(SizeOfTree(store_.options.data_dir), live * 13 / 10);
  ExpectTexts(kept);
}

TEST_F(Compaction, ByCommandGivesBackAllThatIsDead) {
  store_.options.compaction_bytes_per_second = 0;
  ASSERT_TRUE(store_.Open().ok());
  std::vector<std::string> kept;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(store_.Deliver(Noise(20'000, i)).ok());
    if (i % 10 != 0) kept.push_back(Noise(20'000, i));
  }
  for (int uid = 1; uid <= 100; uid += 10) ASSERT_TRUE(store_.Expunge(uid).ok());
  EXPECT_EQ(store_.Figure("compacted_segments"), 0u);
  ASSERT_TRUE(Compact().ok());
  EXPECT_GT(reclaimed_, 9 * 20'000u);
  EXPECT_LT(store_.Figure("segments_bytes"), 90 * 20'000u * 11 / 10);
  ExpectTexts(kept);
}

TEST_F(Compaction, RunsWhileMailComesAndGoes) {
  ASSERT_TRUE(store_.Open().ok());
  constexpr int kThreads = 4, kRounds = 150;
  std::vector<std::thread> threads;
  std::vector<std::map<uint64_t, std::string>> kept(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < kRounds; ++i) {
        const std::string text = Noise(1'000 + random() % 30'000, 1'000 * t + i);
        const auto receipt = store_.Deliver(text);
        ASSERT_TRUE(receipt.ok()) << receipt.status();
        kept[t][receipt->recipients(0).uid()] = text;
        while (kept[t].size() > 10) {
          const auto victim = std::next(kept[t].begin(), static_cast<int>(random() % kept[t].size()));
          ASSERT_TRUE(store_.Expunge(victim->first).ok());
          kept[t].erase(victim);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(store_.Figure("compacted_segments"), 3u) << "it was meant to run meanwhile";
  std::map<uint64_t, std::string> all;
  for (const auto& part : kept) all.insert(part.begin(), part.end());
  std::vector<std::string> texts;
  for (const auto& [uid, text] : all) texts.push_back(text);
  ExpectTexts(texts);
}

TEST_F(Compaction, AGroupGetsOnlyAPieceOfIt) {
  store_.options.compaction_bytes_per_second = 0;
  store_.options.segment_bytes = 20'000'000;
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(store_.Deliver(Noise(60'000, i)).ok());
  for (int uid = 1; uid <= 300; uid += 4) ASSERT_TRUE(store_.Expunge(uid).ok());
  ASSERT_TRUE(Compact().ok());
  store_.Close();
  // A delivery waits for the group before its own, and so for one piece.
  ASSERT_FALSE(fs::exists(store_.Segment(1)));
  auto file = Files::Posix()->Open(store_.Segment(2).string(), Files::Mode::kRead);
  ASSERT_TRUE(file.ok()) << file.status();
  uint32_t store = 0;
  ASSERT_TRUE(absl::SimpleHexAtoi(ReadFile(directory_.path / "data/FORMAT").substr(32, 8), &store));
  const auto info = ReadSegmentInfo(*Files::Posix(), (directory_.path / "data/segments").string(), 2, store);
  ASSERT_TRUE(info.ok()) << info.status();
  SegmentReader reader(*std::move(file), kSegmentRecordBytes, info->size, info->first_group, store);
  int pieces = 0;
  absl::StatusOr<stored::Group> group;
  while ((group = reader.Next()).ok()) {
    EXPECT_LT(group->bytes(), (1 << 20) + 61'000);
    pieces += group->bytes() > 0;
  }
  EXPECT_TRUE(absl::IsOutOfRange(group.status())) << group.status();
  EXPECT_GT(pieces, 10);
}

TEST_F(Compaction, WhatOnlyChangedKeysLeftBehindComesBack) {
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("kept").ok());
  // Each change of the head makes the version before it rubbish.
  for (int i = 0; i < 40'000; ++i) {
    engine::PartitionId partition = engine::PartitionId::Mailbox(store_.mailbox);
    store_.engine->Update(
        partition, {},
        [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
          engine::Change change;
          change.head = *view.head;
          change.head.set_settings_version(change.head.settings_version() + 1);
          return change;
        },
        [](const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; });
    if (i % 4 != 0) continue;
    ASSERT_TRUE(store_.Touch().ok());
  }
  ASSERT_TRUE(store_.Touch().ok());
  store_.AwaitFigure("compacted_segments", [](uint64_t segments) { return segments > 0; });
  store_.AwaitFigure("segments_bytes", [](uint64_t bytes) { return bytes < 600'000; });
  ExpectTexts({"kept"});
}

TEST_F(Compaction, ADamagedBodyStaysWhereItIsAndTheOthersGo) {
  store_.options.compaction_bytes_per_second = 0;
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store_.Deliver(Noise(20'000, i)).ok());
  ASSERT_TRUE(store_.Deliver("in the next segment").ok());
  std::string log = ReadFile(store_.Segment(1));
  const size_t at = log.find(Noise(20'000, 7).substr(100, 50));
  ASSERT_NE(at, std::string::npos);
  log[at] = static_cast<char>(log[at] ^ 1);
  WriteFile(store_.Segment(1), log);
  for (int uid = 1; uid <= 20; uid += 2) ASSERT_TRUE(store_.Expunge(uid).ok());  // (8 stays.)
  ASSERT_TRUE(Compact().ok());
  EXPECT_TRUE(fs::exists(store_.Segment(1)));
  EXPECT_THAT(store_.Problems(), IsEmpty());
  int damaged = 0;
  for (const stored::Entry& entry : store_.Entries()) {
    const auto text = store_.TextOf(entry);
    if (entry.uid() == 8) {
      EXPECT_EQ(text.status().code(), absl::StatusCode::kDataLoss);
      ++damaged;
    } else {
      EXPECT_TRUE(text.ok()) << text.status();
    }
  }
  EXPECT_EQ(damaged, 1);
  // With the damaged message goes the segment.
  ASSERT_TRUE(store_.Expunge(8).ok());
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_FALSE(fs::exists(store_.Segment(1)));
  EXPECT_THAT(store_.Problems(), IsEmpty());
  EXPECT_THAT(store_.Entries(), SizeIs(10));
}

TEST_F(Compaction, AFailedWriteLosesNothingAndItIsTriedAgain) {
  store_.options.files = &files_;
  ASSERT_TRUE(store_.Open().ok());
  std::vector<std::string> kept;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(store_.Deliver(Noise(20'000, i)).ok());
    if (i % 5 == 0) kept.push_back(Noise(20'000, i));
  }
  // (Deliveries are over, so what fails below is an expunge or what is carried.)
  const auto fail_some = [&] {
    files_.Fail({.operation = FaultyFiles::Operation::kAppend,
                 .path_contains = "/segments/",
                 .status = absl::InternalError("input/output error"),
                 .after = 3,
                 .times = 3});
  };
  for (int uid = 1; uid <= 100; ++uid) {
    if ((uid - 1) % 5 == 0) continue;
    if (uid % 20 == 2) fail_some();
    while (!store_.Expunge(uid).ok()) std::this_thread::yield();
  }
  // (What is in the newest segment waits for a command.)
  ASSERT_TRUE(Compact().ok());
  EXPECT_LT(store_.Figure("segments_bytes"), 20 * 20'000 * 13 / 10);
  EXPECT_GT(files_.failed(), 5);
  ExpectTexts(kept);
}

TEST_F(Compaction, ErasuresAreForgottenWhenNothingOlderIsLeft) {
  store_.options.compaction_bytes_per_second = 0;
  ASSERT_TRUE(store_.Open().ok());
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(store_.Deliver(Noise(20'000, i)).ok());
    for (const stored::Entry& entry : store_.Entries()) ASSERT_TRUE(store_.Expunge(entry.uid()).ok());
    ASSERT_TRUE(Compact().ok());
    ASSERT_TRUE(Compact().ok());  // Now the oldest is one that has only erasures.
  }
  // Receipts are kept: some hundred octets each.
  EXPECT_LT(store_.Figure("segments_bytes"), 250 * 400u);
  ExpectTexts({});
}

}  // namespace
}  // namespace restante::embedded
