// What a gRPC call's peer has shown: the names in the client certificate that TLS
// verified, and the bearer token in the metadata `authorization` (RFC 6750, 2.1).
#ifndef RESTANTE_SERVER_ACCESS_PEER_CREDENTIALS_H_
#define RESTANTE_SERVER_ACCESS_PEER_CREDENTIALS_H_

#include <grpcpp/security/auth_context.h>
#include <grpcpp/support/string_ref.h>

#include <map>

#include "server/access/credentials.h"

namespace restante::access {

// `authentication` may be null, as over a connection without TLS.
Credentials PeerCredentials(const grpc::AuthContext* authentication,
                            const std::multimap<grpc::string_ref, grpc::string_ref>& metadata);

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_PEER_CREDENTIALS_H_
