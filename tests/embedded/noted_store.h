// A store on a simulated disk with clients whose every question and answer is
// noted (crash_history.h). Its functions are the vocabulary of crash workloads.
#ifndef RESTANTE_TESTS_EMBEDDED_NOTED_STORE_H_
#define RESTANTE_TESTS_EMBEDDED_NOTED_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/engine.h"
#include "tests/embedded/crash_history.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {

// Everything small: short workloads roll segments, write checkpoints, empty segments
// and turn LevelDB's files over.
Options SmallOptions();
// The same but for checkpoints, which come when they must.
Options LazyOptions();

// Octets of a disk on which LevelDB's tables are small, too.
inline constexpr uint64_t kSmallDisk = uint64_t{64} << 20;

inline constexpr char kLargeKey[] = "d/large";

// Every function may be called from any thread, but Open and Close; what changes
// one mailbox's limit, or one message's flags, from one at a time.
class NotedStore {
 public:
  NotedStore(SimulatedDisk* disk, Options options, History history = {},
             std::unique_ptr<engine::Engine> engine = nullptr);

  // With --create.
  absl::Status Open();
  // With --rebuild-index.
  absl::Status OpenRebuilding();
  void Close() { engine_.reset(); }
  bool is_open() const { return engine_ != nullptr; }

  // --- what clients do; each waits for its answer and gives it back -----------------
  // (kUnavailable: it asks again until it is told something else.)

  // Mailboxes are told by their place, from 0. The first brings its domain.
  absl::Status MakeMailbox();
  absl::Status Deliver(const std::vector<size_t>& to, size_t bytes);
  // Sends a message again, with its id.
  absl::Status SendAgain(uint64_t number);
  // Sends a message again whose answer was lost, as another delivery (RFC 1047).
  // kInternal: it was not recognised, or torn.
  absl::Status Retry(uint64_t number);
  // Everything up to the dot; then the client is gone.
  absl::Status Abandon(size_t to, size_t bytes);
  // The oldest message. kNotFound: there is none.
  absl::Status Expunge(size_t mailbox);
  absl::Status SetLimit(size_t mailbox, uint64_t bytes);
  // Of the newest message. kNotFound: there is none.
  absl::Status SetFlags(size_t mailbox, uint32_t flags);
  // Asks for the receipt of an id that was never used: it never will be.
  absl::Status SettleUnused();
  // Asks what became of a message: kOk it is stored, kNotFound it never will be.
  absl::Status Settle(uint64_t number);
  // Gives all room back that it can.
  absl::Status Compact();
  // Onto the same disk. kNotFound: somebody else does it just now.
  absl::Status BackUp();
  // A value of some length in the directory, which LevelDB has to carry.
  absl::Status PutInDirectory(size_t bytes);

  // Waits until the disk has seen an operation of a kind on a path that contains
  // this, whether it worked or not, after the one of number `after`.
  void AwaitOperation(SimulatedDisk::Kind kind, const std::string& path_contains, int64_t after) const;

  size_t mailboxes() const;
  engine::Engine& engine() const { return *engine_; }
  uint64_t Figure(const char* name) const { return engine_->Figures().at(name); }
  History history() const;
  int64_t now() const { return static_cast<int64_t>(disk_->operations()); }

 private:
  absl::Status Start(bool rebuild);
  Sent NewMessage(const std::vector<size_t>& to, size_t bytes);
  absl::Status Send(size_t at);
  absl::Status Change(engine::PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
                      int64_t* told);
  absl::Status Make(engine::PartitionId partition, const engine::stored::Head& head);
  std::vector<uint64_t> Partitions(engine::PartitionId::Kind kind) const;
  // Stored messages of a mailbox that nobody expunges, ascending.
  std::vector<uint64_t> UidsOf(uint64_t mailbox) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SimulatedDisk* const disk_;
  const Options options_;
  std::unique_ptr<engine::Engine> engine_;

  mutable absl::Mutex mutex_;
  History history_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_NOTED_STORE_H_
