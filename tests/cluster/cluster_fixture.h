// Ceph for tests: the cluster of the run, which all share and none may break, and
// clusters of a test's own, whose daemons it may kill and freeze.
//
// `./dev test-cluster` starts the first and names it in RESTANTE_TEST_CEPH_CONF. The
// others are started by the script ceph-cluster, which says what they have; they end
// with the object, or with the process.
//
// What cannot be done ends the program with a line that says why: without a cluster
// there is nothing to test.
#ifndef RESTANTE_TESTS_CLUSTER_CLUSTER_FIXTURE_H_
#define RESTANTE_TESTS_CLUSTER_CLUSTER_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>

#include "absl/strings/string_view.h"

namespace restante::cluster {

inline constexpr char kIndexPool[] = "restante-index";
inline constexpr char kBodyPool[] = "restante-body";

class Cluster {
 public:
  // `options` of `ceph-cluster start`: "--osds 3 --mgr". Returns when it serves, after
  // some ten seconds. It ends at the latest when the process `owner` does; 0: this one.
  explicit Cluster(absl::string_view options, pid_t owner = 0);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  const std::string& directory() const { return directory_; }
  // For clients; the keys of client.admin, and of every user whose keyring is put
  // beside it as client.NAME.keyring, are found by it.
  std::string conf() const { return directory_ + "/ceph.conf"; }

  // Daemons are "osd.0", "mon.a", "mgr.x". Each returns when it is so: the process is
  // gone, has stopped, works again.
  void Kill(absl::string_view daemon) { Do("kill", daemon); }
  void Revive(absl::string_view daemon) { Do("revive", daemon); }
  void Freeze(absl::string_view daemon) { Do("freeze", daemon); }
  void Thaw(absl::string_view daemon) { Do("thaw", daemon); }
  // Returns when OSDs that came back have caught up: all copies of everything are there.
  void Heal() { Do("heal", ""); }

  // What the command-line tools print, as client.admin: Ceph("osd pool ls").
  std::string Ceph(absl::string_view arguments) const { return Do("ceph", arguments); }
  std::string Rados(absl::string_view arguments) const { return Do("rados", arguments); }

 private:
  std::string Do(absl::string_view verb, absl::string_view arguments) const;

  std::string directory_;
};

// The run's: three OSDs, three copies, a manager, both pools.
std::string SharedConf();

// Makes a store in a namespace of a cluster's two pools, as `init-cluster` does; for
// client.admin.
void MakeStore(const std::string& conf, const std::string& name_space);

// Each test has a RADOS namespace of its own in the pools of the run's cluster, so that
// it meets no other's objects. They go with the cluster.
class SharedClusterTest : public ::testing::Test {
 protected:
  SharedClusterTest();

  const std::string conf_;
  const std::string namespace_;
};

}  // namespace restante::cluster

#endif  // RESTANTE_TESTS_CLUSTER_CLUSTER_FIXTURE_H_
