// The engines that the contract is played over.
#include "tests/contract/engine_contract.h"

#include "server/engine/memory/memory_engine.h"

namespace restante::engine {
namespace {

EngineFactory Memory() {
  return {.name = "Memory", .create = [](const EngineSetup& setup) {
            return absl::StatusOr<std::unique_ptr<Engine>>(
                NewMemoryEngine({.rules = setup.rules, .clock = setup.clock, .max_disk = setup.max_disk}));
          }};
}

std::string NameOf(const testing::TestParamInfo<EngineFactory>& engine) { return engine.param.name; }

INSTANTIATE_TEST_SUITE_P(Engines, EngineContract, testing::Values(Memory()), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, QuotaRace, testing::Values(Memory()), NameOf);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DurableEngineContract);

}  // namespace
}  // namespace restante::engine
