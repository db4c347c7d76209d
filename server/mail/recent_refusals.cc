#include "server/mail/recent_refusals.h"

#include <utility>

namespace restante::mail {

void RecentRefusals::Add(Refusal refusal) {
  for (std::string* text : {&refusal.recipient, &refusal.client, &refusal.detail}) {
    if (text->size() > kMaxText) text->resize(kMaxText);
  }
  absl::MutexLock lock(&mutex_);
  kept_.push_front(std::move(refusal));
  if (kept_.size() > kKept) kept_.pop_back();
}

std::vector<Refusal> RecentRefusals::List() const {
  absl::MutexLock lock(&mutex_);
  return {kept_.begin(), kept_.end()};
}

}  // namespace restante::mail
