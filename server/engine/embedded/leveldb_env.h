// LevelDB's view of the disk, through our seam, without its traps:
//
// - LevelDB's `sync` covers only its current log; one that is closed because a
//   new one began may have an unsynced tail, and a checkpoint would not hold. Here
//   a log is synced before it is closed.
// - LevelDB syncs a new file but not always the directory that names it. Here the
//   directory is synced before the first sync of a new file, and after each rename.
// - LevelDB goes on after some failures, and cleans up after others: when the name
//   of a new CURRENT cannot be synced it removes the MANIFEST that CURRENT names.
//   Here the first failure is the last change: every later one, removing included,
//   fails with it, until the database is opened again with a new Env.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_LEVELDB_ENV_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_LEVELDB_ENV_H_

#include <leveldb/env.h>
#include <leveldb/status.h>

#include <memory>

#include "absl/status/status.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// For one opening of the database. `files` must outlive it. Its locks do nothing:
// the data directory has one.
std::unique_ptr<leveldb::Env> NewLevelDbEnv(Files* files);

// Throws LevelDB's own log lines away: what matters comes back as a status.
std::unique_ptr<leveldb::Logger> NewSilentLogger();

absl::Status FromLevelDb(const leveldb::Status& status);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_LEVELDB_ENV_H_
