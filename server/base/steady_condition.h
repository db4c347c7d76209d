// Waiting with a limit of time that setting the clock does not move.
//
// absl's own waits (AwaitWithTimeout, WaitWithTimeout) end at a moment of the wall
// clock: set back by a day, they last a day longer.
#ifndef RESTANTE_SERVER_BASE_STEADY_CONDITION_H_
#define RESTANTE_SERVER_BASE_STEADY_CONDITION_H_

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace restante {

// Any thread.
class SteadyCondition {
 public:
  // Waits until `done()`, for `limit` at most; returns done(). `mutex` is held by
  // the caller, and whenever done() is called, but not in between.
  template <typename Fn>
  bool AwaitFor(absl::Mutex* mutex, absl::Duration limit, Fn done) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Lock lock{mutex};
    return condition_.wait_for(lock, absl::ToChronoMicroseconds(std::min(limit, absl::Hours(24 * 365))),
                               std::move(done));
  }

  // What done() says may have changed.
  void Changed() { condition_.notify_all(); }

 private:
  struct Lock {
    absl::Mutex* mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
  };

  std::condition_variable_any condition_;
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_STEADY_CONDITION_H_
