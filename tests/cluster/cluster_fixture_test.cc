// What the tests rely on: clusters that do not meet, do what they are told, and end.
#include "tests/cluster/cluster_fixture.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/engine/rados/cluster.h"
#include "server/engine/rados/pool_check.h"

namespace restante::cluster {
namespace {

using ::testing::HasSubstr;

TEST(ClusterFixture, ClustersStartedAtOnceDoNotMeet) {
  std::unique_ptr<Cluster> one, other;
  std::thread beside([&] { other = std::make_unique<Cluster>("--osds 1 --pools one"); });
  one = std::make_unique<Cluster>("--osds 1 --pools other");
  beside.join();
  EXPECT_NE(one->Ceph("fsid"), other->Ceph("fsid"));
  EXPECT_EQ(one->Ceph("osd pool ls"), "other\n");
  EXPECT_EQ(other->Ceph("osd pool ls"), "one\n");
}

TEST(ClusterFixture, KilledAndFrozenOsdsComeBackWithWhatTheyHad) {
  Cluster cluster("--osds 1 --pools mail");
  const std::string file = cluster.directory() + "/ceph.conf";
  cluster.Rados("-p mail put letter " + file);
  cluster.Kill("osd.0");
  cluster.Revive("osd.0");
  cluster.Freeze("osd.0");
  cluster.Thaw("osd.0");
  EXPECT_THAT(cluster.Rados("-p mail get letter -"), HasSubstr("mon_host"));
}

TEST(ClusterFixture, ClusterIsGoneWithItsOwner) {
  const pid_t owner = ::fork();
  if (owner == 0) {
    ::execlp("sleep", "sleep", "infinity", nullptr);
    ::_exit(1);
  }
  Cluster cluster("--osds 1", owner);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::filesystem::exists(cluster.directory()) && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_FALSE(std::filesystem::exists(cluster.directory()));
}

TEST_F(SharedClusterTest, StoresOfTestsAreTheirOwn) {
  std::vector<std::string> stores;
  for (const std::string& name_space : {namespace_ + ".one", namespace_ + ".other"}) {
    MakeStore(conf_, name_space);
    rados::ClusterOptions options;
    options.conf = conf_;
    options.user = "admin";
    options.name_space = name_space;
    const auto cluster = rados::Cluster::Connect(options);
    ASSERT_EQ(cluster.status(), absl::OkStatus());
    const auto store = rados::CheckStore(**cluster, {kIndexPool, kBodyPool, false});
    ASSERT_EQ(store.status(), absl::OkStatus());
    stores.push_back(*store);
  }
  EXPECT_NE(stores[0], stores[1]);
}

}  // namespace
}  // namespace restante::cluster
