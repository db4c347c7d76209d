// Functions to be run later, on one thread that waits for nothing else.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_LATER_H_
#define RESTANTE_SERVER_ENGINE_RADOS_LATER_H_

#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/steady_condition.h"
#include "server/base/task.h"

namespace restante::rados {

// Any thread.
class Later {
 public:
  Later() : thread_([this] { Run(); }) {}
  ~Later() { Stop(); }

  // `fn` is called once: after `delay`, or when this stops.
  void After(absl::Duration delay, absl::AnyInvocable<void()> fn) {
    {
      absl::MutexLock lock(&mutex_);
      if (!stopped_) {
        entries_.emplace(std::chrono::steady_clock::now() + absl::ToChronoMicroseconds(delay), std::move(fn));
        changed_.Changed();
        return;
      }
    }
    fn();
  }
  Await<bool> Sleep(absl::Duration delay) {
    return Await<bool>(
        [this, delay](auto done) { After(delay, [done = std::move(done)]() mutable { done(true); }); });
  }

  // Runs what waits, now, and everything that comes from here on at once.
  void Stop() {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      changed_.Changed();
    }
    if (thread_.joinable()) thread_.join();
  }
  bool stopped() const {
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }

 private:
  void Run() {
    while (true) {
      absl::AnyInvocable<void()> next;
      {
        absl::MutexLock lock(&mutex_);
        const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
          return stopped_ ||
                 (!entries_.empty() && entries_.begin()->first <= std::chrono::steady_clock::now());
        };
        while (!due()) {
          const auto wait = entries_.empty() ? std::chrono::steady_clock::duration(std::chrono::hours(1))
                                             : entries_.begin()->first - std::chrono::steady_clock::now();
          const size_t count = entries_.size();
          changed_.AwaitFor(&mutex_, absl::FromChrono(wait), [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
            return due() || entries_.size() != count;
          });
        }
        if (entries_.empty()) return;
        next = std::move(entries_.begin()->second);
        entries_.erase(entries_.begin());
      }
      next();
    }
  }

  mutable absl::Mutex mutex_;
  SteadyCondition changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::multimap<std::chrono::steady_clock::time_point, absl::AnyInvocable<void()>> entries_
      ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // Last: it sees all of the above.
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_LATER_H_
