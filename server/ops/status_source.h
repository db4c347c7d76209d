// Fills the status page with what the store knows.
#ifndef RESTANTE_SERVER_OPS_STATUS_SOURCE_H_
#define RESTANTE_SERVER_OPS_STATUS_SOURCE_H_

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/overview.h"
#include "server/mail/provisioning.h"
#include "server/ops/rate_history.h"
#include "server/ops/status_page.h"

namespace restante::ops {

// Any thread; what it is made of outlives it. Uptime counts from here.
class StatusSource {
 public:
  StatusSource(engine::Engine* engine, mail::Provisioning* provisioning, const mail::Deliveries* deliveries,
               const Clock* clock);

  // Waits for the engine. To find the fullest mailboxes all have to be looked at:
  // that is done once in half a minute.
  StatusView Read();

 private:
  absl::StatusOr<mail::Overview> ReadOverview();

  engine::Engine* const engine_;
  mail::Provisioning* const provisioning_;
  const mail::Deliveries* const deliveries_;
  const Clock* const clock_;
  const int64_t start_us_;
  RateHistory rates_;

  absl::Mutex mutex_;  // Held while the mailboxes are looked at: one look is enough.
  std::optional<mail::Overview> overview_ ABSL_GUARDED_BY(mutex_);
  int64_t overview_us_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_STATUS_SOURCE_H_
