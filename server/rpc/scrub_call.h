// StoreService.Scrub, and what a scrub found as the API says it.
#ifndef RESTANTE_SERVER_RPC_SCRUB_CALL_H_
#define RESTANTE_SERVER_RPC_SCRUB_CALL_H_

#include <grpcpp/grpcpp.h>

#include "restante/v1/store.pb.h"
#include "server/engine/engine.h"
#include "server/mail/scrub.h"

namespace restante::rpc {

v1::Damage ToApi(mail::NamedDamage damage);

grpc::ServerWriteReactor<v1::ScrubResponse>* StartScrub(engine::Engine* engine, uint64_t bytes_per_second);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_SCRUB_CALL_H_
