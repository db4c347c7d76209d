// How much the store may occupy: what the file system gives, less a reserve.
//
// The reserve is head room: mail never gets it. A part of it is the ballast
// (ballast.h), taken already; the rest is free, for compaction and the index.
// What is free and what is ballast counts alike, so the store is full as soon as
// the reserve is touched, and while any of the ballast is given up.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_DISK_ROOM_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_DISK_ROOM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/ballast.h"
#include "server/engine/embedded/counting_files.h"

namespace restante::embedded {

// A segment is at most this part of what the store may occupy, so that its room
// comes back in small pieces; and not smaller or larger than this.
inline constexpr uint64_t kSegmentsOfAStore = 64;
inline constexpr uint64_t kMinSegmentBytes = uint64_t{1} << 20;
inline constexpr uint64_t kMaxSegmentBytes = uint64_t{128} << 20;

struct DiskOptions {
  uint64_t max_disk = 0;  // 0: what the file system gives.
  // Octets of the reserve, and of the ballast in it; unset: by the file system's size.
  std::optional<uint64_t> reserve, ballast;
};

// What is kept back of a file system of so many octets.
struct HeadRoom {
  uint64_t reserve = 0;  // The ballast included.
  uint64_t ballast = 0;
};
HeadRoom HeadRoomOf(uint64_t total, const DiskOptions& options);

// Any thread.
class DiskRoom {
 public:
  // `files` counts what the store occupies, without the ballast.
  DiskRoom(std::shared_ptr<CountingFiles> files, std::shared_ptr<Ballast> ballast, std::string directory,
           DiskOptions options);

  // Looks at the file system. An error leaves the figures as they were.
  absl::Status Measure();
  // Makes the ballast again as far as there is room, and measures. An error, once:
  // there can be none, and why. (A full disk is not one.)
  absl::Status RestoreBallast();

  // As last measured: what the store may occupy in all.
  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  // No mail is to be taken whatever limit() says: inodes are short, or some of the
  // ballast is given up.
  bool blocked() const { return blocked_.load(std::memory_order_relaxed); }
  // What upkeep may write (compaction, the index): all that is free, the ballast
  // not.
  uint64_t free_bytes() const { return free_bytes_.load(std::memory_order_relaxed); }

  // What there is and what is kept back, for people.
  std::string Describe() const;

 private:
  absl::Status MeasureLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<CountingFiles> files_;
  const std::shared_ptr<Ballast> ballast_;
  const std::string directory_;
  const DiskOptions options_;

  mutable absl::Mutex mutex_;  // One measures at a time.
  Files::Space space_ ABSL_GUARDED_BY(mutex_);
  HeadRoom head_room_ ABSL_GUARDED_BY(mutex_);
  Ballast::Amount whole_ ABSL_GUARDED_BY(mutex_);  // Of the ballast.
  bool files_short_ ABSL_GUARDED_BY(mutex_) = false;
  bool no_ballast_ ABSL_GUARDED_BY(mutex_) = false;  // It cannot be made here.
  std::atomic<uint64_t> limit_{0}, free_bytes_{0};
  std::atomic<bool> blocked_{false};
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_DISK_ROOM_H_
