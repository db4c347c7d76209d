#include "server/engine/embedded/ballast.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante::embedded {
namespace {

// It is given up, and made again, in pieces of this part of it at least: small
// enough that another program does not get it all at once, large enough that a
// writer need not come often.
constexpr uint64_t kPieces = 32;

}  // namespace

Ballast::Ballast(Files* files, std::string path, std::string spares)
    : files_(files), path_(std::move(path)), directory_(std::move(spares)) {
  absl::MutexLock lock(&mutex_);
  if (const absl::StatusOr<uint64_t> size = files_->SizeOf(path_); size.ok()) held_.bytes = *size;
  while (files_->SizeOf(SparePath(held_.files)).ok()) ++held_.files;
  whole_ = held_;
}

bool Ballast::GiveUp(Amount wanted, Share share) {
  std::function<void()> called;
  {
    absl::MutexLock lock(&mutex_);
    Amount kept;
    if (share == Share::kHalf) kept = {.bytes = whole_.bytes / 2, .files = whole_.files / 2};
    if (share == Share::kThreeQuarters) kept = {.bytes = whole_.bytes / 4, .files = whole_.files / 4};
    bool gave = false;
    if (wanted.bytes > 0 && held_.bytes > kept.bytes) {
      const uint64_t piece = std::max(wanted.bytes, whole_.bytes / kPieces);
      gave = Resize(held_.bytes - std::min(piece, held_.bytes - kept.bytes)).ok();
      // Somebody removed it by hand.
      if (!gave) held_.bytes = 0;
    }
    for (uint64_t i = 0; i < wanted.files && held_.files > kept.files; ++i) {
      gave |= files_->Remove(SparePath(--held_.files)).ok();
    }
    if (!gave) return false;
    given_up_ = true;
    called = called_;
  }
  if (called) called();
  return true;
}

absl::Status Ballast::Resize(uint64_t bytes) {
  if (bytes == 0) {
    RETURN_IF_ERROR(files_->Remove(path_));
  } else {
    // It must be there: opened for appending, it would be made.
    RETURN_IF_ERROR(files_->SizeOf(path_).status());
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files_->Open(path_, Files::Mode::kAppend));
    RETURN_IF_ERROR(file->Truncate(bytes));
  }
  held_.bytes = bytes;
  return absl::OkStatus();
}

absl::Status Ballast::Restore(Amount whole, const Files::Space& space) {
  absl::MutexLock lock(&mutex_);
  whole_ = whole;
  if (std::exchange(given_up_, false)) return absl::OkStatus();
  absl::Status status = RestoreFiles(space.available_files / 2);
  status.Update(RestoreBytes(space.available / 2));
  return status;
}

absl::Status Ballast::RestoreBytes(uint64_t free) {
  if (held_.bytes > whole_.bytes) return Resize(whole_.bytes);
  const uint64_t missing = whole_.bytes - held_.bytes;
  if (missing > free && free < whole_.bytes / kPieces) return absl::OkStatus();
  if (missing == 0 && (allocated_ || whole_.bytes == 0)) return absl::OkStatus();
  const uint64_t bytes = held_.bytes + std::min(missing, free);
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files_->Open(path_, Files::Mode::kAppend));
  if (absl::Status made = file->Preallocate(bytes); !made.ok()) {
    file->Truncate(held_.bytes).IgnoreError();
    return made;
  }
  held_.bytes = bytes;
  allocated_ = true;
  return absl::OkStatus();
}

absl::Status Ballast::RestoreFiles(uint64_t free) {
  while (held_.files > whole_.files) RETURN_IF_ERROR(files_->Remove(SparePath(--held_.files)));
  uint64_t missing = std::min(whole_.files - held_.files, free);
  if (missing == 0) return absl::OkStatus();
  RETURN_IF_ERROR(files_->MakeDirectory(directory_));
  for (; missing > 0; --missing) {
    RETURN_IF_ERROR(files_->Open(SparePath(held_.files), Files::Mode::kCreate).status());
    ++held_.files;
  }
  return absl::OkStatus();
}

std::string Ballast::SparePath(uint64_t number) const { return JoinPath(directory_, absl::StrCat(number)); }

Ballast::Amount Ballast::held() const {
  absl::MutexLock lock(&mutex_);
  return held_;
}

void Ballast::WhenGivenUp(std::function<void()> called) {
  absl::MutexLock lock(&mutex_);
  called_ = std::move(called);
}

}  // namespace restante::embedded
