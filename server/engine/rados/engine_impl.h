// The engine's inside. Its functions are coroutines (base/task.h) over operations of the
// cluster; what they decide on stands in the partitions (partition.h), and this object
// has only caches and what belongs to this run: open transactions, the life sign.
//
//   engine_partitions.cc    reads, scans, lists
//   engine_update.cc        updates
//   engine_grants.cc        domains and what they grant to their mailboxes
//   engine_survey.cc        and what all of them hold
//   engine_asking.cc        who gets room in a mailbox
//   engine_reserve.cc       and what is held of it
//   engine_commit.cc        commits and their outcomes
//   engine_settle.cc        settling, open receipts
//   engine_drop.cc          bodies that nobody names
//   engine_spill.cc         rows that leave a partition's object for shards
//   engine_events.cc        thresholds of mailboxes, and the log of events
//   engine_pools.cc         thresholds of pools
//   engine_life.cc          life signs, the dead, store time
//   engine_inherit.cc       what is taken over from another store
//   engine_sweep.cc         what the dead have left, and what is too old
//   engine_verify.cc        checks and repairs
//   engine_scrub.cc         bodies against their checksums
#ifndef RESTANTE_SERVER_ENGINE_RADOS_ENGINE_IMPL_H_
#define RESTANTE_SERVER_ENGINE_RADOS_ENGINE_IMPL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "server/base/steady_condition.h"
#include "server/engine/ledger.h"
#include "server/engine/rados/bodies.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/cluster_room.h"
#include "server/engine/rados/deadlines.h"
#include "server/engine/rados/engine_state.h"
#include "server/engine/rados/hints.h"
#include "server/engine/rados/later.h"
#include "server/engine/rados/partition.h"
#include "server/engine/rados/rados_engine.h"
#include "server/engine/rados/recent_keys.h"

namespace restante::rados {

using engine::Change;
using engine::CommitRequest;
using engine::Confirmed;
using engine::Demand;
using engine::Done;
using engine::Extended;
using engine::OpenResult;
using engine::ReserveResult;
using engine::Shortage;

// For so long (monotonic) what was read counts as known to those who may act on it, and
// are refused by a guard if they may not; and so many keys of the directory are kept.
inline constexpr int64_t kRecent_us = 5'000'000;
inline constexpr size_t kRecentKeys = 100'000;

class RadosEngine : public engine::Engine {
 public:
  RadosEngine(Options options, std::unique_ptr<Cluster> cluster, std::unique_ptr<Pool> index,
              std::unique_ptr<Pool> body);
  ~RadosEngine() override;

  // Takes a number for this run and says that it lives. Blocks.
  absl::Status Begin();

  uint64_t NewNumber() override;
  void Update(PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
              Done<absl::Status> done) override;
  void Read(PartitionId partition, std::vector<std::string> keys,
            Done<absl::StatusOr<engine::ReadResult>> done) override;
  void ReadRecent(PartitionId partition, std::vector<std::string> keys,
                  Done<absl::StatusOr<engine::ReadResult>> done) override;
  void Scan(PartitionId partition, std::string from, std::string to, size_t limit,
            Done<absl::StatusOr<engine::ScanPage>> done) override;
  using Listed = std::vector<std::pair<uint64_t, stored::Head>>;
  void ListPartitions(PartitionId::Kind kind, uint64_t after, size_t limit,
                      Done<absl::StatusOr<Listed>> done) override;

  void Open(TransactionId transaction, uint64_t disk_bytes, Done<absl::StatusOr<OpenResult>> done) override;
  void Reserve(TransactionId transaction, uint64_t mailbox, Demand demand,
               Done<absl::StatusOr<ReserveResult>> done) override;
  void Check(uint64_t mailbox, Demand demand, Done<absl::StatusOr<ReserveResult>> done) override;
  void Confirm(TransactionId transaction, Done<absl::StatusOr<Confirmed>> done) override;
  void Extend(TransactionId transaction, uint64_t bytes, Done<absl::StatusOr<Extended>> done) override;
  void Release(TransactionId transaction, uint64_t mailbox) override;
  void Close(TransactionId transaction) override;
  void Commit(CommitRequest request, Done<absl::StatusOr<stored::Receipt>> done) override;
  void HandedOver(TransactionId transaction, std::vector<uint64_t> mailboxes) override;
  void Settle(TransactionId transaction, std::vector<uint64_t> mailboxes,
              Done<absl::StatusOr<stored::Receipt>> done) override;

