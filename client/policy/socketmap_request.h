// Requests of Postfix's and Sendmail's socketmap protocol (socketmap_table(5)):
// netstrings `map key`.
#ifndef RESTANTE_CLIENT_POLICY_SOCKETMAP_REQUEST_H_
#define RESTANTE_CLIENT_POLICY_SOCKETMAP_REQUEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::policy {

struct SocketmapRequest {
  std::string map;
  // May be empty and may hold blanks.
  std::string key;
};

// From a netstring's text. kInvalidArgument if it names no map.
absl::StatusOr<SocketmapRequest> ParseSocketmapRequest(absl::string_view text);

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_SOCKETMAP_REQUEST_H_
