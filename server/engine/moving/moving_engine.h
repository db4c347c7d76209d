// A store that may move while it serves: passes everything on to the engine that keeps it
// now, notes what is changed there, and changes over to another engine in one moment, so
// that no caller notices more than that something had to be tried again.
//
// Who moves it (online_move.h) copies in the background what is noted, and in the end:
//
//   Allow    While it catches up: new mail and changes come at the pace of the copy.
//   Drain    Nothing new is promised: Open, and Confirm of what is not confirmed, are
//            kUnavailable. What was promised goes on, and ends here.
//   Freeze   No change is under way; those that are asked for wait. Reads go on.
//   Switch   All goes to the other engine from here on, what has waited first.
//
// A body's number says where it is: those of the other engine are above all that this one
// has given, or will. So who has read an entry before reads its text after, too; but he
// makes no copy of it (kUnavailable).
#ifndef RESTANTE_SERVER_ENGINE_MOVING_MOVING_ENGINE_H_
#define RESTANTE_SERVER_ENGINE_MOVING_MOVING_ENGINE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/steady_condition.h"
#include "server/engine/moving/passing_engine.h"

namespace restante::moving {

class MovingEngine final : public PassingEngine {
 public:
  explicit MovingEngine(std::unique_ptr<engine::Engine> from);
  // Whoever moves it has ended.
  ~MovingEngine() override;

  // --- for who moves it; one thread ---------------------------------------------------

  // Where it is until Switch.
  engine::Engine* from() { return from_.get(); }

  // Begins to note what changes, from now on; and no more, until it is done anew.
  void StartNoting();
  void StopNoting();
  struct Changes {
    std::set<PartitionId> partitions;
    std::vector<std::pair<TransactionId, engine::stored::Receipt>> receipts;
    uint64_t count = 0;  // Of changes, several in the same partition.
  };
  // What may have changed since the last call: noted when it is durable, and before
  // anybody hears of it.
  Changes TakeChanges();
  // From now on changes come at the pace of the copy: so many more may. What is asked for
  // beyond them waits, before anything is promised, until more are allowed.
  void Allow(uint64_t changes);
  // As many as come, again.
  void AllowAll();
  // Whether a commit's outcome is not known: then only a start tells what there is.
  bool HasUnknown() const;

  // Returns whether it came so far within the time; if not, it goes on as before.
  bool Drain(absl::Duration patience);
  bool Freeze(absl::Duration patience);
  // Ends either, and what has waited goes on here.
  void GoOn();
  // When it is frozen. Bodies of `to` have numbers from `first_number` on.
  void Switch(std::unique_ptr<engine::Engine> to, uint64_t first_number);

  // --- the port -----------------------------------------------------------------------

  void Update(PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
              Done<absl::Status> done) override;
  void Open(TransactionId transaction, uint64_t disk_bytes,
            Done<absl::StatusOr<engine::OpenResult>> done) override;
  void Reserve(TransactionId transaction, uint64_t mailbox, engine::Demand demand,
               Done<absl::StatusOr<engine::ReserveResult>> done) override;
  void Confirm(TransactionId transaction, Done<absl::StatusOr<engine::Confirmed>> done) override;
  void Extend(TransactionId transaction, uint64_t bytes,
              Done<absl::StatusOr<engine::Extended>> done) override;
  void Release(TransactionId transaction, uint64_t mailbox) override;
  void Close(TransactionId transaction) override;
  void Commit(engine::CommitRequest request, Done<absl::StatusOr<engine::stored::Receipt>> done) override;
  void HandedOver(TransactionId transaction, std::vector<uint64_t> mailboxes) override;
  void Settle(TransactionId transaction, std::vector<uint64_t> mailboxes,
              Done<absl::StatusOr<engine::stored::Receipt>> done) override;
  std::unique_ptr<engine::BodyWriter> NewBody(std::optional<uint64_t> expected) override;
  void ReadBody(engine::BodyId body, uint64_t offset, uint64_t length,
                Done<absl::StatusOr<std::string>> done) override;
  void OnEvents(std::function<void()> listener) override;

 private:
  // After so long it is durable that open receipts have ended.
  static constexpr int64_t kHandedOver_us = 5'000'000;

  enum class Phase { kServing, kDraining, kFrozen };
  struct Transaction {
    bool moved = false;  // Of the other engine.
    bool promised = false;
    bool committing = false;
  };
  struct HandedOverOne {
    TransactionId transaction;
    std::vector<uint64_t> mailboxes;
    int64_t at_us = 0;  // Steady.
  };
  class Body;
  class Writer;
  // `here`: with the engine that it moves from, which has to be told by Ended.
  using Call = absl::AnyInvocable<void(engine::Engine* engine, bool here)>;

  engine::Engine* current() const override;
  // Runs what changes something, now or when it is not frozen any more.
  void Change(Call call);
  // Runs what leads to a change, now or when one is allowed.
  void Pace(absl::AnyInvocable<void()> call);
  void Promise(TransactionId transaction, Done<absl::StatusOr<engine::Confirmed>> done);
  void Ended(const std::vector<PartitionId>& changed);
  // The engine of a transaction; null: it is open where nothing is served any more.
  engine::Engine* EngineOf(const TransactionId& transaction) const;
  void Run(std::vector<Call> calls);

  const std::unique_ptr<engine::Engine> from_;
  std::unique_ptr<engine::Engine> to_;  // Set by Switch, once.

  mutable absl::Mutex mutex_;
  SteadyCondition ended_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kServing;
  bool moved_ ABSL_GUARDED_BY(mutex_) = false;
  bool noting_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t first_number_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;  // Changes, where it moves from.
  bool unknown_ ABSL_GUARDED_BY(mutex_) = false;
  Changes changes_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<TransactionId, Transaction> transactions_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> waiting_ ABSL_GUARDED_BY(mutex_);
  // If there is a limit; below 0 if one was more than one.
  std::optional<int64_t> allowed_ ABSL_GUARDED_BY(mutex_);
  std::deque<absl::AnyInvocable<void()>> paced_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> listener_ ABSL_GUARDED_BY(mutex_);
  // Where committed ones have left open receipts; and in which order.
  absl::flat_hash_map<TransactionId, std::vector<uint64_t>> committed_ ABSL_GUARDED_BY(mutex_);
  std::deque<TransactionId> committed_order_ ABSL_GUARDED_BY(mutex_);
  // That these end becomes durable without a word, within a second or so. Oldest first.
  std::deque<HandedOverOne> handed_over_ ABSL_GUARDED_BY(mutex_);
  std::vector<TransactionId> handed_over_before_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_MOVING_ENGINE_H_
