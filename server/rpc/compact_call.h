// StoreService.Compact.
#ifndef RESTANTE_SERVER_RPC_COMPACT_CALL_H_
#define RESTANTE_SERVER_RPC_COMPACT_CALL_H_

#include <grpcpp/grpcpp.h>

#include "restante/v1/store.pb.h"
#include "server/engine/engine.h"

namespace restante::rpc {

grpc::ServerWriteReactor<v1::CompactResponse>* StartCompact(engine::Engine* engine);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_COMPACT_CALL_H_
