// How much the store may occupy, and the ballast that is given up when a write
// meets a full disk all the same.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_DISK_ROOM_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_DISK_ROOM_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/counting_files.h"

namespace restante::embedded {

// Any thread.
class DiskRoom {
 public:
  // `files` counts what the store occupies, without the ballast; `plain` is what
  // is under it.
  DiskRoom(CountingFiles* files, Files* plain, std::string directory, std::string ballast_path,
           uint64_t max_disk, std::optional<uint64_t> reserve, std::optional<uint64_t> ballast);

  // Looks at the file system, and makes the ballast if it is missing and there is
  // room for it. An error leaves the limit as it was.
  absl::Status Measure();
  // What the store may occupy in all, as last measured.
  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }

  // Gives the ballast up. Whether there was any.
  bool DropBallast();
  uint64_t ballast_bytes() const { return ballast_bytes_.load(std::memory_order_relaxed); }

 private:
  CountingFiles* const files_;
  Files* const plain_;
  const std::string directory_;
  const std::string ballast_path_;
  const uint64_t max_disk_;
  const std::optional<uint64_t> wanted_reserve_;
  const std::optional<uint64_t> wanted_ballast_;

  absl::Mutex mutex_;  // One measures at a time.
  std::atomic<uint64_t> limit_{0};
  std::atomic<uint64_t> ballast_bytes_{0};
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_DISK_ROOM_H_
