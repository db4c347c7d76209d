// Files that know how many octets they hold: what the engine occupies, measured
// where it writes and not by looking around.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_COUNTING_FILES_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_COUNTING_FILES_H_

#include <atomic>

#include "server/engine/embedded/files.h"

namespace restante::embedded {

class CountingFiles : public Files {
 public:
  explicit CountingFiles(Files* files) : files_(files) {}

  // Octets in all files that were written through this, plus what Add was told.
  uint64_t bytes() const {
    const int64_t bytes = bytes_.load(std::memory_order_relaxed);
    return bytes < 0 ? 0 : static_cast<uint64_t>(bytes);
  }
  void Add(int64_t bytes) { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  // Octets read, by ReadAt.
  uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  // (Not counted: the octets are there once.)
  absl::Status Link(const std::string& from, const std::string& to) override {
    return files_->Link(from, to);
  }
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override { return files_->MakeDirectory(path); }
  absl::Status RemoveDirectory(const std::string& path) override { return files_->RemoveDirectory(path); }
  absl::Status SyncDirectory(const std::string& path) override { return files_->SyncDirectory(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return files_->List(path);
  }
  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override { return files_->SizeOf(path); }
  absl::StatusOr<bool> IsDirectory(const std::string& path) override { return files_->IsDirectory(path); }
  absl::StatusOr<Space> SpaceAt(const std::string& path) override { return files_->SpaceAt(path); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return files_->Lock(path);
  }

 private:
  class CountedFile;

  // The size of a file that is about to go.
  int64_t SizeIfAny(const std::string& path) const;

  Files* const files_;
  std::atomic<int64_t> bytes_{0};
  std::atomic<uint64_t> bytes_read_{0};
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_COUNTING_FILES_H_
