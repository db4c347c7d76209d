// Addresses that a program listens at, as options give them.
#ifndef RESTANTE_SERVER_BASE_ADDRESS_H_
#define RESTANTE_SERVER_BASE_ADDRESS_H_

#include "absl/strings/string_view.h"

namespace restante {

// Whether only this machine can reach `address` (`127.0.0.1:8354`, `[::1]:0`,
// `localhost:1`, `unix:/path`).
bool IsLoopback(absl::string_view address);

// Whether it needs no look-up: an IP address and a port, or `unix:/path`.
bool IsNumeric(absl::string_view address);

// Whether a connection's other end (`127.0.0.1`, `::1`, `::ffff:127.0.0.1`) is on
// this machine.
bool IsLoopbackPeer(const char* ip);

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_ADDRESS_H_
