// Keys of one partition that were there a short while ago, for those who may act on that.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_RECENT_KEYS_H_
#define RESTANTE_SERVER_ENGINE_RADOS_RECENT_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace restante::rados {

// Bounded in number. Any thread.
class RecentKeys {
 public:
  // Monotonic microseconds that a key may be old; and how many are kept.
  RecentKeys(int64_t fresh_us, size_t most) : fresh_us_(fresh_us), most_(most) {}

  // The value, if it is known to have been there within that time.
  std::optional<std::string> Find(absl::string_view key, int64_t now_us) const {
    absl::MutexLock lock(&mutex_);
    const auto it = keys_.find(key);
    if (it == keys_.end() || now_us - it->second.read_us > fresh_us_) return std::nullopt;
    return it->second.value;
  }

  // Before a read that is kept: what it is to be told by then.
  uint64_t Begin() const {
    absl::MutexLock lock(&mutex_);
    return forgotten_;
  }
  // What was read, unless keys were forgotten meanwhile: it may be what they were before.
  void Keep(uint64_t begun, std::string key, std::string value, int64_t read_us) {
    absl::MutexLock lock(&mutex_);
    if (begun != forgotten_) return;
    if (keys_.size() >= most_) keys_.clear();
    keys_[std::move(key)] = {std::move(value), read_us};
  }
  // Those that this store has changed.
  void Forget(const std::vector<std::string>& keys) {
    absl::MutexLock lock(&mutex_);
    ++forgotten_;
    for (const std::string& key : keys) keys_.erase(key);
  }

 private:
  struct Read {
    std::string value;
    int64_t read_us = 0;
  };
  const int64_t fresh_us_;
  const size_t most_;
  mutable absl::Mutex mutex_;
  uint64_t forgotten_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, Read> keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_RECENT_KEYS_H_
