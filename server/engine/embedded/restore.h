// Makes a data directory from a backup.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_RESTORE_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_RESTORE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/embedded/backup_manifest.h"
#include "server/engine/embedded/embedded_engine.h"

namespace restante::embedded {

struct RestoreObserver {
  // Octets copied so far, and in all.
  std::function<void(uint64_t done, uint64_t total)> progress;
  // A file of the backup is damaged or missing, or the store's was when the backup
  // was made: one line that names it.
  std::function<void(const std::string& line)> damaged;
};

struct Restored {
  BackupManifest manifest;
  uint64_t damaged_files = 0;
};

// Makes the store in `options.data_dir` from the backup in `backup`. Every file is
// copied, never linked, and compared with the manifest on the way; then the index
// is made from the log, and `prepare` gets the engine before anybody else can have
// it. Only when it has returned, and what it did is durable, is the directory a
// store: until then no start takes it for one, and a repeated restore begins again.
//
// Errors, each a line that names what it is about. kNotFound: there is no finished
// backup; kFailedPrecondition: the target is neither missing nor empty nor left by
// an interrupted restore, or the backup is of a newer format; kDataLoss: the backup
// is damaged. With `accept_damage` what can be read of a damaged one is taken, if
// the log can be replayed.
absl::StatusOr<Restored> Restore(
    Options options, const std::string& backup, bool accept_damage, const RestoreObserver& observer,
    absl::FunctionRef<absl::Status(engine::Engine& engine, const BackupManifest& manifest)> prepare);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_RESTORE_H_
