// A disk in memory that can be cut off after any operation, and made to fail.
//
// It notes every operation that changes it. Of one recorded run, CutAfter gives
// the disk as a power cut (or kill -9) after any operation leaves it; that is a
// disk again, to be run on, recorded and cut. disk_state.h says what survives.
//
// Faults are rules; each counts how often it struck, for a test has to assert that
// it did. Any thread may call everything; paths begin at the root, `/`.
#ifndef RESTANTE_TESTS_EMBEDDED_SIMULATED_DISK_H_
#define RESTANTE_TESTS_EMBEDDED_SIMULATED_DISK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/files.h"
#include "tests/embedded/disk_state.h"

namespace restante::embedded {

class SimulatedDisk : public Files {
 public:
  using Kind = DiskOperation::Kind;
  using Loss = DiskOperation::Loss;

  explicit SimulatedDisk(DiskState state = DiskState());

  // --- the record -------------------------------------------------------------

  // So many operations were done so far; they are numbered from 1.
  uint64_t operations() const;
  DiskOperation operation(uint64_t number) const;
  // The disk after that operation; 0: as it began. Quick where numbers ascend.
  std::unique_ptr<SimulatedDisk> CutAfter(uint64_t number, Survives survives, uint64_t seed = 0);

  // --- faults -------------------------------------------------------------------

  struct Fault {
    // Which operations: of a kind (unset: all that change the disk), on paths that
    // contain this, or the one of this number.
    std::optional<Kind> kind = {};
    std::string path_contains = {};
    uint64_t number = 0;
    int after = 0;  // So many pass before.
    int times = 1;  // So many are struck; -1: all.

    // What happens to them. OK: they are done all the same (held, or misread).
    absl::Status status = {};
    double part = 0;         // Of a failing append, the share of its octets that gets there.
    Loss loss = Loss::kAll;  // Of a failing Sync.
    bool held = false;       // Waits for Release first.
    // Of a read: one bit of the octet at this place of the file is wrong.
    std::optional<uint64_t> flips_octet = {};
  };
  using FaultId = size_t;
  FaultId Inject(Fault fault);
  // How often it has struck.
  int Struck(FaultId fault) const;
  // Waits until it has struck, and so holds somebody.
  void AwaitStruck(FaultId fault);
  void Release(FaultId fault);
  // No fault strikes any more; who is held goes on.
  void Heal();

  // Room for so many octets, and files and directories, in all. What has no more
  // room fails with kResourceExhausted, an append with a part of it written.
  void SetCapacity(uint64_t bytes, uint64_t files = UINT64_MAX);
  // How often there was no room.
  int out_of_room() const;

  // --- Files ----------------------------------------------------------------------

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override;
  absl::StatusOr<bool> IsDirectory(const std::string& path) override;
  absl::StatusOr<Space> SpaceAt(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  static constexpr uint64_t kVast = uint64_t{1} << 40;

  class OpenFile;
  class HeldLock;
  struct Rule {
    Fault fault;
    int struck = 0;
    bool over = false;  // Released, or healed.
  };

  absl::Status Do(DiskOperation operation);
  absl::Status DoLocked(DiskOperation operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The fault that strikes an operation, which was held if that says so.
  std::optional<Fault> Strike(
      Kind kind, absl::string_view path, absl::FunctionRef<bool(const Fault&)> applies = [](const Fault&) {
        return true;
      }) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Shortens the operation to what there is room for.
  absl::Status FitInto(DiskOperation* operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  DiskState state_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, int> open_ ABSL_GUARDED_BY(mutex_);  // Users, by file.
  std::set<std::string> locks_ ABSL_GUARDED_BY(mutex_);
  std::vector<DiskOperation> done_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Rule>> rules_ ABSL_GUARDED_BY(mutex_);
  uint64_t max_bytes_ ABSL_GUARDED_BY(mutex_) = kVast;
  uint64_t max_files_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;
  int out_of_room_ ABSL_GUARDED_BY(mutex_) = 0;

  // The state again as it was when the record began, and as of some operation.
  const DiskState begin_;
  DiskState cursor_ ABSL_GUARDED_BY(mutex_);
  uint64_t cursor_at_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_SIMULATED_DISK_H_
