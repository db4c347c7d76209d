// What stores tell each other at once, and would find out by themselves a little later.
//
// All watch one object, and are notified of what others say. A hint may be lost, as while
// a watch is renewed, or late, and nobody waits for anybody to have heard it: nothing is
// founded on one but when to look.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_HINTS_H_
#define RESTANTE_SERVER_ENGINE_RADOS_HINTS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/later.h"

namespace restante::rados {

// Any thread. Lives longer than the cluster's handle, whose callbacks may come until then;
// pool and `later` have to last until Stop has returned only.
class Hints {
 public:
  // `heard` gets what others have told, and `again`, without arguments, is called when
  // they may have told what was not heard. Both on the thread of `later`.
  Hints(Pool* pool, Later* later, std::function<void(const std::set<std::string>&)> heard,
        std::function<void()> again);

  void Start();
  // From here on nothing is called any more.
  void Stop();

  // A few words, without line ends. Told within a tenth of a second, with what else there
  // is by then.
  void Tell(std::string what);

  uint64_t told() const { return told_; }  // Messages.
  uint64_t heard() const { return heard_count_; }
  uint64_t watches() const { return watches_; }  // That were begun.

 private:
  static void OnWatched(rados_completion_t completion, void* self);
  static void OnEnded(rados_completion_t completion, void* self);
  static void OnNotify(void* self, uint64_t notify, uint64_t watch, uint64_t notifier, void* data,
                       size_t size);
  static void OnLost(void* self, uint64_t watch, int error);

  void Watch();
  void WatchAgain();
  void Send();
  void PassOn();
  void After(absl::Duration delay, void (Hints::*then)());

  Pool* const pool_;
  const Librados* const library_;
  Later* const later_;
  const uint64_t own_id_;  // By which notifications of this store are known.
  const std::function<void(const std::set<std::string>&)> heard_;
  const std::function<void()> again_;
  std::atomic<uint64_t> told_{0}, heard_count_{0}, watches_{0};

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t beginning_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t watch_ ABSL_GUARDED_BY(mutex_) = 0;  // That has begun; 0: none.
  bool watching_again_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::string> untold_ ABSL_GUARDED_BY(mutex_), unheard_ ABSL_GUARDED_BY(mutex_);
  int64_t sent_us_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_HINTS_H_
