// RESTANTE_MODEL_SEED and RESTANTE_MODEL_STEPS in the environment: a seed that
// failed before, more steps than a usual test has time for.
#include "tests/model/model.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/model/liar.h"

namespace restante::model {
namespace {

// Some seconds; instrumented, it takes ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSteps = 5'000;
#else
constexpr uint64_t kSteps = 12'000;
#endif

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

uint64_t Seed() {
  const uint64_t seed = FromEnvironment("RESTANTE_MODEL_SEED", std::random_device{}());
  std::printf("RESTANTE_MODEL_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

TEST(Model, BothEnginesSayTheSameOfEverything) {
  ModelOptions options;
  options.seed = Seed();
  options.steps = FromEnvironment("RESTANTE_MODEL_STEPS", kSteps);
  uint64_t told = 0;
  options.progress = [&](uint64_t steps) {
    if (steps < told + 100'000) return;
    told = steps;
    std::printf("%llu steps\n", static_cast<unsigned long long>(steps));
    std::fflush(stdout);
  };
  const auto began = std::chrono::steady_clock::now();
  const ModelReport report = RunModel(options);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  ASSERT_EQ(report.failure, "") << "seed " << options.seed;
  std::printf("%llu steps in %.1f s; seen:\n", static_cast<unsigned long long>(report.steps), took.count());
  for (const auto& [what, times] : report.seen) {
    std::printf("  %s: %llu\n", what.c_str(), static_cast<unsigned long long>(times));
  }
  // It did happen.
  EXPECT_GE(report.steps, options.steps);
  if (report.steps < 10'000) return;
  for (const char* what :
       {"OUTCOME_OK", "OUTCOME_MAILBOX_FULL", "OUTCOME_DOMAIN_FULL", "OUTCOME_REQUEST_ID_ABORTED",
        "OUTCOME_TIMED_OUT", "a retry suppressed", "a silent reservation taken by others",
        "closed and opened", "a threshold reached", "a threshold left", "embedded index_checkpoints",
        "embedded segments begun", "shared OUTCOME_OK"}) {
    const auto seen = report.seen.find(what);
    EXPECT_TRUE(seen != report.seen.end() && seen->second > 0) << what << ", seed " << options.seed;
  }
}

struct KnownLie {
  std::string name;
  Lie lie;
};

class ModelNotices : public testing::TestWithParam<KnownLie> {};

TEST_P(ModelNotices, AnEngineThatLies) {
  ModelOptions options;
  options.seed = Seed();
  options.steps = 200'000;
  options.wrap = [](std::unique_ptr<engine::Engine> engine) {
    return std::make_unique<Liar>(GetParam().lie, std::move(engine));
  };
  const ModelReport report = RunModel(options);
  EXPECT_NE(report.failure, "") << "nothing noticed in " << report.steps << " steps";
  std::printf("after %llu steps: %s\n", static_cast<unsigned long long>(report.steps),
              report.failure.c_str());
}

INSTANTIATE_TEST_SUITE_P(All, ModelNotices,
                         testing::Values(KnownLie{"LosesChanges", Lie::kLosesChanges},
                                         KnownLie{"StoresNothing", Lie::kStoresNothing},
                                         KnownLie{"StoresTwice", Lie::kStoresTwice},
                                         KnownLie{"ForgetsReceipts", Lie::kForgetsReceipts},
                                         KnownLie{"HidesMessages", Lie::kHidesMessages},
                                         KnownLie{"FlipsBits", Lie::kFlipsBits},
                                         KnownLie{"PromisesTooMuch", Lie::kPromisesTooMuch},
                                         KnownLie{"KeepsClosedOpen", Lie::kKeepsClosedOpen},
                                         KnownLie{"SettlesWithoutMaking", Lie::kSettlesWithoutMaking},
                                         KnownLie{"ForgetsRetries", Lie::kForgetsRetries},
                                         KnownLie{"SwallowsMessages", Lie::kSwallowsMessages},
                                         KnownLie{"ForgetsThresholds", Lie::kForgetsThresholds},
                                         KnownLie{"HidesEvents", Lie::kHidesEvents}),
                         [](const auto& lie) { return lie.param.name; });

}  // namespace
}  // namespace restante::model
