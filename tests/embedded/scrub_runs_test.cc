// When scrubs run, how fast, and what is known of them; and that they believe
// nothing that was only on its way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/fake_clock.h"
#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/damage.h"
#include "tests/embedded/faulty_files.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using engine::Damage;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(ScrubRuns, WhileMailFlowsNothingIsFoundInAWholeStore) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  Directory directory;
  SmallStore store(directory.path / "data");
  store.options.segment_bytes = 200'000;
  store.options.checkpoint_bytes = 100'000;
  store.options.maintenance_interval = absl::Milliseconds(5);
  store.options.compaction_bytes_per_second = uint64_t{1} << 30;
  ASSERT_TRUE(store.Open().ok());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> delivered{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + t);
      while (!stop) {
        const bool large = random() % 100 == 0;
        EXPECT_TRUE(store.Deliver(Noise(large ? (4 << 20) + 1'000 : random() % 9'000, random())).ok());
        ++delivered;
      }
    });
  }
  threads.emplace_back([&] {
    std::mt19937_64 random(seed + 9);
    uint64_t next = 1;
    while (!stop) {
      if (next + 20 > delivered) {
        std::this_thread::yield();
        continue;
      }
      // Leaves one in ten.
      if (random() % 10 != 0) store.Expunge(next).IgnoreError();
      ++next;
    }
  });
  size_t scrubs = 0;
  // Until files of every kind came and went under it.
  while (scrubs < 20 || store.Figure("compacted_segments") < 5 || store.Figure("index_checkpoints") < 5) {
    const std::vector<Damage> damages = Scrub(store);
    EXPECT_THAT(damages, IsEmpty()) << Text(damages);
    ++scrubs;
    if (testing::Test::HasFailure()) break;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Scrub(store), IsEmpty());
  EXPECT_THAT(store.Problems(), IsEmpty());
}

TEST(ScrubRuns, NoFasterThanItIsTold) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver(Noise(3 << 20, 1)).ok());
  ASSERT_TRUE(store.Deliver(Noise(3 << 20, 2)).ok());
  const absl::Time began = absl::Now();
  EXPECT_THAT(Scrub(store, 8 << 20), IsEmpty());
  // The last piece that is read does not have to be waited for.
  EXPECT_GT(absl::Now() - began, absl::Milliseconds(400));
}

TEST(ScrubRuns, EndsWhenItIsTold) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver(Noise(3 << 20, 1)).ok());
  // At this rate it would take an hour.
  std::atomic<int> reports{0};
  const absl::Status status = Await<absl::Status>([&](auto done) {
    store.engine->Scrub(
        1000, [&](engine::UpkeepProgress) { return ++reports < 5; }, std::move(done));
  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(reports, 5);
  EXPECT_FALSE(store.engine->LastScrub().has_value());
  EXPECT_THAT(Scrub(store), IsEmpty());
}

TEST(ScrubRuns, OnlyOneThatWasAskedForAndTheStoreDoesNotWaitForIt) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver(Noise(3 << 20, 1)).ok());
  absl::Notification begun, ended;
  absl::Status first;
  store.engine->Scrub(
      1000,
      [&](engine::UpkeepProgress progress) {
        if (progress.done_bytes > 0 && !begun.HasBeenNotified()) begun.Notify();
        return true;
      },
      [&](absl::Status status) {
        first = std::move(status);
        ended.Notify();
      });
  AwaitOrDie(begun);
  const absl::Status second = Await<absl::Status>([&](auto done) {
    store.engine->Scrub(
        0, [](engine::UpkeepProgress) { return true; }, std::move(done));
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_EQ(store.Figure("scrub_running"), 1u);
  store.Close();
  AwaitOrDie(ended);
  EXPECT_TRUE(absl::IsCancelled(first)) << first;
}

// A store with a clock of its own, that is scrubbed once a day.
class DailyScrub : public testing::Test {
 protected:
  DailyScrub() : store_(directory_.path / "data") {
    store_.options.clock = &clock_;
    store_.options.scrub_interval = absl::Hours(24);
    store_.options.scrub_bytes_per_second = 0;
    store_.options.maintenance_interval = absl::Milliseconds(5);
    store_.options.log = [this](LogLevel level, const std::string& text) {
      absl::MutexLock lock(&mutex_);
      if (level >= LogLevel::kInfo) log_.push_back(text);
    };
  }
  void Pass(absl::Duration time) { clock_.Advance(absl::ToInt64Microseconds(time)); }
  void AwaitScrubs(uint64_t count) {
    store_.AwaitFigure("scrubs", [count](uint64_t scrubs) { return scrubs >= count; });
  }
  std::vector<std::string> Logged() {
    absl::MutexLock lock(&mutex_);
    return log_;
  }

  absl::Mutex mutex_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
  FakeClock clock_;
  Directory directory_;
  SmallStore store_;
};

TEST_F(DailyScrub, RunsByItselfAndTellsWhatItFound) {
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("text").ok());
  EXPECT_FALSE(store_.engine->LastScrub().has_value());
  Pass(absl::Hours(23));
  EXPECT_THAT(Scrub(store_), IsEmpty());  // Which counts, too.
  EXPECT_EQ(store_.Figure("scrubs"), 1u);
  const std::string log = ReadFile(store_.Segment());
  const Flip flip(store_.Segment(), log.find("text"));
  Pass(absl::Hours(23));
  Pass(absl::Hours(2));
  AwaitScrubs(2);
  const auto last = store_.engine->LastScrub();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->end_us, clock_.WallMicros());
  EXPECT_GT(last->bytes, log.size());
  EXPECT_EQ(last->damages, 1u);
  ASSERT_THAT(last->first_damages, SizeIs(1));
  EXPECT_EQ(last->first_damages[0].file, store_.Segment());
  EXPECT_THAT(last->first_damages[0].messages, Contains(std::pair(store_.mailbox, uint64_t{1})));
  EXPECT_EQ(store_.Figure("scrub_damages"), 1u);
  EXPECT_THAT(Logged(), Contains(testing::AllOf(HasSubstr(store_.Segment().string()),
                                                HasSubstr("alice@example.org UID 1"))));
  EXPECT_THAT(Logged(), Contains(HasSubstr("1 damages found")));
}

