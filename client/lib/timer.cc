#include "client/lib/timer.h"

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>

#include <algorithm>
#include <utility>

#include "client/lib/completion.h"

namespace restante::client_internal {

Timer::Timer() = default;
Timer::~Timer() = default;

void Timer::At(Time time, absl::AnyInvocable<void()> fn) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  entries_.emplace(time, std::move(fn));
  if (!running_) Arm();
}

void Timer::Stop() {
  std::multimap<Time, absl::AnyInvocable<void()>> dropped;
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  entries_.swap(dropped);
  ++generation_;
  alarm_ = nullptr;
}

void Timer::Arm() {
  if (entries_.empty() || rings_at_ <= entries_.begin()->first) return;
  rings_at_ = entries_.begin()->first;
  auto wait =
      std::chrono::duration_cast<std::chrono::microseconds>(rings_at_ - std::chrono::steady_clock::now());
  // A new alarm each time: one cannot be set again before it has rung.
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(CompletionQueue(),
              gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                           gpr_time_from_micros(std::max<int64_t>(wait.count(), 0), GPR_TIMESPAN)),
              WhenComplete(
                  [self = shared_from_this(), generation = ++generation_](bool) { self->Ring(generation); }));
}

void Timer::Ring(uint64_t generation) {
  mutex_.Lock();
  if (generation != generation_) {
    mutex_.Unlock();
    return;
  }
  running_ = true;
  while (!stopped_ && !entries_.empty() && entries_.begin()->first <= std::chrono::steady_clock::now()) {
    absl::AnyInvocable<void()> fn = std::move(entries_.begin()->second);
    entries_.erase(entries_.begin());
    mutex_.Unlock();
    fn();
    fn = nullptr;
    mutex_.Lock();
  }
  running_ = false;
  rings_at_ = Time::max();
  if (!stopped_) Arm();
  mutex_.Unlock();
}

}  // namespace restante::client_internal
