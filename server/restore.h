// restante-store --restore: a data directory from a backup.
#ifndef RESTANTE_SERVER_RESTORE_H_
#define RESTANTE_SERVER_RESTORE_H_

#include <string>

#include "absl/status/status.h"
#include "server/engine/embedded/embedded_engine.h"

namespace restante {

// Makes the store in `options.data_dir` from the backup in `backup`, with a new
// UIDVALIDITY for every folder. Errors as embedded::Restore has them.
//
// Tells programs on standard output how it goes: `restoring DONE TOTAL` (octets)
// now and then, and in the end `restored FILES OCTETS FOLDERS DAMAGED-FILES`.
// Damaged files are warnings in the log.
absl::Status RestoreBackup(embedded::Options options, const std::string& backup, bool accept_damage);

}  // namespace restante

#endif  // RESTANTE_SERVER_RESTORE_H_
