// What a crash leaves, and what the next start makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/engine/embedded/record.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A store as a crash leaves it while its last group is being written: `before` is
// the directory without the group, `log` the segment with all of it.
struct Torn {
  Directory before, scratch;
  std::string log;
  size_t last_group = 0;  // Where it begins.

  Torn() {
    Directory original;
    SmallStore store(original.path / "data");
    EXPECT_TRUE(store.Open().ok());
    EXPECT_TRUE(store.Deliver("first").ok());
    EXPECT_TRUE(store.Deliver("second").ok());
    store.AwaitIndexed();
    store.CopyTo(before.path / "data");
    last_group = fs::file_size(store.Segment());
    EXPECT_TRUE(store.Deliver("third").ok());
    log = ReadFile(store.Segment());
  }

  // Opens it with this log.
  SmallStore With(const std::string& content) {
    SmallStore store(scratch.path / "data");
    fs::remove_all(store.options.data_dir);
    fs::copy(before.path / "data", store.options.data_dir, fs::copy_options::recursive);
    WriteFile(store.Segment(), content);
    return store;
  }
};

TEST(Recovery, ATornTailOfEveryLengthIsCutOffAndNothingElse) {
  Torn torn;
  ASSERT_GT(torn.log.size(), torn.last_group + 2 * kHeaderBytes);
  for (size_t length = torn.last_group; length <= torn.log.size(); ++length) {
    SmallStore store = torn.With(torn.log.substr(0, length));
    ASSERT_TRUE(store.Open().ok()) << "length " << length;
    if (length < torn.log.size()) {
      ASSERT_THAT(store.Texts(), ElementsAre("first", "second")) << "length " << length;
      ASSERT_EQ(fs::file_size(store.Segment()), torn.last_group);
    } else {
      ASSERT_THAT(store.Texts(), ElementsAre("first", "second", "third"));
    }
    ASSERT_THAT(store.Problems(), IsEmpty());
  }
}

TEST(Recovery, ALastGroupWithAnyOctetWrongIsTorn) {
  Torn torn;
  for (size_t at = torn.last_group; at < torn.log.size(); ++at) {
    std::string damaged = torn.log;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    SmallStore store = torn.With(damaged);
    ASSERT_TRUE(store.Open().ok()) << "octet " << at;
    ASSERT_THAT(store.Texts(), ElementsAre("first", "second")) << "octet " << at;
  }
}

TEST(Recovery, GoesOnWritingBehindACutTail) {
  Torn torn;
  SmallStore store = torn.With(torn.log.substr(0, torn.log.size() - 1));
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver("fourth").ok());
  ASSERT_TRUE(store.Open().ok());
  EXPECT_THAT(store.Texts(), ElementsAre("first", "second", "fourth"));
  EXPECT_THAT(store.Problems(), IsEmpty());
}

// The kind of the record that an octet of a segment is in.
RecordKind KindAt(const std::string& log, size_t octet) {
  for (size_t at = 0;;) {
    const auto header = DecodeHeader(absl::string_view(log).substr(at), GetFixed32(log, at + 40));
    if (octet < at + header->stored_bytes()) return header->kind;
    at += header->stored_bytes();
  }
}

TEST(Recovery, DamageBeforeTheEndIsNeverTakenForATornTail) {
  Torn torn;
  // Any octet of the log but those of the last group: there was no checkpoint yet,
  // so all of it is replayed.
  size_t groups = 0, bodies = 0;
  for (size_t at = kSegmentRecordBytes; at < torn.last_group; at += 3) {
    std::string damaged = torn.log;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    SmallStore store = torn.With(damaged);
    const absl::Status opened = store.Open();
    if (KindAt(torn.log, at) == RecordKind::kBody) {
      // One of the two messages before.
      ++bodies;
      ASSERT_TRUE(opened.ok()) << "octet " << at << ": " << opened;
      std::vector<std::string> texts;
      for (const stored::Entry& entry : store.Entries()) {
        const auto text = store.TextOf(entry);
        ASSERT_TRUE(text.ok() || absl::IsDataLoss(text.status())) << text.status();
        texts.push_back(text.value_or("lost"));
      }
      ASSERT_THAT(texts, testing::AnyOf(ElementsAre("first", "lost", "third"),
                                        ElementsAre("lost", "second", "third")))
          << "octet " << at;
      continue;
    }
    ++groups;
    ASSERT_EQ(opened.code(), absl::StatusCode::kDataLoss) << "octet " << at << ": " << opened;
    ASSERT_THAT(std::string(opened.message()), HasSubstr(store.options.data_dir));
    ASSERT_TRUE(ReadFile(store.Segment()) == damaged) << "nothing may be changed";
  }
  EXPECT_GT(groups, 100u);
  EXPECT_GT(bodies, 20u);
}

