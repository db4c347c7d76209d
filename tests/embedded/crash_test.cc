// Cuts the power after every single operation of recorded workloads, and holds
// what the next start shows against what clients had been told.
//
// RESTANTE_CRASH_ROUNDS makes the random ones longer, RESTANTE_CRASH_SEED repeats
// one. (The operations of a run are never quite the same, for threads race; what is
// made of a recorded run is.)
#include <gtest/gtest.h>

#include <iostream>

#include "absl/functional/function_ref.h"
#include "tests/embedded/crash_explorer.h"
#include "tests/embedded/crash_workload.h"
#include "tests/embedded/noted_store.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {
namespace {

class Crash : public testing::Test {
 protected:
  // In all, these tests try more than 7,000 cuts. Some fewer operations than usual
  // are no mistake, some fewer hundred are.
  void ExpectCuts(uint64_t least) {
    EXPECT_TRUE(HasFailure() || explorer_.cuts() >= least / kCrashStride) << explorer_.cuts() << " cuts";
  }

  Recorded Record(const char* name, absl::FunctionRef<absl::Status(NotedStore&)> work) {
    disk_.SetCapacity(kSmallDisk);
    NotedStore store(&disk_, options_);
    const absl::Status worked = work(store);
    EXPECT_TRUE(worked.ok()) << worked;
    std::cout << name << ": " << disk_.operations() << " operations\n";
    return {.disk = &disk_, .history = store.history(), .name = name};
  }

  explicit Crash(Options options = SmallOptions()) : options_(std::move(options)), explorer_(options_) {}

  const Options options_;
  SimulatedDisk disk_;
  CrashExplorer explorer_;
};

// Much of the log lies behind the checkpoint.
class LazyCrash : public Crash {
 protected:
  LazyCrash() : Crash(LazyOptions()) {}
};

TEST_F(Crash, ACutCreationIsFinishedByTheNext) {
  const Recorded run = Record("creation", Creation);
  explorer_.CutEverywhere(run, 6);
  // And the finishing is cut, too.
  explorer_.CutAnywhere(run, CrashSeed(), 10, /*again=*/40);
  ExpectCuts(900);
}

TEST_F(Crash, AfterEveryOperationOfEveryStep) {
  explorer_.CutEverywhere(Record("few messages", FewMessages), 3);
  ExpectCuts(750);
}

TEST_F(LazyCrash, AfterEveryOperationOfEveryStep) {
  explorer_.CutEverywhere(Record("few messages", FewMessages), 1);
  ExpectCuts(400);
}

TEST_F(Crash, AfterEveryOperationThatCrossesThresholds) {
  explorer_.CutEverywhere(Record("thresholds", Thresholds), 3);
  ExpectCuts(500);
}

TEST_F(Crash, AfterEveryOperationOfACompactionByCommand) {
  explorer_.CutEverywhere(Record("compaction", Compaction), 1);
  ExpectCuts(900);
}

TEST_F(LazyCrash, AfterEveryOperationOfACompactionByCommand) {
  explorer_.CutEverywhere(Record("compaction", Compaction), 1);
  ExpectCuts(750);
}

TEST_F(Crash, AfterEveryOperationOfACompactionByItself) {
  explorer_.CutEverywhere(Record("background compaction", BackgroundCompaction), 1);
  ExpectCuts(450);
}

TEST_F(Crash, AfterEveryOperationOfABackup) {
  explorer_.CutEverywhere(Record("backups", BackingUp), 1);
  ExpectCuts(1'000);
}

TEST_F(Crash, AfterEveryOperationOfARebuild) {
  explorer_.CutEverywhere(Record("rebuilding", Rebuilding), 1);
  ExpectCuts(650);
}

TEST_F(Crash, AfterEveryOperationOfAnIndexThatTurnsItsFilesOver) {
  explorer_.CutEverywhere(Record("full tables", FullTables), 1);
  ExpectCuts(1'200);
}

TEST_F(Crash, AnywhereInTheWorkOfManyClients) {
  const uint64_t seed = CrashSeed();
  const Recorded run = Record("many clients", [&](NotedStore& store) {
    return ManyClients(store, seed, /*clients=*/4, /*steps=*/50, /*lives=*/3);
  });
  explorer_.CutAnywhere(run, seed, 700 * CrashRounds());
  ExpectCuts(700);
}

TEST_F(Crash, AnywhereInTheRecoveryFromACut) {
  const uint64_t seed = CrashSeed();
  const Recorded run = Record("many clients", [&](NotedStore& store) {
    return ManyClients(store, seed, /*clients=*/3, /*steps=*/25, /*lives=*/2);
  });
  // After each operation of it.
  explorer_.CutAnywhere(run, seed, 14 * CrashRounds(), /*again=*/1'000);
  ExpectCuts(1'000);
}

}  // namespace
}  // namespace restante::embedded
