// How much each client address has reserved without confirming it, so that
// nobody fills a store by asking (`--reserve-per-client`).
#ifndef RESTANTE_SERVER_MAIL_CLIENT_BOUNDS_H_
#define RESTANTE_SERVER_MAIL_CLIENT_BOUNDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace restante::mail {

// Any thread.
class ClientBounds {
 public:
  explicit ClientBounds(uint64_t bytes_per_client) : limit_(bytes_per_client) {}

  // nullopt: counted. Else what the client has reserved already, and nothing is
  // counted, for it would exceed the bound.
  std::optional<uint64_t> Add(const std::string& client, uint64_t bytes);
  void Remove(const std::string& client, uint64_t bytes);

  uint64_t limit() const { return limit_; }

 private:
  const uint64_t limit_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, uint64_t> reserved_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_CLIENT_BOUNDS_H_