  std::unique_ptr<engine::BodyWriter> NewBody(std::optional<uint64_t> expected) override;
  void ReadBody(BodyId body, uint64_t offset, uint64_t length,
                Done<absl::StatusOr<std::string>> done) override;

  void ReadEvents(uint64_t after, size_t limit, Done<absl::StatusOr<engine::EventPage>> done) override;
  void OnEvents(std::function<void()> listener) override;

  void UpdateWith(std::vector<std::unique_ptr<engine::StagedBody>> bodies, PartitionId partition,
                  std::vector<std::string> keys, engine::UpdateFn fn, Done<absl::Status> done) override;
  void ReadReceipts(std::string from, size_t limit, Done<absl::StatusOr<engine::ReceiptPage>> done) override;
  void Inherit(engine::Inheritance inheritance, Done<absl::Status> done) override;
  uint64_t store_time_s() override { return StoreTime(); }
  void BeAlone(Done<absl::Status> done) override;

  engine::Capacity GetCapacity() override;
  bool HasDomains() override;
  void VerifyBodies(std::function<void(uint64_t)> progress,
                    Done<absl::StatusOr<std::vector<std::string>>> done) override;
  void RepairBodies(std::function<void(uint64_t)> progress,
                    Done<absl::StatusOr<engine::Repairs>> done) override;
  void Scrub(uint64_t bytes_per_second, engine::UpkeepReport report, Done<absl::Status> done) override;
  std::optional<engine::ScrubResult> LastScrub() override;
  void SettleDead(engine::SettleReport report, Done<absl::Status> done) override;
  void SweepOrphans(engine::SweepReport report, Done<absl::Status> done) override;
  std::map<std::string, uint64_t> Figures() override;
  std::map<std::string, Histogram::Values> Histograms() override;
  absl::string_view name() const override { return "rados"; }

 private:
  // --- the whole -------------------------------------------------------------------

  // Starts a task that the destructor waits for.
  template <typename T>
  void Run(Task<T> task, Done<T> done) {
    BeginTask();
    Start<T>(std::move(task), [this, done = std::move(done)](T result) mutable {
      std::move(done)(std::move(result));
      EndTask();
    });
  }
  void RunAlone(Task<absl::Status> task) {
    Run<absl::Status>(std::move(task), [](const absl::Status&) {});
  }
  // The same for what is answered within `Options::patience`, if only by kUnavailable.
  template <typename T>
  void RunWithin(
      Task<T> task, Done<T> done, Done<T> late = [](T) {}) {
    Run<T>(std::move(task), deadlines_.Within<T>(std::move(done), std::move(late)));
  }
  void LookAtDeadlines();
  // Tells the ledger how full the cluster is; kUnavailable where that is not known.
  absl::Status MeasureDisk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginTask();
  void EndTask();
  void AwaitTasks();

  std::shared_ptr<Partition> PartitionOf(PartitionId id);
  std::shared_ptr<Partition> MailboxOf(uint64_t number) { return PartitionOf(PartitionId::Mailbox(number)); }
  // kUnavailable where nothing may be promised now: the cluster does not answer, or this
  // store could not say that it lives.
  absl::Status Promising() const;

  // --- partitions ------------------------------------------------------------------

