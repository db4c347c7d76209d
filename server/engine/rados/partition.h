// One partition as this store changes it: all changes go through one queue, and as many
// as wait become one write, guarded by the number of the last.
//
// A change is a *step*: a function that looks at the state and alters it. It may run
// several times, also on another state (somebody else has written meanwhile), and only
// its last run counts. What it has to know and is not read yet it asks for.
//
//   the guard `seq` is an attribute that each write raises. It holds: the write and all
//   its steps are durable. It does not: another store was faster, everything is read
//   again, and all steps run again.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_PARTITION_H_
#define RESTANTE_SERVER_ENGINE_RADOS_PARTITION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/draft.h"
#include "server/engine/rados/later.h"

namespace restante::rados {

struct Step {
  // False: something is not known yet; nothing was changed in this run.
  std::function<bool(Draft&)> run;
  // The step only gives room back, or does what was promised: a full cluster takes it.
  bool frees = false;
  // It is written alone, and with it an epoch ends.
  bool ends_epoch = false;
};

class Partition : public std::enable_shared_from_this<Partition> {
 public:
  // `written` is called after each write, with what it has made of the state; before any
  // of its steps is told.
  Partition(PartitionId id, Pool* pool, Later* later, std::function<void(const PartitionState&)> written);

  // Runs the step after those that were posted before. `done`: its change is durable, or
  // it made none; or nothing of it was done (kUnavailable, kResourceExhausted, kDataLoss).
  void Post(Step step, absl::AnyInvocable<void(absl::Status)> done);
  Await<absl::Status> Post(Step step);

  // The state as it is in the cluster now, and those of the keys that there are.
  Task<absl::StatusOr<PartitionState>> Read(std::vector<std::string> keys,
                                            std::map<std::string, std::string>* values);
  // The last state that is known here, and when that was (monotonic); nullopt: none is.
  std::optional<PartitionState> Cached(int64_t* since_us) const;

  bool idle() const;
  PartitionId id() const { return id_; }
  const std::string& object() const { return object_; }
  // Conflicts with other stores so far.
  uint64_t conflicts() const { return conflicts_; }

 private:
  struct Posted {
    Step step;
    absl::AnyInvocable<void(absl::Status)> done;
  };

  Task<bool> Work();
  // Runs one batch until all of it is decided.
  Task<bool> RunBatch(std::vector<Posted> batch);
  Task<absl::Status> ReadState();
  // Reads what `draft` lacks. kAborted: the state was another.
  Task<absl::Status> ReadWanted(const Draft& draft, Draft::Known* known);
  WriteOp Compose(const PartitionState& before, Draft* draft) const;
  // What a write has made of reservations.
  void Keep(const Draft& draft);

  const PartitionId id_;
  const std::string object_;
  Pool* const pool_;
  Later* const later_;
  const std::function<void(const PartitionState&)> written_;
  std::atomic<uint64_t> conflicts_{0};
  // Rows that this store has written and not erased, while nobody else has written: of
  // transactions that are open. Only the worker uses it.
  std::map<std::string, std::optional<std::string>> reservations_;

  mutable absl::Mutex mutex_;
  std::deque<Posted> queue_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the last write or read. Only the worker changes it.
  std::optional<PartitionState> state_ ABSL_GUARDED_BY(mutex_);
  int64_t state_us_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 1;
};

// The state of an object that was read with its attributes.
absl::StatusOr<PartitionState> StateOf(const ObjectRead& read, const std::string& object);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_PARTITION_H_
