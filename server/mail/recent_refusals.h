// The last refusals, for people who want to know what happens now.
#ifndef RESTANTE_SERVER_MAIL_RECENT_REFUSALS_H_
#define RESTANTE_SERVER_MAIL_RECENT_REFUSALS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "restante/v1/common.pb.h"

namespace restante::mail {

struct Refusal {
  int64_t wall_us = 0;  // Since 1970 UTC.
  v1::Outcome outcome = v1::OUTCOME_UNSPECIFIED;
  std::string recipient;  // As given; empty: the whole transaction.
  std::string client;     // The sender's address; empty: not known.
  std::string detail;     // Numbers, for people.
};

// Any thread.
class RecentRefusals {
 public:
  static constexpr size_t kKept = 50;
  static constexpr size_t kMaxText = 320;  // Octets of each text; the rest is cut off.

  void Add(Refusal refusal);
  // The newest first.
  std::vector<Refusal> List() const;
  // All that there were, by outcome.
  std::map<v1::Outcome, uint64_t> Counts() const;

 private:
  mutable absl::Mutex mutex_;
  std::deque<Refusal> kept_ ABSL_GUARDED_BY(mutex_);
  std::map<v1::Outcome, uint64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_RECENT_REFUSALS_H_