TEST_F(DailyScrub, RemembersTheLastOneOverARestart) {
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("text").ok());
  Pass(absl::Hours(25));
  AwaitScrubs(1);
  const auto before = store_.engine->LastScrub();
  // (Store time is known to a restart as of the last group.)
  ASSERT_TRUE(store_.Deliver("more").ok());
  ASSERT_TRUE(store_.Open().ok());
  const auto after = store_.engine->LastScrub();
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->end_us, before->end_us);
  EXPECT_EQ(after->bytes, before->bytes);
  EXPECT_EQ(store_.Figure("scrubs"), 0u);
  Pass(absl::Hours(25));
  AwaitScrubs(1);
}

// Whoever opens a certain file for reading waits until the gate is open.
class GatedFiles : public FaultyFiles {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    if (mode == Mode::kRead && absl::EndsWith(path, behind)) gate.WaitForNotification();
    return FaultyFiles::Open(path, mode);
  }
  std::string behind = "-";
  absl::Notification gate;
};

TEST_F(DailyScrub, GoesOnWhereARestartInterruptedIt) {
  store_.options.segment_bytes = 100'000;
  store_.options.compaction_bytes_per_second = 0;
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(store_.Deliver(Noise(9'000, i)).ok());
  ASSERT_GE(store_.Figure("segments"), 3u);
  store_.Close();
  GatedFiles files;
  files.behind = SegmentName(3);
  store_.options.files = &files;
  auto flip = std::make_unique<Flip>(store_.Segment(1), 500);
  ASSERT_TRUE(store_.Open().ok());
  Pass(absl::Hours(25));
  // Two segments are read and one is damaged; the third has to wait.
  const uint64_t read = fs::file_size(store_.Segment(1)) + fs::file_size(store_.Segment(2));
  store_.AwaitFigure("scrub_bytes", [read](uint64_t bytes) { return bytes > read; });
  store_.AwaitFigure("scrub_damages", [](uint64_t damages) { return damages == 1; });
  ASSERT_TRUE(store_.Deliver("behind what the scrub remembers").ok());
  store_.AwaitIndexed();
  flip.reset();
  SmallStore killed(directory_.path / "killed");
  store_.CopyTo(killed.options.data_dir);
  ASSERT_EQ(store_.Figure("scrubs"), 0u);
  files.gate.Notify();
  store_.Close();

  killed.options.clock = &clock_;
  killed.options.scrub_interval = absl::Hours(24);
  killed.options.scrub_bytes_per_second = 0;
  killed.options.maintenance_interval = absl::Milliseconds(5);
  ASSERT_TRUE(killed.Open().ok());
  killed.AwaitFigure("scrubs", [](uint64_t scrubs) { return scrubs == 1; });
  const auto last = killed.engine->LastScrub();
  ASSERT_TRUE(last.has_value());
  // What is whole now was damaged when it was read.
  EXPECT_EQ(last->damages, 1u);
  EXPECT_GT(last->bytes, 360'000u);
}

TEST_F(DailyScrub, StandsBackForOneThatIsAskedFor) {
  store_.options.scrub_bytes_per_second = 1000;
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver(Noise(3 << 20, 1)).ok());
  Pass(absl::Hours(25));
  store_.AwaitFigure("scrub_running", [](uint64_t running) { return running == 1; });
  EXPECT_THAT(Scrub(store_), IsEmpty());
  EXPECT_EQ(store_.Figure("scrubs"), 1u);
  // It did what the other wanted to do.
  EXPECT_EQ(store_.Figure("scrub_running"), 0u);
  Pass(absl::Hours(25));
  store_.AwaitFigure("scrub_running", [](uint64_t running) { return running == 1; });
}

}  // namespace
}  // namespace restante::embedded
