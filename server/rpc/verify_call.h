// StoreService.Verify.
#ifndef RESTANTE_SERVER_RPC_VERIFY_CALL_H_
#define RESTANTE_SERVER_RPC_VERIFY_CALL_H_

#include "absl/status/status.h"
#include "restante/v1/store.pb.h"
#include "server/mail/messages.h"
#include "server/rpc/call.h"

namespace restante::rpc {

Task<absl::Status> ServeVerify(mail::Messages* messages, Call& call, const v1::VerifyRequest* request);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_VERIFY_CALL_H_
