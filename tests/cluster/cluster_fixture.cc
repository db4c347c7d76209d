#include "tests/cluster/cluster_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/cluster_setup.h"

namespace restante::cluster {
namespace {

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

// A command's output; its errors go where ours go.
std::string Run(const std::string& command) {
  FILE* const output = ::popen(command.c_str(), "re");
  if (output == nullptr) Die(absl::StrCat("`", command, "`: cannot be run"));
  std::string text;
  std::array<char, 4096> piece;
  for (size_t n; (n = std::fread(piece.data(), 1, piece.size(), output)) > 0;) text.append(piece.data(), n);
  if (const int status = ::pclose(output); status != 0) {
    Die(absl::StrCat("`", command, "`: status ", status, ", see above"));
  }
  return text;
}

std::string NewDirectory() {
  std::string name = std::filesystem::temp_directory_path() / "restante-ceph-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) Die(absl::StrCat(name, ": cannot be made"));
  return name;
}

}  // namespace

Cluster::Cluster(absl::string_view options, pid_t owner) : directory_(NewDirectory()) {
  Do("start", absl::StrCat(options, " --owner ", owner == 0 ? ::getpid() : owner));
}

Cluster::~Cluster() { Do("stop", ""); }

std::string Cluster::Do(absl::string_view verb, absl::string_view arguments) const {
  return Run(absl::StrCat(CEPH_CLUSTER, " ", verb, " ", directory_, " ", arguments));
}

std::string SharedConf() {
  const char* const conf = ::getenv("RESTANTE_TEST_CEPH_CONF");
  if (conf == nullptr)
    Die("RESTANTE_TEST_CEPH_CONF: is not set; ./dev test-cluster starts a cluster and sets it");
  return conf;
}

void MakeStore(const std::string& conf, const std::string& name_space) {
  ClusterSetup setup;
  setup.ceph.conf = conf;
  setup.ceph.name_space = name_space;
  setup.ceph.pool_index = kIndexPool;
  setup.ceph.pool_body = kBodyPool;
  setup.ceph.allow_min_size_1 = true;
  const absl::Status made = SetUpCluster(setup, [](absl::string_view) {});
  if (!made.ok()) Die(std::string(made.message()));
}

SharedClusterTest::SharedClusterTest()
    : conf_(SharedConf()),
      namespace_(
          absl::StrCat(::testing::UnitTest::GetInstance()->current_test_info()->name(), ".", ::getpid())) {}

}  // namespace restante::cluster