  struct Updating;
  // Bodies that nothing names yet, by number.
  using Brought = std::map<BodyId, std::shared_ptr<BodyParts>>;
  Task<absl::Status> UpdateTask(PartitionId id, std::vector<std::string> keys, engine::UpdateFn fn,
                                Brought brought);
  Task<absl::Status> RunUpdates(std::shared_ptr<Updating> updating);
  bool RunUpdate(Updating& updating, Draft& draft);
  bool ApplyChange(Updating& updating, const Change& change, Draft& draft);
  static bool ApplyErase(Updating& updating, Draft& draft);
  // Makes a mailbox a holder of a body, which it is to name.
  Task<absl::Status> HoldBody(std::shared_ptr<Updating> updating, BodyId body);
  // What has to be done before a change can be written.
  Task<absl::Status> Prepare(std::shared_ptr<Updating> updating);
  Task<absl::Status> AfterUpdate(std::shared_ptr<Updating> updating);
  Task<absl::Status> Enlist(PartitionId id);
  Task<absl::Status> Delist(PartitionId id);
  Task<absl::StatusOr<engine::ReadResult>> ReadTask(PartitionId id, std::vector<std::string> keys);
  // As it is in the cluster, with what this store was asked for before; and those of the keys
  // that there are.
  Task<absl::StatusOr<PartitionState>> StateNow(PartitionId id, std::vector<std::string> keys,
                                                std::map<std::string, std::string>* values);
  // Without a domain's sums.
  Task<absl::StatusOr<engine::ReadResult>> ReadPartition(PartitionId id, std::vector<std::string> keys);
  Task<absl::StatusOr<engine::ReadResult>> ReadRecentTask(PartitionId id, std::vector<std::string> keys);
  Task<absl::StatusOr<engine::ScanPage>> ScanTask(PartitionId id, std::string from, std::string to,
                                                  size_t limit);
  Task<absl::StatusOr<Listed>> ListTask(PartitionId::Kind kind, uint64_t after, size_t limit);
  // Numbers above `after` that are listed, also of partitions that are gone.
  Task<absl::StatusOr<std::vector<uint64_t>>> ListedNumbers(PartitionId::Kind kind, uint64_t after,
                                                            size_t limit);
  // All keys with a prefix of an object.
  Task<absl::StatusOr<Rows>> AllRows(std::string object, std::string prefix);

  // --- shards ----------------------------------------------------------------------

  void SpillLater(PartitionId id);
  Task<absl::Status> SpillTask(PartitionId id);
  Task<absl::StatusOr<OwnRows>> CountOwnRows(PartitionId id);
  // How many rows have left the object.
  Task<absl::StatusOr<uint64_t>> SpillRange(PartitionId id, OwnRows own);
  // `begun`: how many shards there may be of it, also where it fails.
  Task<absl::StatusOr<std::vector<stored::ShardRange>>> CopyRows(std::shared_ptr<Partition> partition,
                                                                 uint64_t number, OwnRows own,
                                                                 std::shared_ptr<uint32_t> begun);
  Task<absl::StatusOr<uint64_t>> DropCopied(std::shared_ptr<Partition> partition, OwnRows own);
  Task<absl::Status> EndFilling(PartitionId id, uint64_t number, uint32_t begun);
  void RemoveGoneLater(PartitionId id);
  Task<absl::Status> RemoveGone(PartitionId id);
  Task<absl::Status> RemoveShards(Shards shards);

  // --- grants ----------------------------------------------------------------------

  Task<absl::StatusOr<std::vector<Member>>> MembersOf(uint64_t domain);
  Task<absl::StatusOr<DomainSums>> SumsOf(uint64_t domain);
  // Reads all mailboxes of a domain, and calls in what they do not need, but for one of them;
  // from a moment after the call on. Those who ask at the same time share one.
  Task<absl::StatusOr<Survey>> SurveyPool(uint64_t domain, uint64_t but);
  Task<absl::Status> SurveyInTurn(uint64_t domain);
  Task<absl::StatusOr<Survey>> SurveyNow(uint64_t domain, bool call_in, uint64_t but);
  Task<absl::StatusOr<Survey>> LookAtMember(uint64_t domain, Member member, bool lowers);
  // The domain's head as it was 5 s ago at most; none: no such domain.
  Task<absl::StatusOr<std::optional<stored::DomainHead>>> DomainOf(uint64_t domain);
  // Whether more is granted than the domain's limit, as far as this store knows.
  bool IsOvercommitted(uint64_t domain);
  Task<absl::Status> AddMember(uint64_t domain, uint64_t mailbox, uint64_t bytes);
  Task<absl::Status> RemoveMember(uint64_t domain, uint64_t mailbox);
  // Has a domain grant more to a mailbox. A shortage has scope, limit and the sums; needed
  // is the caller's to say.
  Task<absl::StatusOr<std::optional<Shortage>>> RaiseGrant(Raise raise);
  // One round of it; nullopt: there was not enough, with so much granted in all.
  Task<absl::StatusOr<std::optional<bool>>> TryRaise(Raise raise, uint64_t* granted);
  // Gives back to the domain what the mailbox does not need; how much that was.
  Task<absl::StatusOr<uint64_t>> CallIn(uint64_t domain, uint64_t mailbox);
  // Takes so many octets of this store's silent reservations in a domain's mailboxes, the
  // oldest first, if there are as many. Those of other stores go when they are dead, or
  // somebody asks for their own mailbox.
  Task<absl::StatusOr<bool>> TakeFromPool(uint64_t domain, uint64_t octets, std::optional<TransactionId> but);

