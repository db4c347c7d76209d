#include "server/engine/embedded/unwritten_files.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante::embedded {
namespace {

absl::Status NotFound(const std::string& path) {
  return absl::NotFoundError(absl::StrCat(path, ": no such file"));
}
absl::Status Unwritten(const std::string& path) {
  return absl::UnimplementedError(absl::StrCat(path, ": is only looked at"));
}

}  // namespace

struct UnwrittenFiles::Content {
  mutable absl::Mutex mutex;
  std::string octets ABSL_GUARDED_BY(mutex);
};

class UnwrittenFiles::MemoryFile : public File {
 public:
  explicit MemoryFile(std::shared_ptr<Content> content) : content_(std::move(content)) {}

  absl::Status Append(absl::Span<const absl::string_view> pieces) override {
    absl::MutexLock lock(&content_->mutex);
    for (const absl::string_view piece : pieces) content_->octets.append(piece.data(), piece.size());
    return absl::OkStatus();
  }
  void DropCached() override {}
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Truncate(uint64_t size) override {
    absl::MutexLock lock(&content_->mutex);
    content_->octets.resize(size);
    return absl::OkStatus();
  }
  absl::Status Preallocate(uint64_t size) override { return Truncate(size); }
  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const override {
    absl::MutexLock lock(&content_->mutex);
    return offset < content_->octets.size() ? content_->octets.copy(to, bytes, offset) : 0;
  }
  absl::StatusOr<uint64_t> Size() const override {
    absl::MutexLock lock(&content_->mutex);
    return content_->octets.size();
  }

 private:
  const std::shared_ptr<Content> content_;
};

absl::StatusOr<std::shared_ptr<UnwrittenFiles::Content>> UnwrittenFiles::Take(const std::string& path) {
  if (const auto it = changed_.find(path); it != changed_.end()) {
    if (!it->second) return NotFound(path);
    return it->second;
  }
  ASSIGN_OR_RETURN(std::string octets, ReadWholeFile(*files_, path));
  auto content = std::make_shared<Content>();
  absl::MutexLock lock(&content->mutex);
  content->octets = std::move(octets);
  return content;
}

absl::StatusOr<std::unique_ptr<File>> UnwrittenFiles::Open(const std::string& path, Mode mode) {
  absl::MutexLock lock(&mutex_);
  const auto it = changed_.find(path);
  if (mode == Mode::kRead) {
    if (it == changed_.end()) return files_->Open(path, mode);
    if (!it->second) return NotFound(path);
    return std::make_unique<MemoryFile>(it->second);
  }
  absl::StatusOr<std::shared_ptr<Content>> content = NotFound(path);
  if (mode == Mode::kAppend) content = Take(path);
  if (absl::IsNotFound(content.status())) content = std::make_shared<Content>();
  RETURN_IF_ERROR(content.status());
  changed_[path] = *content;
  return std::make_unique<MemoryFile>(*std::move(content));
}

absl::Status UnwrittenFiles::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(changed_[to], Take(from));
  changed_[from] = nullptr;
  return absl::OkStatus();
}

absl::Status UnwrittenFiles::Link(const std::string& from, const std::string&) { return Unwritten(from); }

absl::Status UnwrittenFiles::Remove(const std::string& path) {
  RETURN_IF_ERROR(SizeOf(path).status());
  absl::MutexLock lock(&mutex_);
  changed_[path] = nullptr;
  return absl::OkStatus();
}

absl::Status UnwrittenFiles::MakeDirectory(const std::string& path) {
  return files_->IsDirectory(path).ok() ? absl::OkStatus() : Unwritten(path);
}

absl::Status UnwrittenFiles::RemoveDirectory(const std::string& path) { return Unwritten(path); }

absl::StatusOr<std::vector<std::string>> UnwrittenFiles::List(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::vector<std::string> there, files_->List(path));
  std::set<std::string> names(there.begin(), there.end());
  for (const auto& [file, content] : changed_) {
    if (DirectoryOf(file) != path) continue;
    const std::string name = file.substr(file.rfind('/') + 1);
    if (content) {
      names.insert(name);
    } else {
      names.erase(name);
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<uint64_t> UnwrittenFiles::SizeOf(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const auto it = changed_.find(path);
  if (it == changed_.end()) return files_->SizeOf(path);
  if (!it->second) return NotFound(path);
  return MemoryFile(it->second).Size();
}

absl::StatusOr<bool> UnwrittenFiles::IsDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const auto it = changed_.find(path);
  if (it == changed_.end()) return files_->IsDirectory(path);
  if (!it->second) return NotFound(path);
  return false;
}

absl::StatusOr<std::unique_ptr<FileLock>> UnwrittenFiles::Lock(const std::string& path) {
  return Unwritten(path);
}

}  // namespace restante::embedded
