// The one seam between the engine and the disk. Everything that the engine keeps,
// LevelDB's files included, passes it, so that a test can stand in between and
// fail, tear or count any operation.
//
// Errors, each naming the path: kNotFound, kAlreadyExists, kPermissionDenied,
// kResourceExhausted (no space, quota or inodes), kUnavailable (locked by
// another process), kInternal for everything else. Any thread may call; one File
// takes one Append, Sync, DropCached or Truncate at a time, any number of ReadAt.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_FILES_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace restante::embedded {

// An open file. Closed when destroyed, without a sync. One that was removed
// meanwhile stays readable.
class File {
 public:
  virtual ~File() = default;

  // Adds the pieces at the end, in order, as one write where the system can. After
  // an error any part of them may be there.
  virtual absl::Status Append(absl::Span<const absl::string_view> pieces) = 0;
  // What was appended, and the size, are on stable storage when it returns. (Not
  // the file's name: SyncDirectory.) After an error nobody knows, and a second
  // Sync of the same file proves nothing.
  virtual absl::Status Sync() = 0;
  // What is read from now on comes from stable storage, but for what is not synced.
  // After a Sync that failed, perhaps in another process, the system's cache may
  // hold what storage never got. As far as the system can.
  virtual void DropCached() = 0;
  virtual absl::Status Truncate(uint64_t size) = 0;
  // Makes the file `size` octets long, with the space for them taken.
  virtual absl::Status Preallocate(uint64_t size) = 0;
  // Reads up to `bytes` octets; fewer only at the end.
  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes, char* to) const = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
};

// Exclusive possession of a file's name, until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class Files {
 public:
  virtual ~Files() = default;

  enum class Mode {
    kRead,
    kAppend,  // Made if it is not there.
    kCreate,  // Made, or emptied if it is there.
  };
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) = 0;
  // Over an existing file. Durable with the next SyncDirectory.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // A second name, where there is none yet, for the same file. kUnimplemented:
  // not possible between these two places (another file system).
  virtual absl::Status Link(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // With its parents; one that exists is no error.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  // An empty one.
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;
  // Names made, renamed and removed in it are on stable storage.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // Names in it, without `.` and `..`, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  virtual absl::StatusOr<uint64_t> SizeOf(const std::string& path) = 0;
  virtual absl::StatusOr<bool> IsDirectory(const std::string& path) = 0;

  struct Space {
    uint64_t total = 0;
    uint64_t available = 0;  // To this process, octets.
    // Files that can still be made; UINT64_MAX where that is not counted.
    uint64_t available_files = UINT64_MAX;
    bool read_only = false;  // The file system, or this mount of it.
  };
  virtual absl::StatusOr<Space> SpaceAt(const std::string& path) = 0;
  // kUnavailable: somebody has it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;

  struct Permissions {
    uint32_t owner = 0;   // User id.
    uint32_t mode = 0;    // The nine bits of chmod.
    bool allowed = true;  // This process may read and write it, or work in it.
  };
  // Where nobody can be kept out: nobody is.
  virtual absl::StatusOr<Permissions> PermissionsOf(const std::string& path);

  // The machine's. Never destroyed.
  static Files* Posix();
};

std::string JoinPath(absl::string_view directory, absl::string_view name);
// The directory of a path.
std::string DirectoryOf(absl::string_view path);
// The whole file.
absl::StatusOr<std::string> ReadWholeFile(Files& files, const std::string& path);
// Makes a new file with this content, durably but for its name. One that is there
// goes: a sync of it may have failed.
absl::Status WriteFileSynced(Files& files, const std::string& path, absl::string_view content);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_FILES_H_
