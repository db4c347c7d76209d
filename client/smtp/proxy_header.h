// The header that a proxy puts in front of a connection, versions 1 and 2: who is
// behind it (haproxy's proxy-protocol.txt).
#ifndef RESTANTE_CLIENT_SMTP_PROXY_HEADER_H_
#define RESTANTE_CLIENT_SMTP_PROXY_HEADER_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace restante::smtp {

// What octets from the start of a connection hold.
struct ProxyHeader {
  enum class State {
    // All of them belong to a header that goes on.
    kIncomplete,
    kComplete,
    // They begin no header. `reason` says why not.
    kMalformed,
  };

  State state = State::kMalformed;
  // kComplete: octets of the header; what follows is the client's.
  size_t length = 0;
  // kComplete: the client's IP address in text. Empty if the proxy speaks for itself
  // (LOCAL, as its health checks do) or does not know (UNKNOWN, UNSPEC, UNIX).
  std::string client = {};
  absl::string_view reason = {};

  // No header is longer, with all that version 2 may append (TLVs, not looked at).
  static constexpr size_t kMaxLength = 4096;
};

ProxyHeader ParseProxyHeader(absl::string_view octets);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_PROXY_HEADER_H_
