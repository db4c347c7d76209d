// The contract of engines over RADOS, on the run's cluster.
#include <string>

#include "absl/strings/str_cat.h"
#include "server/engine/rados/rados_engine.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"
#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

// `spilling`: rows leave their partition's object from the first few on.
EngineFactory Rados(bool spilling) {
  return {.name = spilling ? "SpillingRados" : "Rados",
          .create =
              [spilling](const EngineSetup& setup) {
                rados::Options options;
                options.ceph_conf = cluster::SharedConf();
                options.ceph_user = "admin";
                options.pool_index = cluster::kIndexPool;
                options.pool_body = cluster::kBodyPool;
                // A test's directory is its own, and so is its namespace.
                options.name_space = setup.directory.substr(setup.directory.rfind('/') + 1);
                options.create = true;
                options.measured = false;
                options.rules = setup.rules;
                options.clock = setup.clock;
                options.max_disk = setup.max_disk;
                options.retry_window_seconds = setup.retry_window_seconds;
                options.event_retention_seconds = setup.event_retention_seconds;
                if (spilling) rados::SpillAlways(&options);
                return rados::Open(std::move(options));
              },
          .durable = true};
}

std::string NameOf(const testing::TestParamInfo<EngineFactory>& engine) { return engine.param.name; }

INSTANTIATE_TEST_SUITE_P(Engines, EngineContract, testing::Values(Rados(false), Rados(true)), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, QuotaRace, testing::Values(Rados(false), Rados(true)), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, DurableEngineContract, testing::Values(Rados(false), Rados(true)), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, EventsContract, testing::Values(Rados(false), Rados(true)), NameOf);
INSTANTIATE_TEST_SUITE_P(Engines, DurableEvents, testing::Values(Rados(false), Rados(true)), NameOf);

}  // namespace
}  // namespace restante::engine
