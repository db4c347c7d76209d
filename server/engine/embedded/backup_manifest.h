// BACKUP: the file that makes a directory a backup. Layout in FORMAT.md.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_MANIFEST_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_MANIFEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// One file of a backup.
struct BackupFile {
  std::string name;    // `segments/...` or `bodies/...`, below the backup's directory.
  uint64_t bytes = 0;  // Of a segment there may be more; that does not count.
  uint32_t crc32c = 0;
  // The store's own file was damaged when it was taken.
  bool damaged = false;

  friend bool operator==(const BackupFile&, const BackupFile&) = default;
};

struct BackupManifest {
  uint64_t format = 0;  // Of the data directory.
  uint64_t store_id = 0;
  uint64_t group = 0;             // The moment: everything up to this group, nothing later.
  int64_t wall_us = 0;            // When it was made: a label.
  uint64_t bodies = 0;            // Message texts.
  std::vector<BackupFile> files;  // By name.

  std::string Encode() const;
  // kDataLoss, saying what is wrong, for anything that Encode would not give.
  static absl::StatusOr<BackupManifest> Decode(absl::string_view text);

  const BackupFile* Find(absl::string_view name) const;
};

inline constexpr absl::string_view kBackupFile = "BACKUP";
// There from the first moment of a directory's first backup until it is finished.
inline constexpr absl::string_view kUnfinishedFile = "UNFINISHED";

// Names in a backup: of a whole segment, of the first `bytes` octets of the one
// that was being written, of a body.
std::string BackupNameOfSegment(uint64_t segment);
std::string BackupNameOfNewestSegment(uint64_t segment, uint64_t bytes);
std::string BackupNameOfBody(uint64_t body);
// Of either of these names of a segment; 0 for other names.
uint64_t SegmentOfBackupName(absl::string_view name);
// Where such a file belongs in a data directory; empty for other names.
std::string RestoredName(absl::string_view name);

// kNotFound: the directory holds no finished backup.
absl::StatusOr<BackupManifest> ReadBackupManifest(Files& files, const std::string& directory);
// Replaces the one that is there, in one step; durable when it returns.
absl::Status WriteBackupManifest(Files& files, const std::string& directory, const BackupManifest& manifest);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_BACKUP_MANIFEST_H_
