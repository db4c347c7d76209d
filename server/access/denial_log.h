// The log of calls that were refused for want of a right.
#ifndef RESTANTE_SERVER_ACCESS_DENIAL_LOG_H_
#define RESTANTE_SERVER_ACCESS_DENIAL_LOG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"

namespace restante::access {

// A line for each refusal, `call denied`, with caller, peer, method and reason.
// The same one again is said every ten seconds at most, with how many were not:
// else any stranger could fill the disk with our log. Any thread.
class DenialLog {
 public:
  explicit DenialLog(const Clock* clock) : clock_(clock) {}

  // `caller` is empty when nobody knows who it is.
  void Say(absl::string_view caller, absl::string_view peer, absl::string_view method,
           absl::string_view reason);

 private:
  struct Said {
    int64_t at_micros = 0;
    uint64_t unsaid = 0;
  };

  const Clock* const clock_;
  absl::Mutex mutex_;
  // By all that is said. Bounded; what does not find room shares one entry.
  std::map<std::string, Said> said_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::access

#endif  // RESTANTE_SERVER_ACCESS_DENIAL_LOG_H_
