#include "server/mail/outgrown.h"

namespace restante::mail {

void Outgrown::Remember(uint64_t mailbox, const std::string& sender, std::optional<uint64_t> declared,
                        uint64_t size) {
  absl::MutexLock lock(&mutex_);
  auto key = std::make_pair(mailbox, sender);
  if (auto it = items_.find(key); it != items_.end()) {
    by_age_.erase(it->second);
    items_.erase(it);
  }
  if (items_.size() >= kMaxEntries) {
    items_.erase(by_age_.front().key);
    by_age_.pop_front();
  }
  by_age_.push_back({key, declared, size, clock_->MonotonicMicros()});
  items_.emplace(std::move(key), std::prev(by_age_.end()));
}

std::optional<uint64_t> Outgrown::Recall(uint64_t mailbox, const std::string& sender,
                                         std::optional<uint64_t> declared) {
  absl::MutexLock lock(&mutex_);
  if (items_.empty()) return std::nullopt;
  auto it = items_.find(std::make_pair(mailbox, sender));
  if (it == items_.end()) return std::nullopt;
  if (clock_->MonotonicMicros() - it->second->since > kKeepMicros) {
    by_age_.erase(it->second);
    items_.erase(it);
    return std::nullopt;
  }
  if (it->second->declared != declared) return std::nullopt;
  return it->second->size;
}

}  // namespace restante::mail
