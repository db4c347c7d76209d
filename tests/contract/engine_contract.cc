#include "tests/contract/engine_contract.h"

#include <cstdlib>
#include <filesystem>

namespace restante::engine {

void EngineContract::SetUp() {
  std::string pattern = testing::TempDir() + "restante-contract-XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  setup_.directory = pattern;
  setup_.clock = &clock_;
  Start();
}

void EngineContract::TearDown() {
  engine_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(setup_.directory, ignored);
}

void EngineContract::Start() {
  engine_.reset();
  auto engine = GetParam().create(setup_);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
}

void EngineContract::Reopen() { Start(); }

}  // namespace restante::engine
