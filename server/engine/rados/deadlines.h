// Answers that are given up after a while, though the work goes on.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_DEADLINES_H_
#define RESTANTE_SERVER_ENGINE_RADOS_DEADLINES_H_

#include <atomic>
#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"

namespace restante::rados {

// All wait equally long. Any thread; somebody calls Look now and then.
class Deadlines {
 public:
  explicit Deadlines(absl::Duration patience) : patience_us_(absl::ToInt64Microseconds(patience)) {}

  // A function that passes a result on to `done`. If the time is over first `done` gets
  // kUnavailable, and the result goes to `late`, for what it has done.
  template <typename T>
  absl::AnyInvocable<void(T)> Within(
      absl::AnyInvocable<void(T)> done, absl::AnyInvocable<void(T)> late = [](T) {}) {
    auto call = std::make_shared<Call>();
    auto shared_done = std::make_shared<absl::AnyInvocable<void(T)>>(std::move(done));
    call->started_us = Clock::System()->MonotonicMicros();
    call->give_up = [this, shared_done] {
      std::move (*shared_done)(absl::UnavailableError(
          absl::StrCat("the cluster has not answered for ", patience_us_ / 1'000'000, " seconds")));
    };
    {
      absl::MutexLock lock(&mutex_);
      calls_.push_back(call);
    }
    return [call, shared_done, late = std::move(late)](T result) mutable {
      if (call->answered.exchange(true)) {
        std::move(late)(std::move(result));
      } else {
        std::move (*shared_done)(std::move(result));
      }
    };
  }

  // Gives up what is overdue.
  void Look() {
    const int64_t before = Clock::System()->MonotonicMicros() - patience_us_;
    while (true) {
      std::shared_ptr<Call> call;
      {
        absl::MutexLock lock(&mutex_);
        if (calls_.empty() || (calls_.front()->started_us > before && !calls_.front()->answered)) return;
        call = std::move(calls_.front());
        calls_.pop_front();
      }
      if (!call->answered.exchange(true)) std::move(call->give_up)();
    }
  }

 private:
  struct Call {
    int64_t started_us = 0;
    std::atomic<bool> answered{false};
    absl::AnyInvocable<void()> give_up;
  };

  const int64_t patience_us_;
  absl::Mutex mutex_;
  std::deque<std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);  // Oldest first.
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_DEADLINES_H_
