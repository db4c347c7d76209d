// grpc.channelz.v1: figures of gRPC's own servers, channels and sockets
// (https://github.com/grpc/proposal/blob/master/A14-channelz.md), for tools such as
// grpcdebug.
#ifndef RESTANTE_SERVER_RPC_CHANNELZ_H_
#define RESTANTE_SERVER_RPC_CHANNELZ_H_

#include "server/rpc/method.h"

namespace restante::rpc {

Methods ChannelzMethods();

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_CHANNELZ_H_
