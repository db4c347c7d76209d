// Many clients do the same to a store over the cluster and to one in memory, and
// everything that they are told is compared (tests/model).
//
// RESTANTE_MODEL_SEED and RESTANTE_MODEL_STEPS as in model_test.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"
#include "tests/model/model.h"

namespace restante::rados {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

class RadosModel : public cluster::SharedClusterTest {
 protected:
  void ExpectTheSame(absl::FunctionRef<void(Options*)> change, std::vector<const char*> must_be_seen) {
    model::ModelOptions options;
    options.seed = FromEnvironment("RESTANTE_MODEL_SEED", std::random_device{}());
    std::printf("RESTANTE_MODEL_SEED=%llu\n", static_cast<unsigned long long>(options.seed));
    options.steps = FromEnvironment("RESTANTE_MODEL_STEPS", 2'000);
    options.open = [&](const model::EngineRules& rules) {
      Options opened = OptionsOf(conf_, namespace_);
      opened.rules = rules.rules;
      opened.clock = rules.clock;
      opened.retry_window_seconds = rules.retry_window_seconds;
      opened.event_retention_seconds = rules.event_retention_seconds;
      change(&opened);
      return rados::Open(std::move(opened));
    };
    const model::ModelReport report = model::RunModel(options);
    ASSERT_EQ(report.failure, "") << "seed " << options.seed;
    EXPECT_GE(report.steps, options.steps);
    for (const char* what : must_be_seen) {
      const auto seen = report.seen.find(what);
      EXPECT_TRUE(seen != report.seen.end() && seen->second > 0) << what << ", seed " << options.seed;
    }
  }
};

TEST_F(RadosModel, SaysTheSameOfEverythingAsTheOneInMemory) {
  ExpectTheSame([](Options*) {}, {"OUTCOME_OK", "OUTCOME_MAILBOX_FULL", "closed and opened"});
}

TEST_F(RadosModel, SaysTheSameWhileAllRowsMoveToShards) {
  std::atomic<int> named = 0;
  ExpectTheSame(
      [&](Options* options) {
        SpillAlways(options);
        options->at = [&](absl::string_view step) { named += step == "shards named" ? 1 : 0; };
      },
      {"OUTCOME_OK", "OUTCOME_MAILBOX_FULL", "closed and opened"});
  EXPECT_GT(named, 0);
}

}  // namespace
}  // namespace restante::rados