TEST(Recovery, ReadsNoMoreLogThanLiesBehindTheCheckpoint) {
  Directory directory;
  SmallStore store(directory.path / "data");
  store.options.checkpoint_bytes = 100'000;
  store.options.segment_bytes = 150'000;
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(store.Deliver(Noise(10'000, i)).ok());
  // The last thing in the log is behind the last checkpoint.
  size_t messages = 60;
  uint64_t checkpoints = 0;
  do {
    store.AwaitIndexed();
    checkpoints = store.Figure("index_checkpoints");
    ASSERT_TRUE(store.Deliver("tail").ok());
    ++messages;
    store.AwaitIndexed();
  } while (store.Figure("index_checkpoints") != checkpoints);
  // (How many, depends on how much the index takes up at once.)
  ASSERT_GE(checkpoints, 2u);
  Directory image;
  store.CopyTo(image.path / "data");
  SmallStore again(image.path / "data");
  ASSERT_TRUE(again.Open().ok());
  EXPECT_GT(again.Figure("recovery_groups"), 0u) << "a copy of a running store has a tail";
  // One checkpoint interval, the group that completed it, and segment records.
  EXPECT_LT(again.Figure("recovery_log_bytes"), 100'000u + 15'000u + 3 * kSegmentRecordBytes);
  EXPECT_EQ(again.Texts().size(), messages);
  EXPECT_THAT(again.Problems(), IsEmpty());
  // After a clean end there is nothing to read but one segment record.
  again.Close();
  ASSERT_TRUE(again.Open().ok());
  EXPECT_EQ(again.Figure("recovery_groups"), 0u);
  EXPECT_EQ(again.Figure("recovery_log_bytes"), kSegmentRecordBytes);
}

TEST(Recovery, AnIndexThatLagsBehindIsBroughtUpToDate) {
  Directory directory, old;
  SmallStore store(directory.path / "data");
  store.options.segment_bytes = 20'000;
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver("first").ok());
  store.Close();
  store.CopyTo(old.path / "data");
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store.Deliver(Noise(5'000, i)).ok());
  ASSERT_TRUE(store.Deliver(Noise(5'000'000, 99)).ok());
  ASSERT_TRUE(store.Expunge(1).ok());
  const std::vector<std::string> texts = store.Texts();
  store.Close();
  fs::remove_all(fs::path(store.options.data_dir) / "index");
  fs::copy(old.path / "data/index", fs::path(store.options.data_dir) / "index");
  ASSERT_TRUE(store.Open().ok());
  EXPECT_GE(store.Figure("recovery_groups"), 22u);
  EXPECT_TRUE(store.Texts() == texts);
  EXPECT_THAT(store.Problems(), IsEmpty());
}

TEST(Recovery, FilesThatNoMessageHasAreRemoved) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver(Noise(5'000'000, 1)).ok());
  store.Close();
  const fs::path bodies = fs::path(store.options.data_dir) / "bodies";
  WriteFile(bodies / "00000000000000aa.part", "half");
  WriteFile(bodies / "00000000000000ab.body", "whole, but its group was never written");
  ASSERT_TRUE(store.Open().ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(bodies), fs::directory_iterator()), 1);
  EXPECT_TRUE(store.Texts() == std::vector<std::string>{Noise(5'000'000, 1)});
}

TEST(Recovery, DeadSegmentsAreRemovedAndTheRestStaysComplete) {
  Directory directory;
  SmallStore store(directory.path / "data");
  store.options.segment_bytes = 50'000;
  store.options.maintenance_interval = absl::Milliseconds(20);
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(store.Deliver(Noise(5'000, i)).ok());
  ASSERT_TRUE(store.Deliver("kept").ok());
  const uint64_t before = store.Figure("disk_used_bytes");
  for (int uid = 1; uid <= 60; ++uid) ASSERT_TRUE(store.Expunge(uid).ok());
  store.AwaitFigure("segments", [](uint64_t segments) { return segments <= 3; });
  store.AwaitFigure("disk_used_bytes", [&](uint64_t used) { return used < before / 2; });
  // (The figures know it first.)
  while (fs::exists(store.Segment(1))) std::this_thread::yield();
  EXPECT_THAT(store.Texts(), ElementsAre("kept"));
  EXPECT_THAT(store.Problems(), IsEmpty());
  ASSERT_TRUE(store.Open().ok());
  EXPECT_THAT(store.Texts(), ElementsAre("kept"));
  EXPECT_THAT(store.Problems(), IsEmpty());
}

// Delivers until it is killed, and tells each acknowledged text's number. In a
// process that was not made by fork alone: LevelDB's thread would not be there.
[[noreturn]] void WriteUntilKilled(const fs::path& directory, int pipe, uint64_t seed) {
  SmallStore store(directory);
  store.options.checkpoint_bytes = 200'000;
  store.options.segment_bytes = 300'000;
  if (!store.Open().ok()) _exit(3);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0;; ++i) {
        const uint64_t number = seed * 1'000'000 + t * 100'000 + i;
        const auto receipt = store.Deliver(absl::StrCat(number, ":", Noise(100 + number % 3000, number)));
        if (!receipt.ok()) _exit(4);
        if (write(pipe, &number, sizeof(number)) != sizeof(number)) _exit(5);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(6);
}

constexpr char kWriterVariable[] = "RESTANTE_KILLED_WRITER";

TEST(Recovery, AKilledStoreHasEverythingItAcknowledgedOnceAndWhole) {
  if (const char* writer = std::getenv(kWriterVariable)) {
    const std::vector<std::string> words = absl::StrSplit(writer, absl::MaxSplits(' ', 2));
    WriteUntilKilled(words[2], std::stoi(words[0]), std::stoull(words[1]));
  }
  constexpr int kRounds = 10;
  Directory directory;
  std::set<uint64_t> acknowledged;
  for (int round = 1; round <= kRounds; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const std::string writer = absl::StrCat(ends[1], " ", round, " ", (directory.path / "data").string());
    ASSERT_EQ(setenv(kWriterVariable, writer.c_str(), 1), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      execl("/proc/self/exe", "writer",
            "--gtest_filter=Recovery.AKilledStoreHasEverythingItAcknowledgedOnceAndWhole", nullptr);
      _exit(7);
    }
    unsetenv(kWriterVariable);
    close(ends[1]);
    uint64_t number = 0;
    size_t seen = 0;
    while (read(ends[0], &number, sizeof(number)) == sizeof(number)) {
      acknowledged.insert(number);
      if (++seen == 50u + 13u * round) {
        ASSERT_EQ(kill(child, SIGKILL), 0);
      }
    }
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "status " << status;

    SmallStore store(directory.path / "data");
    const absl::Status opened = store.Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_THAT(store.Problems(), IsEmpty());
    std::set<uint64_t> found;
    for (const std::string& text : store.Texts()) {
      const uint64_t stored = std::stoull(text);
      ASSERT_TRUE(found.insert(stored).second) << stored << " is there twice";
      ASSERT_TRUE(text == absl::StrCat(stored, ":", Noise(100 + stored % 3000, stored))) << stored;
    }
    for (const uint64_t promised : acknowledged) ASSERT_TRUE(found.contains(promised)) << promised;
    // Beside these, only what was on its way: one a thread and round.
    ASSERT_LE(found.size(), acknowledged.size() + 4u * round);
  }
}

}  // namespace
}  // namespace restante::embedded
