// The one place where errors become gRPC's.
#ifndef RESTANTE_SERVER_RPC_ERRORS_H_
#define RESTANTE_SERVER_RPC_ERRORS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace restante::rpc {

// | absl               | gRPC               | because                                          |
// |--------------------|--------------------|--------------------------------------------------|
// | kCancelled         | UNAVAILABLE        | the store gave the work up, the caller may retry |
// | kUnknown, kInternal| INTERNAL           | a defect; logged                                 |
// | any other          | the same           |                                                  |
//
// The details (mail/errors.h) become a serialized google.rpc.Status in the
// trailing metadata `grpc-status-details-bin`; an error without any gets an
// ErrorInfo whose reason is the code's name.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_ERRORS_H_
