// Brings the index up to date with the log.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_RECOVERY_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_RECOVERY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/engine/embedded/data_dir.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/segment_writer.h"

namespace restante::embedded {

struct Replayed {
  LogPosition end;          // Of the log, or of the last group that was asked for.
  uint64_t checkpoint = 0;  // The last group of the checkpoint that the index had.
  uint64_t last_group = 0;
  uint64_t store_time_s = 0;  // When that was written.
  uint64_t groups = 0;        // Replayed.
  uint64_t log_bytes = 0;     // Read.
  // Of those replayed: a body in them is damaged. Its message is lost, no other.
  uint64_t damaged_groups = 0;
};

// That the index has everything up to `group`, behind which the log goes on at `end`.
stored::Checkpoint MakeCheckpoint(uint64_t group, LogPosition end, uint64_t store_time_s);

// Before the log is read at a start: what it shows has to last, though its last group
// was perhaps not synced, and has to be on the disk, though a sync of it perhaps
// failed. A process that was killed leaves either in the system's cache, where both
// look alike. So the end of the log is synced, and then read from the disk.
absl::Status SettleLog(Files& files, const DataDir& directory);

// Applies every group behind the index's checkpoint to the index, verifying all
// octets of them on the way. A damaged body does not stop it.
//
// Without `last_group` it is the start of the store: what a crash tore at the end
// of the log is cut off, durably. With it, replaying ends behind that group, and nothing
// in the log is touched.
//
// kDataLoss, naming the file: a segment is missing; a group record is damaged before
// the log's end; the index knows more than the log.
absl::StatusOr<Replayed> ReplayLog(Files& files, const std::string& directory, uint32_t store, Index& index,
                                   std::optional<uint64_t> last_group);

// Opens the index of a store. kNotFound: there is none; kDataLoss: it is damaged.
// Both say what to do.
absl::Status OpenIndex(Index& index);

// Whether the store can be opened: index and log are there, and sound as far as the
// start reads them. Changes nothing; errors as of OpenIndex and ReplayLog.
absl::Status CheckStore(Files& files, const DataDir& directory);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_RECOVERY_H_
