// Lets operations of a workload fail, cuts the power some time later, and holds what
// clients had been told meanwhile against what the next starts show.
#include <gtest/gtest.h>

#include <iostream>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/embedded/crash_explorer.h"
#include "tests/embedded/crash_workload.h"
#include "tests/embedded/noted_store.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {
namespace {

using Fault = SimulatedDisk::Fault;
using Loss = SimulatedDisk::Loss;
using Kind = SimulatedDisk::Kind;
using Workload = absl::Status (*)(NotedStore&);

const absl::Status kBroken = absl::InternalError("input/output error");
const absl::Status kFull = absl::ResourceExhaustedError("no space left on device");

Fault AnyFault(std::mt19937_64& random) {
  constexpr Kind kKinds[] = {Kind::kSync,   Kind::kSync,     Kind::kAppend,
                             Kind::kAppend, Kind::kCreate,   Kind::kRename,
                             Kind::kRemove, Kind::kTruncate, Kind::kSyncDirectory};
  constexpr const char* kPaths[] = {"/segments", "/segments", "/index", "/bodies"};
  constexpr Loss kLosses[] = {Loss::kAll, Loss::kSome, Loss::kNone};
  return {.kind = kKinds[random() % std::size(kKinds)],
          .path_contains = kPaths[random() % std::size(kPaths)],
          .after = static_cast<int>(random() % 20),
          .times = static_cast<int>(1 + random() % 4),
          .status = random() % 2 == 0 ? kBroken : kFull,
          .part = static_cast<double>(random() % 5) / 4,
          .loss = kLosses[random() % std::size(kLosses)]};
}

class CrashFault : public testing::Test {
 protected:
  ~CrashFault() override { std::cout << faults_ << " faults struck\n"; }

  // Lets the first operation of a workload fail that the fault names, and only that;
  // then, from the beginning, the second, and so on until there is none.
  void FailEverywhere(Workload work, Fault fault, uint64_t least) {
    for (fault.after = 0; !explorer_.enough(); fault.after += static_cast<int>(kCrashStride)) {
      SimulatedDisk disk;
      disk.SetCapacity(kSmallDisk);
      const SimulatedDisk::FaultId id = disk.Inject(fault);
      NotedStore store(&disk, SmallOptions());
      const absl::Status worked = work(store);
      if (disk.Struck(id) == 0) {
        EXPECT_TRUE(worked.ok()) << worked;
        break;
      }
      ++faults_;
      CutBehindFault(disk, store.history());
    }
    EXPECT_TRUE(HasFailure() || faults_ >= least / kCrashStride) << faults_ << " faults";
  }

  // Soon after the fault, and at the end.
  void CutBehindFault(SimulatedDisk& disk, const History& history) {
    uint64_t number = 1;
    while (disk.operation(number).failed == absl::StatusCode::kOk) ++number;
    const Recorded run{
        .disk = &disk,
        .history = history,
        .name = absl::StrCat("fault in operation ", number, ": ", disk.operation(number).ToString())};
    for (uint64_t later = 1; number + later < disk.operations(); later *= 8) {
      explorer_.Cut(run, number + later, Survives::kSynced, later);
    }
    explorer_.Cut(run, disk.operations(), Survives::kSynced, number);
    explorer_.Cut(run, disk.operations(), Survives::kEverything, number);
  }

  uint64_t faults_ = 0;
  CrashExplorer explorer_{SmallOptions()};
};

TEST_F(CrashFault, EveryOperationOfEveryStepMayFailWithNothingDone) {
  FailEverywhere(FewMessages, {.status = kBroken}, 140);
}

TEST_F(CrashFault, EveryOperationOfEveryStepMayFailThoughAllWasDone) {
  FailEverywhere(FewMessages, {.status = kBroken, .part = 1, .loss = Loss::kNone}, 140);
}

TEST_F(CrashFault, EveryOperationThatCrossesThresholdsMayFail) {
  FailEverywhere(Thresholds, {.status = kBroken, .part = 0.5, .loss = Loss::kSome}, 90);
}

TEST_F(CrashFault, EveryOperationOfEveryStepMayFindAFullDisk) {
  FailEverywhere(FewMessages, {.status = kFull, .part = 0.5, .loss = Loss::kSome}, 140);
}

TEST_F(CrashFault, EveryOperationOfACompactionMayFail) {
  FailEverywhere(Compaction, {.status = kBroken}, 250);
}

TEST_F(CrashFault, EveryOperationOfABackupMayFail) { FailEverywhere(BackingUp, {.status = kBroken}, 330); }

TEST_F(CrashFault, EveryOperationOfARebuildMayFail) { FailEverywhere(Rebuilding, {.status = kBroken}, 200); }

TEST_F(CrashFault, EveryOperationOfAnIndexThatTurnsItsFilesOverMayFail) {
  FailEverywhere(FullTables, {.path_contains = "/index/", .status = kBroken}, 130);
}

TEST_F(CrashFault, SeveralThingsMayFailUnderManyClients) {
  const uint64_t seed = CrashSeed();
  std::mt19937_64 random(seed);
  const uint64_t rounds = 10 * CrashRounds() / kCrashStride;
  // (What never comes to its turn is no fault: a few rounds more then.)
  for (uint64_t round = 0; (round < rounds || faults_ < rounds) && !explorer_.enough(); ++round) {
    ASSERT_LT(round, 10 * rounds + 20) << faults_ << " faults struck";
    SimulatedDisk disk;
    disk.SetCapacity(kSmallDisk);
    NotedStore store(&disk, SmallOptions());
    ASSERT_TRUE(store.Open().ok());
    std::vector<SimulatedDisk::FaultId> faults;
    for (int i = 0; i < 3; ++i) faults.push_back(disk.Inject(AnyFault(random)));
    ManyClients(store, random(), /*clients=*/3, /*steps=*/20, /*lives=*/1).IgnoreError();
    for (const SimulatedDisk::FaultId fault : faults) faults_ += static_cast<uint64_t>(disk.Struck(fault));
    const Recorded run{
        .disk = &disk, .history = store.history(), .name = absl::StrCat("several faults, round ", round)};
    explorer_.CutAnywhere(run, random(), 20, /*again=*/10);
  }
}

}  // namespace
}  // namespace restante::embedded
