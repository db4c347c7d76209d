// StoreService.Scrub, and what a scrub found as the API says it.
#ifndef RESTANTE_SERVER_RPC_SCRUB_CALL_H_
#define RESTANTE_SERVER_RPC_SCRUB_CALL_H_

#include "absl/status/status.h"
#include "restante/v1/store.pb.h"
#include "server/engine/engine.h"
#include "server/mail/scrub.h"
#include "server/rpc/call.h"

namespace restante::rpc {

v1::Damage ToApi(mail::NamedDamage damage);

Task<absl::Status> ServeScrub(engine::Engine* engine, Call& call, const v1::ScrubRequest* request);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_SCRUB_CALL_H_
