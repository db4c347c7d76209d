// The options that say which Ceph cluster keeps the mail, and where in it: of the store
// with `--engine rados` and of `restante-store init-cluster`.
#ifndef RESTANTE_SERVER_CEPH_OPTIONS_H_
#define RESTANTE_SERVER_CEPH_OPTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "server/base/options.h"

namespace restante {

struct CephOptions {
  std::string conf = "/etc/ceph/ceph.conf";
  std::string user = "restante";  // Without `client.`.
  std::string keyring;
  std::string name_space;
  std::string pool_index = "restante-index";
  std::string pool_body = "restante-body";
  bool allow_min_size_1 = false;

  // `keyring_help` says what is done with --ceph-keyring.
  void Register(OptionTable& options, const char* keyring_help);

  // kInvalidArgument, one line: an option that is empty, or holds a character that no
  // name in a cluster has.
  absl::Status Check() const;
};

}  // namespace restante

#endif  // RESTANTE_SERVER_CEPH_OPTIONS_H_
