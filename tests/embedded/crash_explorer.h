// Cuts recorded runs, checks what is left, cuts the recovery of that again, and
// says of each failure how to see it again.
#ifndef RESTANTE_TESTS_EMBEDDED_CRASH_EXPLORER_H_
#define RESTANTE_TESTS_EMBEDDED_CRASH_EXPLORER_H_

#include <cstdint>
#include <string>

#include "server/engine/embedded/embedded_engine.h"
#include "tests/embedded/crash_history.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {

// Of all cuts and faults every so many-th is tried: all of them, but for builds that
// are slow because they look for other mistakes.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr uint64_t kCrashStride = 10;
#else
inline constexpr uint64_t kCrashStride = 1;
#endif
// How much longer than by default random tests try: RESTANTE_CRASH_ROUNDS, or 1.
uint64_t CrashRounds();
// Another for each run, unless RESTANTE_CRASH_SEED names one. Printed.
uint64_t CrashSeed();

// A run on a disk, and what its clients saw. `name` says what was done.
struct Recorded {
  SimulatedDisk* disk = nullptr;
  History history;
  std::string name;
};

class CrashExplorer {
 public:
  explicit CrashExplorer(Options options) : options_(std::move(options)) {}
  // Prints how many cut points were tried.
  ~CrashExplorer();

  // Each reports failures to GoogleTest.

  // One cut. With `again` the life after it is cut as well, after each of so many
  // of its operations, spread evenly.
  void Cut(const Recorded& run, uint64_t after, Survives survives, uint64_t seed, uint64_t again = 0);
  // After every operation (or every kCrashStride-th): what is synced, everything, and
  // `seeds` at random.
  void CutEverywhere(const Recorded& run, uint64_t seeds);
  // `times` cuts at random places in random ways, each `again` cut.
  void CutAnywhere(const Recorded& run, uint64_t seed, uint64_t times, uint64_t again = 0);

  uint64_t cuts() const { return cuts_; }
  // So many failures that more would say nothing new.
  bool enough() const { return failures_ >= 5; }

 private:
  const Options options_;
  uint64_t cuts_ = 0;
  int failures_ = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_CRASH_EXPLORER_H_
