// StoreService.GetStatus.
#ifndef RESTANTE_SERVER_RPC_STORE_CALLS_H_
#define RESTANTE_SERVER_RPC_STORE_CALLS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "restante/v1/store.pb.h"
#include "server/base/clock.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/provisioning.h"

namespace restante::rpc::calls {

// What the status is of.
struct StoreParts {
  engine::Engine* engine = nullptr;
  mail::Provisioning* provisioning = nullptr;
  mail::Deliveries* deliveries = nullptr;
  const Clock* clock = nullptr;
  int64_t start_us = 0;  // Of the clock's monotonic time; uptime counts from it.
};

Task<absl::Status> GetStatus(const StoreParts* store, const v1::GetStatusRequest* request,
                             v1::StoreStatus* response);

}  // namespace restante::rpc::calls

#endif  // RESTANTE_SERVER_RPC_STORE_CALLS_H_
