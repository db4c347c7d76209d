// StoreService.Verify.
#ifndef RESTANTE_SERVER_RPC_VERIFY_CALL_H_
#define RESTANTE_SERVER_RPC_VERIFY_CALL_H_

#include <grpcpp/grpcpp.h>

#include "restante/v1/store.pb.h"
#include "server/engine/engine.h"

namespace restante::rpc {

grpc::ServerWriteReactor<v1::VerifyResponse>* StartVerify(engine::Engine* engine, bool repair);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_VERIFY_CALL_H_