  // --- room ------------------------------------------------------------------------

  struct Asking;
  Task<absl::StatusOr<ReserveResult>> ReserveTask(TransactionId id, uint64_t mailbox, Demand demand);
  Task<absl::StatusOr<ReserveResult>> CheckTask(uint64_t mailbox, Demand demand);
  Task<absl::StatusOr<Confirmed>> ConfirmTask(TransactionId id);
  Task<absl::StatusOr<Extended>> ExtendTask(TransactionId id, uint64_t bytes);
  Task<absl::StatusOr<OpenResult>> OpenTask(TransactionId id, uint64_t disk_bytes);
  // Asks until there is an answer that no grant and no dead store's reservation changes.
  Task<absl::StatusOr<ReserveResult>> Ask(std::shared_ptr<Asking> asking);
  bool RunAsking(Asking& asking, Draft& draft);
  // Since when (monotonic) a reservation has been silent that another transaction may take;
  // none: it may not be taken.
  using Silence = std::pair<int64_t, uint64_t>;  // Moment; and an order within it.
  std::optional<Silence> TakeableSince(const TransactionId& id, const stored::Reservation& reservation,
                                       uint64_t mailbox);
  // Whether it is that of a transaction that is open in this store.
  bool IsOpenHere(const TransactionId& id, const stored::Reservation& reservation);
  // Changes what an open transaction holds; false: it is not open any more, or holds nothing there.
  bool WithHold(const TransactionId& id, uint64_t attempt, uint64_t mailbox,
                absl::FunctionRef<void(Hold&)> change);
  // In a step: gives back what that attempt holds, if it does.
  static bool EraseReservation(const TransactionId& id, uint64_t attempt, Draft& draft);
  void PostRelease(const TransactionId& id, uint64_t attempt, uint64_t mailbox);
  void LoseHold(const TransactionId& id, uint64_t mailbox);
  // Makes reservations durable ones that are confirmed and still open by then.
  void WriteFirmLater(const TransactionId& id);
  Task<absl::Status> WriteFirm(TransactionId id);

  // --- commits ---------------------------------------------------------------------

  Task<absl::StatusOr<stored::Receipt>> CommitTask(std::shared_ptr<CommitRequest> request);
  absl::Status StartCommit(const CommitRequest& request, uint64_t size, uint64_t* attempt);
  void EndCommit(const TransactionId& id, bool release);
  // nullopt: there is none.
  Task<absl::StatusOr<std::optional<stored::Outcome>>> ReadOutcome(TransactionId id);
  // kAlreadyExists: there is one.
  Task<absl::Status> CreateOutcome(TransactionId id, std::string outcome);
  // Enters the message in one mailbox, unless it was; none where it cannot be any more.
  Task<absl::StatusOr<Placing>> RollForward(TransactionId id, std::shared_ptr<const stored::Outcome> outcome,
                                            uint64_t mailbox);
  bool RunRollForward(const TransactionId& id, const stored::Outcome& outcome, uint64_t mailbox, Draft& draft,
                      Placing* placing);
  // Rolls forward everywhere, and returns the receipt.
  Task<absl::StatusOr<stored::Receipt>> Finish(TransactionId id,
                                               std::shared_ptr<const stored::Outcome> outcome);
  Task<absl::StatusOr<stored::Receipt>> SettleTask(TransactionId id);
  Task<absl::Status> HandedOverTask(TransactionId id);
  // Writes into their outcomes what transactions have left in a mailbox that is going.
  Task<absl::Status> SavePlaced(uint64_t mailbox);
  Task<absl::Status> SavePlaced(TransactionId id, uint64_t mailbox, stored::Placed placed);
  Await<bool> AwaitCommit(TransactionId id);
  // Ends a reservation of a store that is dead.
  Task<absl::Status> SettleReservation(TransactionId id, uint64_t attempt, uint64_t mailbox);
  // Lets go of bodies that a mailbox names no more.
  Task<absl::Status> DropBodies(uint64_t mailbox);
  void DropBodiesLater(uint64_t mailbox);

  // --- taking over from another store -----------------------------------------------

