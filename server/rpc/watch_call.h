// StoreService.WatchEvents.
#ifndef RESTANTE_SERVER_RPC_WATCH_CALL_H_
#define RESTANTE_SERVER_RPC_WATCH_CALL_H_

#include "absl/status/status.h"
#include "restante/v1/store.pb.h"
#include "server/base/task.h"
#include "server/mail/event_feed.h"
#include "server/rpc/call.h"

namespace restante::rpc {

Task<absl::Status> ServeWatchEvents(mail::EventFeed* feed, Call& call, const v1::WatchEventsRequest* request);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_WATCH_CALL_H_
