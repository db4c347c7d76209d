// grpc::Status from the wire -> absl::Status with the details as payloads. The
// only place of this side where RPC errors are mapped.
#ifndef RESTANTE_CLIENT_LIB_GRPC_STATUS_H_
#define RESTANTE_CLIENT_LIB_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace restante::client_internal {

// Same code and text. Each detail of `grpc-status-details-bin` is a payload
// under its type URL. A code that is not gRPC's is kUnknown.
absl::Status ToStatus(const grpc::Status& status);

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_GRPC_STATUS_H_
