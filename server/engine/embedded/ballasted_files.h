// Files that do not meet a full disk while there is ballast: what finds no room, or
// no inode, gives up some and is tried again.
//
// Only what leaves nothing behind is tried again: an append after it was cut back
// to the size before. A sync is not, for after a failed one nobody knows what is on
// the disk; it gives ballast up all the same, so that what comes next has room.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BALLASTED_FILES_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BALLASTED_FILES_H_

#include <memory>
#include <string>
#include <vector>

#include "server/engine/embedded/ballast.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

class BallastedFiles : public Files {
 public:
  BallastedFiles(std::shared_ptr<Files> files, std::shared_ptr<Ballast> ballast, Ballast::Share share)
      : files_(std::move(files)), ballast_(std::move(ballast)), share_(share) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
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
  class BallastedFile;

  const std::shared_ptr<Files> files_;
  const std::shared_ptr<Ballast> ballast_;
  const Ballast::Share share_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BALLASTED_FILES_H_