  Task<absl::StatusOr<engine::ReceiptPage>> ReadReceiptsTask(std::string from, size_t limit);
  Task<absl::Status> InheritTask(std::shared_ptr<engine::Inheritance> inheritance);
  Task<absl::Status> InheritReceipts(std::shared_ptr<engine::Inheritance> inheritance);
  Task<absl::Status> InheritEvents(std::shared_ptr<engine::Inheritance> inheritance);
  Task<absl::Status> BeAloneTask();
  Task<absl::StatusOr<stored::House>> ReadHouse();

  // --- events ----------------------------------------------------------------------

  // The head of a domain as this store has seen it last; false: it has not.
  bool KnowsDomain(uint64_t number, std::optional<stored::DomainHead>* head);
  // Records, in the change that is being made, that a mailbox has crossed a threshold.
  // Returns whether it has.
  bool RecordCrossing(const std::optional<stored::DomainHead>& domain, Draft& draft);
  void PutEvent(stored::Event event, Draft& draft);
  // Enters what partitions have recorded into the log of all.
  Task<absl::Status> LogEvents(PartitionId id);
  Task<absl::Status> LogEvent(stored::Event event, std::string origin);
  // After a change of so many octets in a domain's mailboxes: its pool may have crossed.
  Task<absl::Status> NotePool(uint64_t domain, int64_t octets);
  Task<absl::Status> CheckPool(uint64_t domain);
  Task<absl::Status> RecheckMembers(uint64_t domain);
  Task<absl::Status> Recheck(uint64_t mailbox);
  // Where this store's rules are others than those by which all was recorded.
  Task<absl::Status> RecordMissed();
  void NoteDisk(bool full);
  Task<absl::StatusOr<engine::EventPage>> ReadEventsTask(uint64_t after, size_t limit);
  Task<absl::Status> ExpireEvents();
  // Calls the listener if there are events that it was not called for.
  Task<absl::Status> LookForEvents();
  void TellEvents();

  // --- life ------------------------------------------------------------------------

  uint64_t StoreTime() const;
  Task<absl::Status> Beat();
  void BeatLater();
  // Takes up what others have done; beside the life sign, which waits for nothing.
  void LookAroundLater();
  Task<absl::Status> LookAround();
  // The same at once, after a hint of another store.
  void BeginHints();
  void Hear(const std::set<std::string>& hints);
  void Hint(std::string what) {
    if (hints_) hints_->Tell(std::move(what));
  }
  void HintDomain(uint64_t domain);
  Task<absl::Status> RefreshDomain(uint64_t domain);
  Task<absl::Status> CountDomains();
  // `last_beat`: the life sign that there is; empty: none.
  Task<absl::StatusOr<bool>> IsDead(uint64_t incarnation, std::string* last_beat = nullptr);
  Task<absl::Status> SaveStoreTime();
  void EndLife();

  // --- sweeping --------------------------------------------------------------------

  void SweepLater();
  Task<absl::Status> SweepTask();
  Task<absl::Status> ForgetRun(uint64_t run, std::string key, std::string enrolled, std::string last_beat);
  // Of runs, whether they are dead.
  using Judged = std::map<uint64_t, bool>;
  // Waits until that is known of all that are enrolled.
  Task<absl::StatusOr<Judged>> JudgeRuns(std::function<bool()> go_on);
  // kCancelled where nobody wants it any more, or the store is being closed.
  absl::Status GoesOn(bool wanted) const;
  Task<absl::Status> SweepMailboxes(Judged judged, engine::SettleReport report);
  // How many reservations of the dead it had.
  Task<absl::StatusOr<uint64_t>> SweepMailbox(uint64_t mailbox, std::shared_ptr<Judged> judged);
  Task<absl::Status> SweepBodies(engine::SweepReport report);
  // The octets of the body, if it was removed.
  Task<absl::StatusOr<std::optional<uint64_t>>> SweepBody(BodyId body);
  // Whether the mailbox names a body, or is letting it go.
  Task<absl::StatusOr<bool>> Names(uint64_t mailbox, BodyId body);
  // Has a mailbox let a body go that it does not name; false: there is no such mailbox.
  Task<absl::StatusOr<bool>> LetGo(uint64_t mailbox, BodyId body);
  Task<absl::Status> SweepFilling(PartitionId id, std::shared_ptr<const Judged> judged);
  Task<absl::Status> SweepShards();
  // Names of objects that begin so.
  Task<absl::StatusOr<std::vector<std::string>>> ListObjects(Pool* pool, std::string prefix);
  void ExpireLater();
  Task<absl::StatusOr<bool>> ClaimExpiry();
  Task<absl::Status> Expire();
  Task<absl::Status> ExpireOutcomes(std::string object);

