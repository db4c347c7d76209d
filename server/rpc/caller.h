// Who calls.
#ifndef RESTANTE_SERVER_RPC_CALLER_H_
#define RESTANTE_SERVER_RPC_CALLER_H_

#include <grpcpp/grpcpp.h>

#include <string>

namespace restante::rpc {

// What request ids are scoped by. Without credentials all callers are one.
inline std::string CallerIdentity(const grpc::CallbackServerContext&) { return "anonymous"; }

// The IP address of the peer in text, without port: `127.0.0.1`, `::1`; the
// whole peer string (`unix:...`) if it is no IP address.
std::string PeerAddress(const grpc::CallbackServerContext& context);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_CALLER_H_
