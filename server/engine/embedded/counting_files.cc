#include "server/engine/embedded/counting_files.h"

#include <utility>

#include "server/base/status_macros.h"

namespace restante::embedded {

class CountingFiles::CountedFile : public File {
 public:
  CountedFile(std::unique_ptr<File> file, uint64_t size, CountingFiles* counter)
      : file_(std::move(file)), counter_(counter), size_(size) {}

  absl::Status Append(absl::Span<const absl::string_view> pieces) override {
    absl::Status status = file_->Append(pieces);
    if (status.ok()) {
      for (const absl::string_view piece : pieces) size_ += piece.size();
      Count(size_);
    } else if (const absl::StatusOr<uint64_t> left = file_->Size(); left.ok()) {
      // Some part of it is there.
      Count(size_ = *left);
    }
    return status;
  }
  absl::Status Sync() override { return file_->Sync(); }
  void DropCached() override { file_->DropCached(); }
  absl::Status Truncate(uint64_t size) override {
    RETURN_IF_ERROR(file_->Truncate(size));
    Count(size_ = size);
    return absl::OkStatus();
  }
  absl::Status Preallocate(uint64_t size) override {
    RETURN_IF_ERROR(file_->Preallocate(size));
    Count(size_ = size);
    return absl::OkStatus();
  }
  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const override {
    absl::StatusOr<size_t> read = file_->ReadAt(offset, bytes, to);
    if (read.ok()) counter_->bytes_read_.fetch_add(*read, std::memory_order_relaxed);
    return read;
  }
  absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }

 private:
  void Count(uint64_t size) {
    counter_->Add(static_cast<int64_t>(size) - static_cast<int64_t>(counted_));
    counted_ = size;
  }

  const std::unique_ptr<File> file_;
  CountingFiles* const counter_;
  uint64_t size_;
  uint64_t counted_ = size_;
};

int64_t CountingFiles::SizeIfAny(const std::string& path) const {
  const absl::StatusOr<uint64_t> size = files_->SizeOf(path);
  return size.ok() ? static_cast<int64_t>(*size) : 0;
}

absl::StatusOr<std::unique_ptr<File>> CountingFiles::Open(const std::string& path, Mode mode) {
  const int64_t emptied = mode == Mode::kCreate ? SizeIfAny(path) : 0;
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files_->Open(path, mode));
  Add(-emptied);
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  return std::make_unique<CountedFile>(std::move(file), size, this);
}

absl::Status CountingFiles::Rename(const std::string& from, const std::string& to) {
  const int64_t replaced = SizeIfAny(to);
  RETURN_IF_ERROR(files_->Rename(from, to));
  Add(-replaced);
  return absl::OkStatus();
}

absl::Status CountingFiles::Remove(const std::string& path) {
  const int64_t size = SizeIfAny(path);
  RETURN_IF_ERROR(files_->Remove(path));
  Add(-size);
  return absl::OkStatus();
}

}  // namespace restante::embedded
