// The store's overview for whoever looks at it often.
#ifndef RESTANTE_SERVER_OPS_OVERVIEW_READER_H_
#define RESTANTE_SERVER_OPS_OVERVIEW_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/steady_condition.h"
#include "server/mail/overview.h"
#include "server/mail/provisioning.h"

namespace restante::ops {

// Reads it one at a time, and for a twentieth of the time at most: an engine may have to
// look at every mailbox for it. Any thread; what it is made of outlives it.
class OverviewReader {
 public:
  struct Options {
    size_t fullest = 0;                          // As ReadOverview's.
    absl::Duration age;                          // What is no older is not read again.
    absl::Duration patience = absl::Seconds(2);  // How long Get waits for a new one if there is an old one.
  };
  OverviewReader(mail::Provisioning* provisioning, const Clock* clock, Options options)
      : provisioning_(provisioning), clock_(clock), options_(options) {}
  // Waits for the one that is being read.
  ~OverviewReader();

  // Errors: those of the last reading, where none has succeeded.
  absl::StatusOr<mail::Overview> Get();

 private:
  bool IsDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Read();

  mail::Provisioning* const provisioning_;
  const Clock* const clock_;
  const Options options_;

  absl::Mutex mutex_;
  SteadyCondition changed_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::StatusOr<mail::Overview>> last_ ABSL_GUARDED_BY(mutex_);
  int64_t begun_us_ ABSL_GUARDED_BY(mutex_) = 0, took_us_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_OVERVIEW_READER_H_
