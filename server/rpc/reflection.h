// Server reflection: tells callers such as grpcurl what there is
// (proto/grpc/reflection/v1alpha/reflection.proto).
#ifndef RESTANTE_SERVER_RPC_REFLECTION_H_
#define RESTANTE_SERVER_RPC_REFLECTION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "server/base/task.h"
#include "server/rpc/call.h"

namespace restante::rpc {

class Reflection {
 public:
  // The full names of the services that it lists; of files it knows all that the
  // program was linked with.
  explicit Reflection(std::vector<std::string> services) : services_(std::move(services)) {}

  static Task<absl::Status> Serve(Reflection* reflection, Call& call);

  grpc::reflection::v1alpha::ServerReflectionResponse Answer(
      const grpc::reflection::v1alpha::ServerReflectionRequest& request) const;

 private:
  const std::vector<std::string> services_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_REFLECTION_H_
