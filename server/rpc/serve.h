// Answers a unary call with what a task gives. Request and response live until
// the call is finished, so the task may refer to them.
#ifndef RESTANTE_SERVER_RPC_SERVE_H_
#define RESTANTE_SERVER_RPC_SERVE_H_

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/status/status.h"
#include "server/base/task.h"
#include "server/rpc/errors.h"

namespace restante::rpc {

inline grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, Task<absl::Status> task) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  Start<absl::Status>(std::move(task),
                      [reactor](absl::Status status) { reactor->Finish(ToGrpcStatus(status)); });
  return reactor;
}

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_SERVE_H_
