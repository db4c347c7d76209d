// StoreService.Settle.
#ifndef RESTANTE_SERVER_RPC_SETTLE_CALL_H_
#define RESTANTE_SERVER_RPC_SETTLE_CALL_H_

#include "absl/status/status.h"
#include "restante/v1/store.pb.h"
#include "server/engine/engine.h"
#include "server/rpc/call.h"

namespace restante::rpc {

Task<absl::Status> ServeSettle(engine::Engine* engine, Call& call, const v1::SettleRequest* request);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_SETTLE_CALL_H_
