#include "server/mail/recent_refusals.h"

#include <utility>

namespace restante::mail {

void RecentRefusals::Add(Refusal refusal) {
  for (std::string* text : {&refusal.recipient, &refusal.client, &refusal.detail}) {
    if (text->size() > kMaxText) text->resize(kMaxText);
  }
  absl::MutexLock lock(&mutex_);
  ++counts_[refusal.outcome];
  kept_.push_front(std::move(refusal));
  if (kept_.size() > kKept) kept_.pop_back();
}

std::vector<Refusal> RecentRefusals::List() const {
  absl::MutexLock lock(&mutex_);
  return {kept_.begin(), kept_.end()};
}

std::map<v1::Outcome, uint64_t> RecentRefusals::Counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace restante::mail
