#include "server/engine/embedded/disk_room.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// Files that mail leaves to the index and the log, the spare ones of the ballast
// included. LevelDB makes some 35 at once at most (the tables of a compaction of
// 64 MiB, one of a memory table, log, MANIFEST, CURRENT), the log two segments; the
// rest is for large bodies under way.
constexpr uint64_t kReserveFiles = 128;
constexpr uint64_t kSpareFiles = 64;
// Once short, mail is taken again when there is so much more.
constexpr uint64_t kMoreFiles = kReserveFiles / 4;

}  // namespace

// What the ballast has to cover when others have taken everything else:
// - What is in flight. All bodies in memory together are bounded (`--body-memory`,
//   64 MiB); they go into the log.
// - What the index needs for them and for expunging: its memory (8 MiB), which a
//   checkpoint makes a table of 2 to 4 MiB, and one compaction. From level to level that
//   is a table of 2 MiB and some 12 below it, 26 MiB; from level 0 four to twelve of
//   these and the 10 MiB of level 1, 18 to 58 MiB.
// Together 128 MiB. A smaller file system holds less mail and a smaller index, with
// smaller tables (Index); it gives 3/160 of it, 16 MiB at least (compaction of an
// index with tables of 1 MiB), but never more than an eighth.
//
// The reserve is the smaller of 5 % and 1 GiB; in a small file system more, for
// beside the ballast compaction wants two segments, the one that it fills and the
// one that it empties. (5 % = 8/160 = 3/160 + 2/64.)
HeadRoom HeadRoomOf(uint64_t total, const DiskOptions& options) {
  const uint64_t segments = 2 * std::clamp(total / kSegmentsOfAStore, kMinSegmentBytes, kMaxSegmentBytes);
  uint64_t ballast = std::min(std::max(total / 160 * 3, std::min(16 * kMiB, total / 8)), 128 * kMiB);
  const uint64_t reserve =
      options.reserve.value_or(std::max(std::min(total / 20, 1024 * kMiB), ballast + segments));
  if (options.reserve) ballast = std::min(ballast, reserve / 8 * 3);
  return {.reserve = reserve, .ballast = std::min(options.ballast.value_or(ballast), reserve)};
}

DiskRoom::DiskRoom(std::shared_ptr<CountingFiles> files, std::shared_ptr<Ballast> ballast,
                   std::string directory, DiskOptions options)
    : files_(std::move(files)),
      ballast_(std::move(ballast)),
      directory_(std::move(directory)),
      options_(std::move(options)) {}

absl::Status DiskRoom::Measure() {
  absl::MutexLock lock(&mutex_);
  return MeasureLocked();
}

absl::Status DiskRoom::MeasureLocked() {
  ASSIGN_OR_RETURN(space_, files_->SpaceAt(directory_));
  head_room_ = HeadRoomOf(space_.total, options_);
  const bool counts_files = space_.available_files != UINT64_MAX;
  whole_ = {};
  if (head_room_.ballast > 0 && !no_ballast_) {
    whole_ = {.bytes = head_room_.ballast, .files = counts_files ? kSpareFiles : 0};
  }
  const Ballast::Amount held = ballast_->held();
  const uint64_t mine = files_->bytes() + space_.available + held.bytes;
  uint64_t limit = mine > head_room_.reserve ? mine - head_room_.reserve : 0;
  if (options_.max_disk != 0) limit = std::min(limit, options_.max_disk);
  if (counts_files) {
    const uint64_t files = space_.available_files + held.files;
    const uint64_t wanted = head_room_.reserve > 0 ? kReserveFiles : 1;
    files_short_ = files < wanted + (files_short_ && wanted > 1 ? kMoreFiles : 0);
  }
  limit_.store(limit, std::memory_order_relaxed);
  free_bytes_.store(space_.available, std::memory_order_relaxed);
  blocked_.store(files_short_ || held.bytes < whole_.bytes || held.files < whole_.files,
                 std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status DiskRoom::RestoreBallast() {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(MeasureLocked());
  const absl::Status made = ballast_->Restore(whole_, space_);
  if (!made.ok() && !absl::IsResourceExhausted(made)) {
    no_ballast_ = true;
    MeasureLocked().IgnoreError();
    return made;
  }
  return MeasureLocked();
}

std::string DiskRoom::Describe() const {
  absl::MutexLock lock(&mutex_);
  const bool counts_files = space_.available_files != UINT64_MAX;
  const Ballast::Amount held = ballast_->held();
  const auto amount = [&](uint64_t bytes, uint64_t files) {
    return absl::StrCat(bytes, " bytes", counts_files ? absl::StrCat(" and ", files, " inodes") : "");
  };
  return absl::StrCat("free are ", amount(space_.available, space_.available_files), ", ballast is ",
                      amount(held.bytes, held.files), ", kept back are ",
                      amount(head_room_.reserve, kReserveFiles));
}

}  // namespace restante::embedded
