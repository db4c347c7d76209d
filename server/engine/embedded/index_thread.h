// Applies durable groups to the index, in order, and checkpoints it.
//
// It gathers them until they are worth a batch: of what changes again meanwhile, or
// goes, nothing is written. Readers find it in the engine's memory until then.
//
// The index failing loses nothing: it is closed, opened and replayed from the
// log, as often as it takes; groups wait meanwhile, and readers are told. One
// that is damaged would fail again: it is left open for those who read what is
// whole, and nothing more is put into it; the log and the engine's memory have it.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_THREAD_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_THREAD_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "server/base/steady_condition.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/recovery.h"
#include "server/engine/embedded/segment_writer.h"

namespace restante::embedded {

class IndexThread {
 public:
  struct Callbacks {
    // The index has everything up to this snapshot's group; null: it is being
    // reopened. On the index thread.
    std::function<void(std::shared_ptr<const IndexSnapshot>)> snapshot;
    // Replays the log into the index up to a group.
    std::function<absl::Status(uint64_t last_group)> replay;
    std::function<void(const std::string& line)> log;
  };

  // `recovered` is how the index was found, and what was replayed into it since.
  IndexThread(Index* index, const Replayed& recovered, uint64_t checkpoint_bytes, Callbacks callbacks);
  // Stops after everything that was added is applied, and checkpoints, if the
  // index works.
  ~IndexThread();

  // A group that is durable; `end` is behind it, `bytes` what it took in the log.
  void Add(stored::Group group, LogPosition end, uint64_t bytes);
  // Applies what was added, though it be little.
  void Hurry();
  // Makes the index durable up to everything added before, and calls `done` on the
  // index thread.
  void Checkpoint(absl::AnyInvocable<void(absl::Status)> done);
  // Puts a key of which no log tells; with `durable`, and a checkpoint behind it.
  void PutUnlogged(std::string key, std::string value, bool durable);
  // Removes keys of which no log tells.
  void RemoveRange(std::string from, std::string to);

  // Whether LevelDB met damage when it wrote.
  bool damaged() const { return damaged_.load(std::memory_order_relaxed); }
  // Octets of groups that are not applied yet.
  uint64_t backlog_bytes() const { return backlog_bytes_.load(std::memory_order_relaxed); }
  // Up to which group all is in tables of LevelDB for certain. (It may have made tables
  // of later ones of its own accord.)
  uint64_t checkpointed_group() const { return checkpointed_group_.load(std::memory_order_relaxed); }
  uint64_t checkpoints() const { return checkpoints_.load(std::memory_order_relaxed); }
  uint64_t reopened() const { return reopened_.load(std::memory_order_relaxed); }

 private:
  struct Item {
    stored::Group group;  // Number 0: a task.
    LogPosition end;
    uint64_t log_bytes = 0;
    uint64_t group_bytes = 0;
    absl::AnyInvocable<absl::Status()> task;
  };

  void Run();
  void AddTask(absl::AnyInvocable<absl::Status()> task);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ApplyBatch(std::vector<Item>& batch);
  absl::Status WriteCheckpoint();
  // Until it works, or the thread is to stop.
  void Reopen(absl::Status cause);
  void Leave(const absl::Status& cause);

  Index* const index_;
  const uint64_t checkpoint_bytes_;
  const Callbacks callbacks_;

  absl::Mutex mutex_;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0, queued_log_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool hurry_ ABSL_GUARDED_BY(mutex_) = false;  // What is queued shall be done.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition stop_;  // stopping_ is set.
  std::atomic<uint64_t> backlog_bytes_{0}, checkpointed_group_, checkpoints_{0}, reopened_{0};
  std::atomic<bool> damaged_{false};

  // The thread's own.
  stored::Checkpoint reached_;  // Applied; not yet durable.
  uint64_t since_checkpoint_;
  bool works_ = true;

  std::thread thread_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_THREAD_H_
