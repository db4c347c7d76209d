// Whether a file of a backup is what the store's was: every octet is read.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_CHECK_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_CHECK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/embedded/backup.h"
#include "server/engine/embedded/files.h"
#include "server/engine/upkeep.h"

namespace restante::embedded {

struct CheckedFile {
  uint32_t crc32c = 0;  // Of the octets that count.
  // What is wrong with it; `file` is left to the caller.
  std::vector<engine::Damage> damages;
};

// Reads the file at `path` that was made of `source`, and checks each record in
// it. `tick` is called with the number of octets that were read since the last call;
// its error ends it. kOutOfRange: it is too short; kDataLoss: the log cannot be
// replayed from it.
absl::StatusOr<CheckedFile> CheckBackupFile(Files& files, const std::string& path, const BackupSource& source,
                                            uint32_t store,
                                            const std::function<absl::Status(uint64_t)>& tick);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_CHECK_H_
