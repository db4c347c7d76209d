// Giving up root's rights.
#ifndef RESTANTE_SERVER_BASE_PRIVILEGES_H_
#define RESTANTE_SERVER_BASE_PRIVILEGES_H_

#include <string>

#include "absl/status/status.h"

namespace restante {

// Becomes `user`, with that user's groups, for good and in all threads. Done
// already if it is who runs the process. kInvalidArgument: there is no such user;
// kPermissionDenied: the process may not become anyone else.
absl::Status BecomeUser(const std::string& user);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_PRIVILEGES_H_
