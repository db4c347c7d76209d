// Cancels streams of data on which nothing has come for a while.
#ifndef RESTANTE_CLIENT_LIB_IDLE_WATCH_H_
#define RESTANTE_CLIENT_LIB_IDLE_WATCH_H_

#include <atomic>
#include <chrono>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "client/lib/timer.h"

namespace grpc {
class ClientContext;
}

namespace restante::client_internal {

// Looks at all of them together, some times in that while: what a stream costs is no alarm
// of its own, which would wake a thread twice. Any thread. Owned by shared pointers.
class IdleWatch : public std::enable_shared_from_this<IdleWatch> {
 public:
  explicit IdleWatch(std::chrono::milliseconds idle) : idle_(idle) {}
  // No stream is watched any more.
  ~IdleWatch() { timer_->Stop(); }

  class Patience;

 private:
  using Time = Timer::Time;

  void Ring();
  void Plan() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::chrono::milliseconds idle_;
  const std::shared_ptr<Timer> timer_ = std::make_shared<Timer>();
  absl::Mutex mutex_;
  absl::flat_hash_set<Patience*> streams_ ABSL_GUARDED_BY(mutex_);
  bool planned_ ABSL_GUARDED_BY(mutex_) = false;
};

// With one stream, from before its first call on. One thread.
class IdleWatch::Patience {
 public:
  Patience(IdleWatch* watch, grpc::ClientContext* context);
  ~Patience() { Over(); }

  // Something has come.
  void Heard() { heard_.store(Clock::now(), std::memory_order_relaxed); }
  // To be called once the stream is over, before its context goes: whether it was cancelled.
  bool Over();

 private:
  friend class IdleWatch;
  using Clock = std::chrono::steady_clock;

  IdleWatch* const watch_;
  grpc::ClientContext* const context_;
  std::atomic<Time> heard_{Clock::now()};
  bool expired_ = false;  // Guarded by the watch's mutex.
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_IDLE_WATCH_H_
