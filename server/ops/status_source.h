// Fills the status page with what the store knows.
#ifndef RESTANTE_SERVER_OPS_STATUS_SOURCE_H_
#define RESTANTE_SERVER_OPS_STATUS_SOURCE_H_

#include <cstdint>

#include "server/base/clock.h"
#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/provisioning.h"
#include "server/ops/overview_reader.h"
#include "server/ops/rate_history.h"
#include "server/ops/status_page.h"

namespace restante::ops {

// Any thread; what it is made of outlives it. Uptime counts from here.
class StatusSource {
 public:
  StatusSource(engine::Engine* engine, mail::Provisioning* provisioning, const mail::Deliveries* deliveries,
               const Clock* clock);

  // Waits for the engine. To find the fullest mailboxes all have to be looked at:
  // that is done once in half a minute, or less often where it takes long.
  StatusView Read();

 private:
  engine::Engine* const engine_;
  const mail::Deliveries* const deliveries_;
  const Clock* const clock_;
  const int64_t start_us_;
  RateHistory rates_;
  OverviewReader overview_;
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_STATUS_SOURCE_H_
