// Functions to be run later, on the completion queue's thread, with one alarm for all of them.
#ifndef RESTANTE_CLIENT_LIB_TIMER_H_
#define RESTANTE_CLIENT_LIB_TIMER_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace grpc {
class Alarm;
}

namespace restante::client_internal {

// Any thread. Functions run one after another, in the order of their times.
class Timer : public std::enable_shared_from_this<Timer> {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Timer();
  ~Timer();

  // Without effect after Stop.
  void At(Time time, absl::AnyInvocable<void()> fn);

  // Drops what has not begun to run.
  void Stop();

 private:
  void Arm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ring(uint64_t generation);

  absl::Mutex mutex_;
  std::multimap<Time, absl::AnyInvocable<void()>> entries_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
  // Which alarm is the current one, and when it rings.
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  Time rings_at_ ABSL_GUARDED_BY(mutex_) = Time::max();
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_TIMER_H_
