#include "server/mail/client_bounds.h"

namespace restante::mail {

std::optional<uint64_t> ClientBounds::Add(const std::string& client, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  auto it = reserved_.find(client);
  const uint64_t reserved = it == reserved_.end() ? 0 : it->second;
  // Written so that no sum can overflow.
  if (bytes > limit_ || reserved > limit_ - bytes) return reserved;
  if (it == reserved_.end()) {
    reserved_.emplace(client, bytes);
  } else {
    it->second += bytes;
  }
  return std::nullopt;
}

void ClientBounds::Remove(const std::string& client, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  auto it = reserved_.find(client);
  if (it == reserved_.end()) return;
  it->second -= bytes;
  if (it->second == 0) reserved_.erase(it);
}

}  // namespace restante::mail
