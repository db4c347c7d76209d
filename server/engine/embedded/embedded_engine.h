// The embedded engine: one process, one data directory. The log is the store,
// LevelDB is its index. FORMAT.md says what is on disk at every moment.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_EMBEDDED_ENGINE_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_EMBEDDED_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/engine/commit_entry.h"
#include "server/engine/embedded/files.h"
#include "server/engine/engine.h"

namespace restante::embedded {

struct Options {
  std::string data_dir;
  // Makes a store where there is none. One that exists is opened as it is.
  bool create = false;
  // Opens what Restore (restore.h) is filling, and nobody else may open yet.
  bool restoring = false;
  engine::QuotaRules rules;
  // Must outlive the engine, as `files`.
  const Clock* clock = Clock::System();
  Files* files = Files::Posix();

  // Octets that the store may occupy; 0: what the file system gives.
  uint64_t max_disk = 0;
  // Octets of the file system that mail never gets. Unset: the smaller of 5 % of
  // it and 1G, more if it is small (DiskRoom).
  std::optional<uint64_t> disk_reserve;
  // Of the reserve, held by files that are given up where a write meets a full
  // disk. Unset: as much as the work under way and the index may need. 0: none.
  std::optional<uint64_t> ballast;

  // Octets of bodies in memory, all together; above it bodies go through files.
  uint64_t body_memory = uint64_t{64} << 20;
  // Stored octets above which a body has a file of its own.
  uint64_t own_file_bytes = uint64_t{4} << 20;
  // A segment that is this long is followed by a new one. At most 128M.
  uint64_t segment_bytes = uint64_t{128} << 20;
  // Octets of log between checkpoints of the index.
  uint64_t checkpoint_bytes = uint64_t{64} << 20;
  // What compaction writes at most while there is room; 0: it only runs when it is
  // told to.
  uint64_t compaction_bytes_per_second = uint64_t{32} << 20;
  // Throws the index away and makes it again from the log.
  bool rebuild_index = false;
  // Receipts are kept at least this long, of store time.
  uint64_t receipt_seconds = 24 * 60 * 60;
  // How long an open receipt serves a retry, of store time.
  uint64_t retry_window_seconds = engine::kRetryWindowSeconds;
  // How long events are kept, of store time, and how many at most, of which the
  // oldest go first.
  uint64_t event_retention_seconds = engine::kEventRetentionSeconds;
  uint64_t max_events = 100'000;
  // Between the beginnings of two scrubs in the background, of store time; zero:
  // there are none. And how fast they read.
  absl::Duration scrub_interval = absl::ZeroDuration();
  uint64_t scrub_bytes_per_second = uint64_t{4} << 20;
  // Between looks at the disk and at what there is to clean up.
  absl::Duration maintenance_interval = absl::Seconds(1);

  // Gets what an operator should know: the disk is full, writing does not work,
  // works again. Unset: the program's log.
  std::function<void(LogLevel level, const std::string& text)> log;
};

// Opens the store in `options.data_dir`, and recovers what the last process left.
// Blocks while it does. Every error is one line that names the directory and says
// what to do. Nothing has been changed then, unless the disk failed on the way:
// kNotFound: there is no store, and `create` is not set, or no index;
// kFailedPrecondition: the directory is not ours, holds something else, or has a
// newer format; kUnavailable: in use by another process; kPermissionDenied: another
// owner, or no access; kDataLoss: index or log are damaged or incomplete;
// kResourceExhausted: no room.
//
// Figures() has, beside what runs, `recovery_log_bytes` (read of the log),
// `recovery_groups` (replayed) and `recovery_micros`.
absl::StatusOr<std::unique_ptr<engine::Engine>> Open(Options options);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_EMBEDDED_ENGINE_H_