  // --- checks ----------------------------------------------------------------------

  Task<absl::StatusOr<engine::Repairs>> VerifyTask(bool repair, std::function<void(uint64_t)> progress);
  Task<absl::Status> Recount(uint64_t mailbox);
  struct Scrubbing;
  class EntryScan;
  // The last one is this, unless a later one is known here; of the store's object.
  void NoteScrub(const stored::ScrubRecord::Result& result);
  void NoteScrubOf(const ObjectRead& store);
  Task<absl::Status> ScrubTask(std::shared_ptr<Scrubbing> scrubbing);
  Task<absl::Status> ScrubMailbox(std::shared_ptr<Scrubbing> scrubbing, uint64_t mailbox);
  // What is wrong with the body of an entry; with a body of several mailboxes in the first
  // of them only.
  using Damages = std::vector<engine::Damage>;
  Task<absl::StatusOr<Damages>> ScrubBody(std::shared_ptr<Scrubbing> scrubbing, uint64_t mailbox,
                                          BodyId body);
  // All messages of these mailboxes that name a body.
  Task<absl::StatusOr<std::vector<std::pair<uint64_t, uint64_t>>>> NamersOf(BodyId body,
                                                                            std::set<uint64_t> mailboxes);
  // What is wrong with a partition's shards, a line each.
  Task<absl::StatusOr<std::vector<std::string>>> LostShards(PartitionId id);

  const Options options_;
  const Clock* const clock_;
  const int64_t start_us_;
  std::unique_ptr<Hints> hints_;  // Null: none are told. Before the cluster, which it outlives.
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<Pool> index_, body_pool_;
  std::unique_ptr<Later> later_;
  std::unique_ptr<Bodies> bodies_;
  std::unique_ptr<ClusterRoom> room_;

  Deadlines deadlines_;
  uint64_t incarnation_ = 0;
  std::atomic<uint64_t> store_time_base_{0};
  std::atomic<uint64_t> next_number_{1};
  std::atomic<int64_t> last_beat_us_{0};  // When one that succeeded began; steady.
  // Since when life signs have succeeded without a pause; steady.
  std::atomic<int64_t> answered_since_us_{0};
  uint64_t beat_ = 0;
  std::atomic<bool> closing_{false};
  std::atomic<uint64_t> domains_{0};
  std::atomic<int64_t> stored_bytes_{0};  // By this store, less what it has removed.
  std::atomic<uint64_t> runs_swept_{0}, spills_{0};
  std::atomic<bool> scrubbing_{false};

  absl::Mutex tasks_mutex_;
  int64_t tasks_ ABSL_GUARDED_BY(tasks_mutex_) = 0;
  SteadyCondition tasks_ended_;

  RecentKeys directory_keys_{kRecent_us, kRecentKeys};
  absl::Mutex partitions_mutex_;
  absl::flat_hash_map<PartitionId, std::shared_ptr<Partition>> partitions_ ABSL_GUARDED_BY(partitions_mutex_);

  // Nothing is posted to a partition while this is held: steps take it.
  mutable absl::Mutex mutex_;
  engine::Ledger disk_ ABSL_GUARDED_BY(mutex_);  // Knows transactions and the disk only.
  absl::flat_hash_map<TransactionId, Transaction> transactions_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<TransactionId> handed_over_ ABSL_GUARDED_BY(mutex_);
  // Partitions that this store lets spill, or could not let spill a moment ago.
  absl::flat_hash_set<PartitionId> spilling_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> shelves_ ABSL_GUARDED_BY(mutex_);
  // By domain.
  absl::flat_hash_map<uint64_t, Surveys> surveys_ ABSL_GUARDED_BY(mutex_);
  // Mailboxes whose bodies are being let go, and whether there are more since.
  absl::flat_hash_map<uint64_t, bool> dropping_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Seen> seen_ ABSL_GUARDED_BY(mutex_);
  void ForgetSeen(int64_t now_us) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::flat_hash_map<uint64_t, Gauge> gauges_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> listener_ ABSL_GUARDED_BY(mutex_);
  uint64_t told_events_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<engine::ScrubResult> last_scrub_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> missed_recorded_{false};
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_ENGINE_IMPL_H_
