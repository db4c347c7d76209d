#include "server/engine/embedded/ballasted_files.h"

#include <optional>
#include <utility>

#include "server/base/status_macros.h"

namespace restante::embedded {
namespace {

// A block of a directory, an inode and its file's first block, with what the file
// system needs to note them.
constexpr Ballast::Amount kName = {.bytes = 64 << 10, .files = 1};

const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// Again and again while there is ballast: another program may be quicker to take
// what was given up.
template <typename Operation>
auto WithBallast(Ballast& ballast, Ballast::Share share, Ballast::Amount amount, Operation operation) {
  auto result = operation();
  while (absl::IsResourceExhausted(StatusOf(result)) && ballast.GiveUp(amount, share)) result = operation();
  return result;
}

}  // namespace

class BallastedFiles::BallastedFile : public File {
 public:
  BallastedFile(std::unique_ptr<File> file, uint64_t size, std::shared_ptr<Ballast> ballast,
                Ballast::Share share)
      : file_(std::move(file)), ballast_(std::move(ballast)), share_(share), size_(size) {}

  absl::Status Append(absl::Span<const absl::string_view> pieces) override {
    if (!size_) return file_->Append(pieces);
    const uint64_t before = *size_;
    size_.reset();
    uint64_t bytes = 0;
    for (const absl::string_view piece : pieces) bytes += piece.size();
    bool again = false;
    absl::Status status =
        WithBallast(*ballast_, share_, {.bytes = bytes + kName.bytes}, [&]() -> absl::Status {
          // What the last try left is taken away.
          if (std::exchange(again, true)) RETURN_IF_ERROR(file_->Truncate(before));
          return file_->Append(pieces);
        });
    if (status.ok()) size_ = before + bytes;
    return status;
  }
  absl::Status Truncate(uint64_t size) override {
    absl::Status status = WithBallast(*ballast_, share_, kName, [&] { return file_->Truncate(size); });
    if (status.ok()) size_ = size;
    return status;
  }
  absl::Status Preallocate(uint64_t size) override {
    absl::Status status =
        WithBallast(*ballast_, share_, {.bytes = size}, [&] { return file_->Preallocate(size); });
    if (status.ok()) size_ = size;
    return status;
  }
  absl::Status Sync() override {
    absl::Status status = file_->Sync();
    if (absl::IsResourceExhausted(status)) ballast_->GiveUp(kName, share_);
    return status;
  }
  void DropCached() override { file_->DropCached(); }
  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const override {
    return file_->ReadAt(offset, bytes, to);
  }
  absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }

 private:
  const std::unique_ptr<File> file_;
  const std::shared_ptr<Ballast> ballast_;
  const Ballast::Share share_;
  // Unknown after an append that failed for good.
  std::optional<uint64_t> size_;
};

absl::StatusOr<std::unique_ptr<File>> BallastedFiles::Open(const std::string& path, Mode mode) {
  if (mode == Mode::kRead) return files_->Open(path, mode);
  absl::StatusOr<std::unique_ptr<File>> file =
      WithBallast(*ballast_, share_, kName, [&] { return files_->Open(path, mode); });
  RETURN_IF_ERROR(file.status());
  ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  return std::make_unique<BallastedFile>(*std::move(file), size, ballast_, share_);
}

absl::Status BallastedFiles::Rename(const std::string& from, const std::string& to) {
  return WithBallast(*ballast_, share_, kName, [&] { return files_->Rename(from, to); });
}
absl::Status BallastedFiles::Link(const std::string& from, const std::string& to) {
  return WithBallast(*ballast_, share_, kName, [&] { return files_->Link(from, to); });
}
absl::Status BallastedFiles::Remove(const std::string& path) {
  // A file system that copies on write needs room for this, too.
  return WithBallast(*ballast_, share_, kName, [&] { return files_->Remove(path); });
}
absl::Status BallastedFiles::MakeDirectory(const std::string& path) {
  return WithBallast(*ballast_, share_, kName, [&] { return files_->MakeDirectory(path); });
}
absl::Status BallastedFiles::RemoveDirectory(const std::string& path) {
  return WithBallast(*ballast_, share_, kName, [&] { return files_->RemoveDirectory(path); });
}
absl::Status BallastedFiles::SyncDirectory(const std::string& path) {
  absl::Status status = files_->SyncDirectory(path);
  if (absl::IsResourceExhausted(status)) ballast_->GiveUp(kName, share_);
  return status;
}

}  // namespace restante::embedded
