// Cuts the power after every single operation of recorded workloads, and holds
// what the next start shows against what clients had been told.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/embedded/crash_explorer.h"
#include "tests/embedded/crash_workload.h"
#include "tests/embedded/noted_store.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {
namespace {

class Crash : public testing::Test {
 protected:
  Recorded Record(const char* name, absl::FunctionRef<absl::Status(NotedStore&)> work) {
    NotedStore store(&disk_, SmallOptions());
    const absl::Status worked = work(store);
    EXPECT_TRUE(worked.ok()) << worked;
    std::cout << name << ": " << disk_.operations() << " operations\n";
    return {.disk = &disk_, .history = store.history(), .name = name};
  }

  SimulatedDisk disk_;
  CrashExplorer explorer_{SmallOptions()};
};

TEST_F(Crash, Creation) { explorer_.CutEverywhere(Record("creation", Creation), 20); }
TEST_F(Crash, FewMessages) { explorer_.CutEverywhere(Record("few messages", FewMessages), 3); }
TEST_F(Crash, Compaction) { explorer_.CutEverywhere(Record("compaction", Compaction), 2); }
TEST_F(Crash, BackgroundCompaction) {
  explorer_.CutEverywhere(Record("background compaction", BackgroundCompaction), 2);
}
TEST_F(Crash, Rebuilding) { explorer_.CutEverywhere(Record("rebuilding", Rebuilding), 2); }
TEST_F(Crash, FullTables) { explorer_.CutEverywhere(Record("full tables", FullTables), 2); }
TEST_F(Crash, ManyClients) {
  const uint64_t seed = CrashSeed();
  const Recorded run =
      Record("many clients", [&](NotedStore& store) { return ManyClients(store, seed, 4, 50, 3); });
  explorer_.CutAnywhere(run, seed, 1000);
}
TEST_F(Crash, Recovery) {
  const uint64_t seed = CrashSeed();
  const Recorded run =
      Record("many clients", [&](NotedStore& store) { return ManyClients(store, seed, 3, 25, 2); });
  explorer_.CutAnywhere(run, seed, 20, 1000);
}

}  // namespace
}  // namespace restante::embedded
