// StoreService.Verify: the check goes on at its own pace, and what is new is told
// as often as the caller reads, at least every second if it does.
#ifndef RESTANTE_SERVER_RPC_VERIFY_CALL_H_
#define RESTANTE_SERVER_RPC_VERIFY_CALL_H_

#include <grpcpp/grpcpp.h>

#include "restante/v1/store.pb.h"
#include "server/engine/engine.h"

namespace restante::rpc {

// The reactor deletes itself when the call is done.
grpc::ServerWriteReactor<v1::VerifyResponse>* StartVerify(engine::Engine* engine);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_VERIFY_CALL_H_
