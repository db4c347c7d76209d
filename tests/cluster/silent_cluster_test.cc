// A cluster whose monitor says nothing, though it is there.
#include <string>

#include "server/engine/rados/cluster.h"
#include "server/engine/rados/mon_command.h"
#include "tests/cluster/cluster_fixture.h"

namespace restante::cluster {
namespace {

TEST(SilentCluster, SilentMonitorKeepsNobodyWaitingForEver) {
  Cluster cluster("--osds 1 --pools ''");
  rados::ClusterOptions options;
  options.conf = cluster.conf();
  options.user = "admin";
  options.connect_seconds = 2;
  const auto connected = rados::Cluster::Connect(options);
  ASSERT_EQ(connected.status(), absl::OkStatus());
  cluster.Freeze("mon.a");
  EXPECT_EQ(rados::MonCommand(**connected, "df", "").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(rados::Cluster::Connect(options).status().code(), absl::StatusCode::kUnavailable);
  cluster.Thaw("mon.a");
  absl::Status again;
  do {
    again = rados::MonCommand(**connected, "df", "").status();
  } while (absl::IsUnavailable(again));
  EXPECT_EQ(again, absl::OkStatus());
}

}  // namespace
}  // namespace restante::cluster
