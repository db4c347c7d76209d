// The model-based test: many clients do the same to the embedded engine and to
// the memory engine, in rounds. Between two rounds everything is compared, time
// passes, clocks jump, and the embedded store is closed and opened.
#ifndef RESTANTE_TESTS_MODEL_MODEL_H_
#define RESTANTE_TESTS_MODEL_MODEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"

namespace restante::model {

// What the engine under test is opened with.
struct EngineRules {
  engine::QuotaRules rules;
  const Clock* clock = nullptr;
  uint64_t retry_window_seconds = 0, event_retention_seconds = 0;
};

struct ModelOptions {
  uint64_t seed = 0;
  // Operations, each on both engines, of all clients together. At least.
  uint64_t steps = 20'000;
  int clients = 8;
  int steps_a_round = 60;
  // Opens the engine that is compared with the one in memory, again and again on what the
  // last one left; none: the embedded one.
  std::function<absl::StatusOr<std::unique_ptr<engine::Engine>>(const EngineRules&)> open;
  // Puts itself in front of it, for tests of the test.
  std::function<std::unique_ptr<engine::Engine>(std::unique_ptr<engine::Engine>)> wrap;
  // Is told the number of steps after each round.
  std::function<void(uint64_t steps)> progress;
};

struct ModelReport {
  // Empty if all is well: else step, what was done, and the two answers.
  std::string failure;
  uint64_t steps = 0;
  // How often something was seen to happen: outcomes, reopenings, jumps, and what
  // the embedded engine did behind the scenes, by name.
  std::map<std::string, uint64_t> seen;
};

ModelReport RunModel(const ModelOptions& options);

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_MODEL_H_
