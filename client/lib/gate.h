// Lets calls through to somebody else's code until it is closed, and tells the
// closer when none is inside any more.
#ifndef RESTANTE_CLIENT_LIB_GATE_H_
#define RESTANTE_CLIENT_LIB_GATE_H_

#include <thread>

#include "absl/synchronization/mutex.h"

namespace restante::client_internal {

// Any thread. One thread at a time is inside; it may enter again.
class Gate {
 public:
  // False: closed, stay out. True: call Leave afterwards.
  bool Enter() {
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    inside_ = std::this_thread::get_id();
    ++depth_;
    return true;
  }

  bool closed() const {
    absl::MutexLock lock(&mutex_);
    return closed_;
  }

  void Leave() {
    absl::MutexLock lock(&mutex_);
    --depth_;
  }

  // Nobody enters afterwards. Waits for a thread that is inside, but not for
  // the calling one: a call may close the gate it came through. Returns whether
  // that was so.
  bool Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    if (depth_ > 0 && inside_ == std::this_thread::get_id()) return true;
    mutex_.Await(absl::Condition(
        +[](int* depth) { return *depth == 0; }, &depth_));
    return false;
  }

 private:
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int depth_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread::id inside_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_GATE_H_
