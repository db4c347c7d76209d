#include "server/engine/embedded/disk_room.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "server/base/status_macros.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kLargestReserve = uint64_t{1} << 30;
constexpr uint64_t kLargestBallast = uint64_t{64} << 20;

}  // namespace

DiskRoom::DiskRoom(CountingFiles* files, Files* plain, std::string directory, std::string ballast_path,
                   uint64_t max_disk, std::optional<uint64_t> reserve, std::optional<uint64_t> ballast)
    : files_(files),
      plain_(plain),
      directory_(std::move(directory)),
      ballast_path_(std::move(ballast_path)),
      max_disk_(max_disk),
      wanted_reserve_(reserve),
      wanted_ballast_(ballast) {
  if (const absl::StatusOr<uint64_t> there = plain_->SizeOf(ballast_path_); there.ok())
    ballast_bytes_ = *there;
}

absl::Status DiskRoom::Measure() {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(Files::Space space, plain_->SpaceAt(directory_));
  // No inodes are no space: a segment, a large body and an index file need one.
  if (space.available_files == 0) space.available = 0;
  const uint64_t reserve = wanted_reserve_.value_or(std::min(space.total / 20, kLargestReserve));
  const uint64_t ballast =
      std::min(wanted_ballast_.value_or(std::min(reserve / 2, kLargestBallast)), reserve);
  if (ballast_bytes_ < ballast && space.available >= reserve) {
    absl::StatusOr<std::unique_ptr<File>> file = plain_->Open(ballast_path_, Files::Mode::kCreate);
    absl::Status made = file.status();
    if (file.ok()) made = (*file)->Preallocate(ballast);
    if (made.ok()) {
      ballast_bytes_ = ballast;
    } else {
      plain_->Remove(ballast_path_).IgnoreError();
      ballast_bytes_ = 0;
    }
    ASSIGN_OR_RETURN(space, plain_->SpaceAt(directory_));
  }
  // The ballast is a part of the reserve that is occupied already.
  const uint64_t held = std::min<uint64_t>(ballast_bytes_, reserve);
  const uint64_t mine = files_->bytes() + space.available;
  uint64_t limit = mine > reserve - held ? mine - (reserve - held) : 0;
  if (max_disk_ != 0) limit = std::min(limit, max_disk_);
  limit_.store(limit, std::memory_order_relaxed);
  return absl::OkStatus();
}

bool DiskRoom::DropBallast() {
  absl::MutexLock lock(&mutex_);
  if (ballast_bytes_ == 0) return false;
  ballast_bytes_ = 0;
  return plain_->Remove(ballast_path_).ok();
}

}  // namespace restante::embedded
