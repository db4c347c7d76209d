// What a disk holds and what the system's cache over it holds, and how each
// operation changes the two. SimulatedDisk is the disk that programs see.
//
// The rules are POSIX at its worst, not the kindness of one file system:
//
// - Octets are durable after Sync, names after SyncDirectory, neither by the other.
// - Of what is not synced any part may be durable all the same: of a file's octets
//   any sectors, later ones without earlier ones, under any size that the file
//   has had, torn in the last append; of a directory any of its changes, but a
//   rename wholly or not at all.
// - A failed Sync leaves its octets in the cache as if they were durable, perhaps
//   without being so: the next Sync succeeds without them (Linux). A failed
//   SyncDirectory leaves its changes to the next one: a journal that cannot be
//   written ends the file system, it does not go on without a piece.
#ifndef RESTANTE_TESTS_EMBEDDED_DISK_STATE_H_
#define RESTANTE_TESTS_EMBEDDED_DISK_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/embedded/paged_octets.h"

namespace restante::embedded {

struct DiskOperation {
  enum class Kind {
    kCreate,
    kAppend,
    kTruncate,
    kPreallocate,
    kSync,
    kDropCached,
    kRename,
    kLink,
    kRemove,
    kMakeDirectory,
    kRemoveDirectory,
    kSyncDirectory,
    // Changes nothing; for faults only.
    kRead,
  };
  // What becomes of the octets of a Sync that fails.
  enum class Loss { kAll, kSome, kNone };

  // A line for people.
  std::string ToString() const;

  Kind kind = Kind::kAppend;
  std::string path;
  std::string to = {};                             // Rename, link.
  uint64_t file = 0;                               // The open one: append, truncate, preallocate, sync.
  std::shared_ptr<const std::string> octets = {};  // Append: those that got there.
  uint64_t size = 0;                               // Truncate, preallocate.
  absl::StatusCode failed = absl::StatusCode::kOk;
  Loss loss = Loss::kAll;  // Of a Sync that failed.
};

// What is left when the machine stops.
enum class Survives {
  kSynced,      // Power cut: nothing that was not synced.
  kRandom,      // Power cut: of what was not synced, what the seed says.
  kEverything,  // kill -9: the cache too, as unsynced as it was.
};

// A value: a copy shares the octets. Not thread-safe.
class DiskState {
 public:
  static constexpr uint64_t kSectorBytes = 512;
  static constexpr uint64_t kRoot = 1;

  DiskState();

  // Errors as files.h says; nothing has changed then. An operation that failed by
  // a fault changes what is left of it, and is no error here.
  absl::Status Apply(const DiskOperation& operation);

  // The disk as the next process finds it.
  DiskState Image(Survives survives, uint64_t seed) const;

  absl::StatusOr<uint64_t> Find(absl::string_view path) const;
  bool IsDirectory(uint64_t file) const { return inodes_.at(file).directory; }
  const PagedOctets& Octets(uint64_t file) const { return inodes_.at(file).cached; }
  const std::map<std::string, uint64_t>& Entries(uint64_t directory) const {
    return inodes_.at(directory).entries;
  }
  // Of all files: octets, and how many there are, directories included.
  uint64_t bytes() const;
  uint64_t files() const;

  // Lets a file go that has no name any more, as its last user closes it; without
  // effect on one that has. (No image of this state will have it again.)
  void Forget(uint64_t file);

 private:
  // Octets [from, to) changed, and the size; no octets: they became zeros.
  struct Write {
    uint64_t from = 0, to = 0, size = 0;
    std::shared_ptr<const std::string> octets;
  };
  // Names that came (with their file) or went (0), in one step.
  using Change = std::vector<std::pair<std::string, uint64_t>>;
  struct Inode {
    bool directory = false;
    bool closed = false;  // Nobody has it open, for its process is gone.
    uint32_t links = 0;
    // Of a file. `clean` is the cache as of the last Sync, what `unsynced` began with.
    PagedOctets cached, clean, durable;
    std::vector<Write> unsynced;
    bool lossy = false;  // A Sync failed: `clean` may not be durable.
    // Of a directory.
    std::map<std::string, uint64_t> entries, durable_entries;
    std::vector<Change> unsynced_changes;
  };

  static void Enter(const Change& change, std::map<std::string, uint64_t>* entries);
  static PagedOctets Torn(const Inode& inode, std::mt19937_64& random);
  static void Sync(Inode& inode);
  static void FailSync(Inode& inode, DiskOperation::Loss loss);
  static void DropCached(Inode& inode);

  absl::Status ChangeOctets(const DiskOperation& operation);
  absl::Status ChangeNames(const DiskOperation& operation);
  // The directory of a path, and its last name.
  absl::StatusOr<std::pair<uint64_t, std::string>> Split(absl::string_view path) const;
  void CountLinks();

  std::map<uint64_t, Inode> inodes_;
  uint64_t next_ = kRoot + 1;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_DISK_STATE_H_
