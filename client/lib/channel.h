// The gRPC channel that ClientOptions ask for.
#ifndef RESTANTE_CLIENT_LIB_CHANNEL_H_
#define RESTANTE_CLIENT_LIB_CHANNEL_H_

#include <memory>

namespace grpc {
class Channel;
}

namespace restante {
struct ClientOptions;
}

namespace restante::client_internal {

// Keepalive and back-off as told; gRPC itself repeats no call. Does not connect.
std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options);

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CHANNEL_H_
