// Commands to the cluster's monitors, as the command `ceph` sends them.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_MON_COMMAND_H_
#define RESTANTE_SERVER_ENGINE_RADOS_MON_COMMAND_H_

#include <google/protobuf/struct.pb.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/rados/cluster.h"

namespace restante::rados {

// Sends {"prefix": `prefix`, `arguments`, "format": "json"} and returns the answer; null if
// there is none. `arguments` are JSON members, with names and texts that need no escapes.
// Blocks, for ClusterOptions::connect_seconds at most. The error is as ToStatus has it, with
// what the monitor says about it.
absl::StatusOr<google::protobuf::Value> MonCommand(Cluster& cluster, absl::string_view prefix,
                                                   absl::string_view arguments);

// A JSON member for the arguments.
std::string JsonText(absl::string_view name, absl::string_view value);

// Of a JSON object; null if it has no such member.
const google::protobuf::Value& MemberOf(const google::protobuf::Value& object, const char* name);

// While it lives no operation on objects waits for longer: it is answered ETIMEDOUT, which
// for a write is no "no". For the time before an engine works, when nothing else is under
// way.
class BoundedWaits {
 public:
  BoundedWaits(Cluster* cluster, uint32_t seconds);
  ~BoundedWaits();
  BoundedWaits(const BoundedWaits&) = delete;
  BoundedWaits& operator=(const BoundedWaits&) = delete;

 private:
  Cluster* const cluster_;
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_MON_COMMAND_H_
