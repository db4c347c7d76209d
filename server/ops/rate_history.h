// How many transactions ended in each of the last sixty minutes, by outcome.
#ifndef RESTANTE_SERVER_OPS_RATE_HISTORY_H_
#define RESTANTE_SERVER_OPS_RATE_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"
#include "server/base/steady_condition.h"

namespace restante::ops {

// Of transactions.
struct OutcomeCounts {
  uint64_t stored = 0, suppressed = 0, refused = 0, aborted = 0;

  uint64_t total() const { return stored + suppressed + refused + aborted; }
};

// Looks at rising counts every few seconds, by a thread of its own. Any thread.
class RateHistory {
 public:
  static constexpr size_t kMinutes = 60;
  using Minutes = std::array<OutcomeCounts, kMinutes>;  // The oldest first; the last is under way.

  RateHistory(std::function<OutcomeCounts()> read, const Clock* clock);
  ~RateHistory();

  // Looks now.
  void Sample();
  // What was counted by the last look.
  Minutes Read() const;

 private:
  int64_t Minute() const { return clock_->MonotonicMicros() / 60'000'000; }
  void MoveTo(int64_t minute) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<OutcomeCounts()> read_;
  const Clock* const clock_;

  mutable absl::Mutex mutex_;
  OutcomeCounts last_ ABSL_GUARDED_BY(mutex_);
  int64_t minute_ ABSL_GUARDED_BY(mutex_);  // Of minutes_' last.
  Minutes minutes_ ABSL_GUARDED_BY(mutex_) = {};
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition stop_;  // stopping_ is set.
  std::thread thread_;
};

}  // namespace restante::ops

#endif  // RESTANTE_SERVER_OPS_RATE_HISTORY_H_
