// Open files for readers. One that was removed stays open for who has it.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_FILE_CACHE_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_FILE_CACHE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// Any thread.
class FileCache {
 public:
  explicit FileCache(Files* files) : files_(files) {}

  absl::StatusOr<std::shared_ptr<const File>> Get(const std::string& path) {
    {
      absl::MutexLock lock(&mutex_);
      if (const auto it = by_path_.find(path); it != by_path_.end()) {
        used_.splice(used_.begin(), used_, it->second);
        return used_.front().second;
      }
    }
    absl::StatusOr<std::unique_ptr<File>> file = files_->Open(path, Files::Mode::kRead);
    if (!file.ok()) return file.status();
    std::shared_ptr<const File> shared = *std::move(file);
    absl::MutexLock lock(&mutex_);
    if (by_path_.contains(path)) return shared;
    used_.emplace_front(path, shared);
    by_path_[path] = used_.begin();
    if (used_.size() > kOpenFiles) {
      by_path_.erase(used_.back().first);
      used_.pop_back();
    }
    return shared;
  }

  void Forget(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    const auto it = by_path_.find(path);
    if (it == by_path_.end()) return;
    used_.erase(it->second);
    by_path_.erase(it);
  }

 private:
  static constexpr size_t kOpenFiles = 64;
  using Entry = std::pair<std::string, std::shared_ptr<const File>>;

  Files* const files_;
  absl::Mutex mutex_;
  std::list<Entry> used_ ABSL_GUARDED_BY(mutex_);  // The last used first.
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_path_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_FILE_CACHE_H_
