// Files of which nothing is written: every change stays in memory, and is seen only
// through this. So what cannot look without writing (LevelDB recovers as it opens)
// may look at a directory that must stay as it is.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_UNWRITTEN_FILES_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_UNWRITTEN_FILES_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

class UnwrittenFiles : public Files {
 public:
  explicit UnwrittenFiles(Files* files) : files_(files) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  // Those that are there have to do.
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override;
  absl::StatusOr<bool> IsDirectory(const std::string& path) override;
  absl::StatusOr<Space> SpaceAt(const std::string& path) override { return files_->SpaceAt(path); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  class MemoryFile;
  struct Content;

  // What a path is here; copied from the disk if it is only there.
  absl::StatusOr<std::shared_ptr<Content>> Take(const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Files* const files_;
  absl::Mutex mutex_;
  // Files that are not as they are on the disk; null: removed.
  std::map<std::string, std::shared_ptr<Content>> changed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_UNWRITTEN_FILES_H_
