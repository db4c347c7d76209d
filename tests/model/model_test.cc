#include "tests/model/model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace restante::model {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

TEST(Model, BothEnginesSayTheSameOfEverything) {
  ModelOptions options;
  options.seed = FromEnvironment("RESTANTE_MODEL_SEED", std::random_device{}());
  options.steps = FromEnvironment("RESTANTE_MODEL_STEPS", options.steps);
  std::printf("RESTANTE_MODEL_SEED=%llu\n", static_cast<unsigned long long>(options.seed));
  const absl::Time began = absl::Now();
  const ModelReport report = RunModel(options);
  std::printf("%llu steps in %.1f s\n", static_cast<unsigned long long>(report.steps),
              absl::ToDoubleSeconds(absl::Now() - began));
  for (const auto& [what, times] : report.seen) {
    std::printf("  %s: %llu\n", what.c_str(), static_cast<unsigned long long>(times));
  }
  EXPECT_EQ(report.failure, "") << "seed " << options.seed;
}

}  // namespace
}  // namespace restante::model
