// Runs functions one after another, on whichever thread happens to post them.
//
// The thread that posts to an idle strand runs what it posted, and whatever
// others (or the functions themselves) post meanwhile, before Post returns. So
// state that only strand functions touch needs no lock, nothing waits, and a
// callback that comes back on the calling thread cannot recurse.
#ifndef RESTANTE_SERVER_BASE_STRAND_H_
#define RESTANTE_SERVER_BASE_STRAND_H_

#include <deque>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace restante {

class Strand {
 public:
  Strand() = default;
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  // Any thread. The strand must outlive the call; a function that owns the
  // strand's owner (a shared_ptr) may be the last to do so, for the queue is not
  // touched after the last function but through `this` being kept alive by it.
  void Post(absl::AnyInvocable<void()> fn) {
    {
      absl::MutexLock lock(&mutex_);
      queue_.push_back(std::move(fn));
      if (running_) return;
      running_ = true;
    }
    Drain();
  }

 private:
  void Drain() {
    absl::AnyInvocable<void()> fn;
    while (true) {
      absl::AnyInvocable<void()> next;
      {
        absl::MutexLock lock(&mutex_);
        if (queue_.empty()) {
          running_ = false;
          break;
        }
        next = std::move(queue_.front());
        queue_.pop_front();
      }
      // The last function stays alive until the queue was looked at again.
      fn = std::move(next);
      fn();
    }
  }

  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_STRAND_H_
