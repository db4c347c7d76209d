// How to reach a store that wants to know who calls.
#ifndef RESTANTE_CLIENT_CREDENTIALS_H_
#define RESTANTE_CLIENT_CREDENTIALS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace restante {

// Files, all optional. With an authority the connection is TLS (1.2 or 1.3), and
// the store's certificate has to be of that authority and for the host that the
// target names. They may change while a client runs: a new certificate, key or
// authority counts for the connections to come, a new token for the calls to come,
// and what does not fit changes nothing.
struct StoreCredentials {
  // PEM: the authorities that the store's certificate is believed by.
  std::string ca_file = {};
  // PEM: the certificate with its chain and its key, by which the store knows us.
  std::string certificate_file = {};
  std::string key_file = {};
  // One line: a bearer token, by which the store knows us, too.
  std::string token_file = {};
};

// Whether a client of `target` (as ClientOptions has it) can use them now; for programs
// that want to say so at the start. A token that would go in the clear to another host
// is refused.
//
// kInvalidArgument: they do not go together, or the list has a store too few.
// kFailedPrecondition: `FILE`: what is wrong with it; a certificate that has expired
// among that.
absl::Status CheckCredentials(const StoreCredentials& credentials, absl::string_view target);

}  // namespace restante

#endif  // RESTANTE_CLIENT_CREDENTIALS_H_
