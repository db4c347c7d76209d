// What gRPC itself has to say.
#ifndef RESTANTE_SERVER_BASE_GRPC_LOG_H_
#define RESTANTE_SERVER_BASE_GRPC_LOG_H_

namespace restante {

// Sends gRPC's errors, of which a failed TLS handshake is one, into our log, where
// they have its form; at most one in ten seconds, with how many were left out, for
// any stranger can cause them. To be called before gRPC is used.
void RouteGrpcLog();

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_GRPC_LOG_H_
