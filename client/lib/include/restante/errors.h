// What an error of the store says about itself, for programs.
//
// Every absl::Status of this library that comes from an RPC carries the RPC's
// details. A refused recipient or message is not an error: see v1::Outcome.
#ifndef RESTANTE_CLIENT_ERRORS_H_
#define RESTANTE_CLIENT_ERRORS_H_

#include <optional>

#include "absl/status/status.h"
#include "restante/v1/error.pb.h"

namespace restante {

// The ErrorInfo that the store sent with the error: a stable reason and, in its
// metadata, the resource and amounts by name. nullopt if there is none, as with
// errors of the connection.
std::optional<v1::ErrorInfo> GetErrorInfo(const absl::Status& status);

// The fields that the store found wrong (kInvalidArgument). nullopt if none.
std::optional<v1::BadRequest> GetBadRequest(const absl::Status& status);

// Whether no store answered: kUnavailable or kDeadlineExceeded, and not because
// the store itself said so.
bool IsUnreachable(const absl::Status& status);

}  // namespace restante

#endif  // RESTANTE_CLIENT_ERRORS_H_
