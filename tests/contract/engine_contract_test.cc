// The engines that the contract is played over.
#include "tests/contract/engine_contract.h"

#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/memory/memory_engine.h"

namespace restante::engine {
namespace {

EngineFactory Memory() {
  return {.name = "Memory", .create = [](const EngineSetup& setup) {
            return absl::StatusOr<std::unique_ptr<Engine>>(
                NewMemoryEngine({.rules = setup.rules,
                                 .clock = setup.clock,
                                 .max_disk = setup.max_disk,
                                 .retry_window_seconds = setup.retry_window_seconds,
                                 .event_retention_seconds = setup.event_retention_seconds}));
          }};
}

// Small segments and checkpoints, so that short tests pass many of both.
EngineFactory Embedded() {
  return {.name = "Embedded",
          .create =
              [](const EngineSetup& setup) {
                embedded::Options options;
                options.data_dir = setup.directory;
                options.create = true;
                options.rules = setup.rules;
                options.clock = setup.clock;
                options.max_disk = setup.max_disk == quota::kUnlimited ? 0 : setup.max_disk;
                options.retry_window_seconds = setup.retry_window_seconds;
                options.event_retention_seconds = setup.event_retention_seconds;
                options.ballast = 1 << 20;
                options.segment_bytes = 256 << 10;
                options.checkpoint_bytes = 64 << 10;
                return embedded::Open(std::move(options));
              },
          .durable = true};
}

std::string NameOf(const testing::TestParamInfo<EngineFactory>& engine) { return engine.param.name; }

INSTANTIATE_TEST_SUITE_P(Engines, EngineContract, testing::Values(Memory(), Embedded()), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, QuotaRace, testing::Values(Memory(), Embedded()), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, DurableEngineContract, testing::Values(Embedded()), NameOf);

INSTANTIATE_TEST_SUITE_P(Engines, EventsContract, testing::Values(Memory(), Embedded()), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, DurableEvents, testing::Values(Embedded()), NameOf);

}  // namespace
}  // namespace restante::engine
