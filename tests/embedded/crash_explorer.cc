#include "tests/embedded/crash_explorer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/embedded/crash_check.h"

namespace restante::embedded {
namespace {

absl::string_view NameOf(Survives survives) {
  switch (survives) {
    case Survives::kSynced:
      return "power cut, only what was synced is left";
    case Survives::kRandom:
      return "power cut, anything may be left";
    case Survives::kEverything:
      break;
  }
  return "kill -9";
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

}  // namespace

uint64_t CrashRounds() { return FromEnvironment("RESTANTE_CRASH_ROUNDS", 1); }

uint64_t CrashSeed() {
  const uint64_t seed = FromEnvironment("RESTANTE_CRASH_SEED", std::random_device{}());
  std::cout << "RESTANTE_CRASH_SEED=" << seed << "\n";
  return seed;
}

CrashExplorer::~CrashExplorer() { std::cout << cuts_ << " cut points tried\n"; }

void CrashExplorer::Cut(const Recorded& run, uint64_t after, Survives survives, uint64_t seed,
                        uint64_t again) {
  const std::unique_ptr<SimulatedDisk> image = run.disk->CutAfter(after, survives, seed);
  CrashCheck check(image.get(), options_, run.history, static_cast<int64_t>(after));
  ++cuts_;
  const bool right = check.Run(seed);
  const std::string name = absl::StrCat(
      run.name, ", ", NameOf(survives), " after operation ", after, " of ", run.disk->operations(),
      after == 0 ? "" : ": ", after == 0 ? "" : run.disk->operation(after).ToString(), " (seed ", seed, ")");
  if (!right) {
    ++failures_;
    ADD_FAILURE() << name << ":\n  " << absl::StrJoin(check.problems(), "\n  ");
    return;
  }
  const Recorded life{.disk = image.get(), .history = check.history(), .name = name};
  const uint64_t operations = image->operations();
  for (uint64_t i = 0; i < std::min(again, operations) && !enough(); ++i) {
    constexpr Survives kAll[] = {Survives::kRandom, Survives::kSynced, Survives::kRandom,
                                 Survives::kEverything};
    Cut(life, 1 + i * operations / std::min(again, operations), kAll[(seed + i) % 4], seed + i);
  }
}

void CrashExplorer::CutEverywhere(const Recorded& run, uint64_t seeds) {
  for (uint64_t after = 0; after <= run.disk->operations() && !enough(); after += kCrashStride) {
    Cut(run, after, Survives::kSynced, after);
    Cut(run, after, Survives::kEverything, after);
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      Cut(run, after, Survives::kRandom, seed * 1'000'000 + after);
    }
  }
}

void CrashExplorer::CutAnywhere(const Recorded& run, uint64_t seed, uint64_t times, uint64_t again) {
  std::mt19937_64 random(seed);
  times = (times + kCrashStride - 1) / kCrashStride;
  for (uint64_t i = 0; i < times && !enough(); ++i) {
    constexpr Survives kAll[] = {Survives::kSynced, Survives::kEverything, Survives::kRandom,
                                 Survives::kRandom};
    const Survives survives = kAll[random() % std::size(kAll)];
    // Ascending, for that is quick.
    Cut(run, i * run.disk->operations() / times + random() % (run.disk->operations() / times + 1), survives,
        random() % 1'000'000'000, again);
  }
}

}  // namespace restante::embedded
