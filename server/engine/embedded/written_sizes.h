// How far files are written that somebody else is writing.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_WRITTEN_SIZES_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_WRITTEN_SIZES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace restante::embedded {

// How far LevelDB has written the files that it has open for writing. They end
// between two of its records there, while more may be on its way. Any thread.
class WrittenSizes {
 public:
  // nullopt: it is not being written.
  std::optional<uint64_t> Of(const std::string& path) const {
    absl::MutexLock lock(&mutex_);
    const auto it = sizes_.find(path);
    return it == sizes_.end() ? std::nullopt : std::make_optional(it->second);
  }
  void Set(const std::string& path, uint64_t size) {
    absl::MutexLock lock(&mutex_);
    sizes_[path] = size;
  }
  void Forget(const std::string& path) {
    absl::MutexLock lock(&mutex_);
    sizes_.erase(path);
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, uint64_t> sizes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_WRITTEN_SIZES_H_
