// `restante-store init-cluster`: what a Ceph cluster has to have before stores may use it.
#ifndef RESTANTE_SERVER_CLUSTER_SETUP_H_
#define RESTANTE_SERVER_CLUSTER_SETUP_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/options.h"
#include "server/ceph_options.h"

namespace restante {

struct ClusterSetup {
  CephOptions ceph;
  // Who makes it, without `client.`; its key, or as ceph.conf says.
  std::string admin_user = "admin";
  std::string admin_keyring;
  uint32_t size = 3;
  uint32_t pg_num = 0;

  // No options: how long is waited for a monitor, and for a pool's answer.
  uint32_t connect_seconds = 10;
  uint32_t answer_seconds = 30;

  void Register(OptionTable& options);
  // kInvalidArgument, one line.
  absl::Status Check() const;
};

// Makes the pools that are missing, with `size` copies of which two acknowledge a write,
// tags those that nobody's tag is on, makes the store's user (if `ceph.keyring` says where
// its key goes) with no rights but in these pools, and marks them as a store's. What is
// there stays as it is: again it changes nothing, and one that was broken off is finished.
// `say` gets a line for each step.
//
// Errors, nothing of the store being changed then, name the thing: kUnavailable, the
// cluster or a pool does not answer; kPermissionDenied; kFailedPrecondition, what is there
// is not safe (CheckPools, ReadMark), holds objects of others, or does not fit what is
// asked for.
absl::Status SetUpCluster(const ClusterSetup& setup, absl::FunctionRef<void(absl::string_view line)> say);

// The subcommand, `argv[0]` being its name. The exit status.
int InitCluster(int argc, const char* const* argv);

}  // namespace restante

#endif  // RESTANTE_SERVER_CLUSTER_SETUP_H_
