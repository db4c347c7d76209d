// What the peer of a call has shown.
#ifndef RESTANTE_SERVER_ACCESS_CREDENTIALS_H_
#define RESTANTE_SERVER_ACCESS_CREDENTIALS_H_

#include <optional>
#include <string>
#include <vector>

#include "server/access/token.h"

namespace restante::access {

struct Credentials {
  // CN, DNS and URI names of a client certificate that TLS has verified; empty
  // without one.
  std::vector<std::string> certificate_names = {};
  // Of the bearer token that came with the call.
  std::optional<TokenHash> token = std::nullopt;
  // Something stood where a bearer token belongs, and was none.
  bool malformed = false;
};

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_CREDENTIALS_H_
