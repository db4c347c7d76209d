// LevelDB's view of the disk, through our seam, without its traps:
//
// - LevelDB logs every batch, and skips a damaged one without a word. Here its log is
//   not kept at all: what the tables do not have, our log has (Index).
// - LevelDB syncs a new file but not always the directory that names it. Here the
//   directory is synced before the first sync of a new file, and after each rename.
// - LevelDB takes a manifest for damaged whose last change a power cut tore. Here that
//   one is not shown to it: it was never synced, and the tables before it are all there.
// - LevelDB goes on after some failures, and cleans up after others: when the name
//   of a new CURRENT cannot be synced it removes the MANIFEST that CURRENT names.
//   Here the first failure is the last change: every later one, removing included,
//   fails with it, until the database is opened again with a new Env.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_LEVELDB_ENV_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_LEVELDB_ENV_H_

#include <leveldb/env.h>
#include <leveldb/status.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/engine/embedded/files.h"
#include "server/engine/embedded/written_sizes.h"

namespace restante::embedded {

// For one opening of the database. `files` and `written` must outlive it. Its
// locks do nothing: the data directory has one.
std::unique_ptr<leveldb::Env> NewLevelDbEnv(Files* files, WrittenSizes* written);

// LevelDB's checksum: CRC32C, masked.
uint32_t MaskedCrc32c(absl::string_view octets);
// A table is blocks, each with a trailer (type, checksum), and a footer.
inline constexpr size_t kIndexBlockTrailerBytes = 5;
inline constexpr size_t kIndexTableFooterBytes = 48;
// Whether `octets`, read at `offset` from a table of `table_bytes`, are a whole
// block with its trailer, or the footer (which has no checksum).
bool IsWholeIndexBlock(uint64_t offset, absl::string_view octets, uint64_t table_bytes);

// Of one of these; OK: none.
absl::Status FirstFailureOf(const leveldb::Env& env);

// Throws LevelDB's own log lines away: what matters comes back as a status.
std::unique_ptr<leveldb::Logger> NewSilentLogger();

absl::Status FromLevelDb(const leveldb::Status& status);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_LEVELDB_ENV_H_
