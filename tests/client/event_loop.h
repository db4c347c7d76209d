// An executor for tests: closures run on the thread that awaits something.
#ifndef RESTANTE_TESTS_CLIENT_EVENT_LOOP_H_
#define RESTANTE_TESTS_CLIENT_EVENT_LOOP_H_

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace restante {

class EventLoop {
 public:
  // Outlives the loop in the closures' hands.
  std::function<void(absl::AnyInvocable<void()>)> executor() {
    return [queue = queue_](absl::AnyInvocable<void()> fn) {
      absl::MutexLock lock(&queue->mutex);
      queue->closures.push_back(std::move(fn));
    };
  }

  // Runs closures until `done`, which is asked after each. False: it did not
  // come to pass in a minute.
  bool RunUntil(const std::function<bool()>& done) {
    absl::Time end = absl::Now() + absl::Minutes(1);
    while (!done()) {
      absl::AnyInvocable<void()> fn;
      {
        absl::MutexLock lock(&queue_->mutex);
        auto some = [&] { return !queue_->closures.empty(); };
        // `done` may look at something that no closure brings about.
        if (!queue_->mutex.AwaitWithTimeout(absl::Condition(&some), absl::Milliseconds(5))) {
          if (absl::Now() > end) return false;
          continue;
        }
        fn = std::move(queue_->closures.front());
        queue_->closures.pop_front();
      }
      fn();
      ++closures_run_;
    }
    return true;
  }

  // Runs what is queued.
  void Drain() {
    RunUntil([this] {
      absl::MutexLock lock(&queue_->mutex);
      return queue_->closures.empty();
    });
  }

  int closures_run() const { return closures_run_; }

 private:
  struct Queue {
    absl::Mutex mutex;
    std::deque<absl::AnyInvocable<void()>> closures ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
  int closures_run_ = 0;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_EVENT_LOOP_H_
