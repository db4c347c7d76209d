// The data directory: whether it is ours, making one, and the lock on it.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_DATA_DIR_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_DATA_DIR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

inline constexpr uint64_t kFormatVersion = 2;

struct DataDir {
  std::string path;
  uint64_t store_id = 0;
  uint64_t format = kFormatVersion;
  std::unique_ptr<FileLock> lock;
  std::string warning;  // What the operator should know; one line, or empty.

  std::string segments() const { return JoinPath(path, "segments"); }
  std::string bodies() const { return JoinPath(path, "bodies"); }
  std::string index() const { return JoinPath(path, "index"); }
  std::string ballast() const { return JoinPath(path, "ballast"); }
  std::string spares() const { return JoinPath(path, "spare"); }
  uint32_t store() const { return static_cast<uint32_t>(store_id); }
};

// Finds the store in `path`, and changes nothing; with `create`, makes one where
// nothing is, or where making one was interrupted. Errors as embedded::Open says.
// It is locked, unless its lock file is missing. `restoring`: one between
// BeginRestore and EndRestore, which is none for others.
absl::StatusOr<DataDir> OpenDataDir(Files& files, const std::string& path, bool create,
                                    bool restoring = false);
// Takes possession of one that proved sound: it is locked in any case, and rid of
// what its creation left.
absl::Status ClaimDataDir(Files& files, DataDir& directory);

// What FORMAT says of the directory: its format and its store.
std::string FormatText(const DataDir& directory);

// Says durably that the store has this format. Before anything is written that
// older programs do not know.
absl::Status WriteFormat(Files& files, DataDir& directory, uint64_t format);

// Makes `path` a place that a restore can fill, and locks it: missing (then it is
// made), empty, or left by an interrupted restore, whose files go. kNotFound: the
// directory above is not there; kFailedPrecondition: it holds something else;
// others as OpenDataDir.
absl::StatusOr<DataDir> BeginRestore(Files& files, const std::string& path);
// From the moment that this is durable it is a store.
absl::Status EndRestore(Files& files, const std::string& path);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_DATA_DIR_H_
