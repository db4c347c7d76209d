// The directory that a backup is made in.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_DIRECTORY_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_DIRECTORY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/embedded/backup_manifest.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// What it has beside the manifest.
inline constexpr absl::string_view kBackupParts[] = {"segments", "bodies"};

// Whether neither of two directories is the other, or in it.
bool AreApart(const std::string& a, const std::string& b);

// Looks whether `directory` may take a backup of this store, and makes it ready.
// Returns the manifest of the backup that is there. Errors, each a line that names
// the directory: kInvalidArgument: not an absolute path; kFailedPrecondition: in
// the data directory or around it, not empty and no backup, one of another store,
// or its manifest is damaged; kNotFound: the directory above it is not there.
absl::StatusOr<std::optional<BackupManifest>> PrepareBackup(Files& files, const std::string& directory,
                                                            const std::string& data_dir, uint64_t store_id);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_DIRECTORY_H_
