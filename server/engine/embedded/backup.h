// Makes a directory a backup of a data directory's files. What has to be in it is
// decided elsewhere (engine_backup.cc); here it gets there, verified, and so that
// an earlier backup in the same directory stays whole until the new one is.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "restante/stored/v1/stored.pb.h"
#include "server/engine/embedded/backup_manifest.h"
#include "server/engine/embedded/files.h"
#include "server/engine/upkeep.h"

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

// A file of the store that belongs to the backup.
struct BackupSource {
  std::string name;  // In the backup.
  std::string path;  // The store's.
  uint64_t bytes = 0;
  // The store still writes to it: it is copied, never linked.
  bool grows = false;
  // Of a segment: the number of its first group. Of a body file: id and location.
  uint64_t first_group = 0;
  uint64_t body = 0;
  std::optional<stored::BodyLocation> location = {};
};

struct BackupPlan {
  BackupManifest manifest;            // But for `files`.
  std::vector<BackupSource> sources;  // By name.
};

// What the writer tells while it works.
struct BackupObserver {
  // So many more octets are in the backup, so many were read; damage of the store's
  // files that was found. An error ends the backup.
  std::function<absl::Status(uint64_t done, uint64_t read, std::vector<engine::Damage> damages)> progress;
  // The store's files that are still needed; all of them until this is called.
  std::function<void(absl::flat_hash_set<std::string> paths)> needs;
  std::function<void(const std::string& path)> let_go;
};

// Makes the prepared directory the backup that `plan` describes. Kept from
// `earlier` is a file that it lists with the same size, and that ends as the
// store's does; with `verify_kept` it is read too, and made again if it is damaged.
//
// What is damaged in the store is reported, and is so in the backup. kDataLoss: a
// segment is so damaged that the log could not be replayed, or what was written
// does not read back. kFailedPrecondition: `earlier` is of another history of this
// store (that was restored meanwhile). In the case of any error the directory holds
// one of the two backups, whole; a repetition goes on with what is there.
absl::StatusOr<engine::BackupSummary> WriteBackup(Files& files, const std::string& directory, BackupPlan plan,
                                                  const std::optional<BackupManifest>& earlier,
                                                  bool verify_kept, const BackupObserver& observer);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_H_
