// The embedded engine from inside.
//
// Threads: the *log thread* turns what was gathered into groups; the *index
// thread* applies durable groups to LevelDB; one thread calls callbacks; a few do
// what may wait for the disk (pool_); one looks after things once a second. All
// that is decided is decided under mutex_, which is never held across I/O.
//
// Three states of the same keys, by group number:
//   newest (decided) >= durable_ (synced; what readers see) >= applied (in LevelDB).
// keys_ has every version above what LevelDB has, so LevelDB as of an earlier
// moment and keys_ together give any key as of any later one.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_IMPL_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_IMPL_H_

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "server/base/steady_condition.h"
#include "server/engine/embedded/backup.h"
#include "server/engine/embedded/ballasted_files.h"
#include "server/engine/embedded/body_writer.h"
#include "server/engine/embedded/compaction_policy.h"
#include "server/engine/embedded/counting_files.h"
#include "server/engine/embedded/data_dir.h"
#include "server/engine/embedded/disk_room.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/embedded/file_cache.h"
#include "server/engine/embedded/file_remover.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/index_thread.h"
#include "server/engine/embedded/key_table.h"
#include "server/engine/embedded/rebuild.h"
#include "server/engine/embedded/recovery.h"
#include "server/engine/embedded/scrub_thread.h"
#include "server/engine/embedded/segment_writer.h"
#include "server/engine/embedded/thread_pool.h"
#include "server/engine/ledger.h"
#include "server/engine/thresholds.h"

namespace restante::embedded {

using engine::BodyId;
using engine::Done;
using engine::PartitionId;
using engine::TransactionId;

class EmbeddedEngine final : public engine::Engine {
 public:
  static absl::StatusOr<std::unique_ptr<engine::Engine>> Open(Options options);
  ~EmbeddedEngine() override;

  uint64_t NewNumber() override { return bodies_->next_number.fetch_add(1); }
  void Update(PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
              Done<absl::Status> done) override;
  void Read(PartitionId partition, std::vector<std::string> keys,
            Done<absl::StatusOr<engine::ReadResult>> done) override;
  void Scan(PartitionId partition, std::string from, std::string to, size_t limit,
            Done<absl::StatusOr<engine::ScanPage>> done) override;
  void ListPartitions(PartitionId::Kind kind, uint64_t after, size_t limit,
                      Done<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>> done) override;
  void Open(TransactionId transaction, uint64_t disk_bytes,
            Done<absl::StatusOr<engine::OpenResult>> done) override;
  void Reserve(TransactionId transaction, uint64_t mailbox, engine::Demand demand,
               Done<absl::StatusOr<engine::ReserveResult>> done) override;
  void Check(uint64_t mailbox, engine::Demand demand,
             Done<absl::StatusOr<engine::ReserveResult>> done) override;
  void Confirm(TransactionId transaction, Done<absl::StatusOr<engine::Confirmed>> done) override;
  void Extend(TransactionId transaction, uint64_t bytes,
              Done<absl::StatusOr<engine::Extended>> done) override;
  void Release(TransactionId transaction, uint64_t mailbox) override;
  void Close(TransactionId transaction) override;
  void Commit(engine::CommitRequest request, Done<absl::StatusOr<stored::Receipt>> done) override;
  void HandedOver(TransactionId transaction, std::vector<uint64_t> mailboxes) override;
  void Settle(TransactionId transaction, std::vector<uint64_t> mailboxes,
              Done<absl::StatusOr<stored::Receipt>> done) override;
  std::unique_ptr<engine::BodyWriter> NewBody(std::optional<uint64_t> expected) override {
    return NewBodyWriter(bodies_, expected);
  }
  void ReadBody(BodyId body, uint64_t offset, uint64_t length,
                Done<absl::StatusOr<std::string>> done) override;
  void ReadEvents(uint64_t after, size_t limit, Done<absl::StatusOr<engine::EventPage>> done) override;
  void OnEvents(std::function<void()> listener) override;
  void UpdateWith(std::vector<std::unique_ptr<engine::StagedBody>> bodies, PartitionId partition,
                  std::vector<std::string> keys, engine::UpdateFn fn, Done<absl::Status> done) override;
  void ReadReceipts(std::string from, size_t limit, Done<absl::StatusOr<engine::ReceiptPage>> done) override;
  void Inherit(engine::Inheritance inheritance, Done<absl::Status> done) override;
  uint64_t store_time_s() override { return StoreTime(); }
  engine::Capacity GetCapacity() override;
  bool HasDomains() override;
  void VerifyBodies(std::function<void(uint64_t)> progress,
                    Done<absl::StatusOr<std::vector<std::string>>> done) override;
  void RepairBodies(std::function<void(uint64_t)> progress,
                    Done<absl::StatusOr<engine::Repairs>> done) override;
  void Scrub(uint64_t bytes_per_second, engine::UpkeepReport report, Done<absl::Status> done) override;
  std::optional<engine::ScrubResult> LastScrub() override;
  void Backup(engine::BackupOptions options, engine::UpkeepReport report,
              Done<absl::StatusOr<engine::BackupSummary>> done) override;
  std::map<std::string, uint64_t> Figures() override;
  std::map<std::string, Histogram::Values> Histograms() override;
  void Compact(engine::UpkeepReport report, Done<absl::Status> done) override;
  absl::string_view name() const override { return "embedded"; }

 private:
  // Called once: the group is durable, or it is not to be.
  using Waiter = absl::AnyInvocable<void(const absl::Status&)>;
  using SnapshotPtr = std::shared_ptr<const IndexSnapshot>;

  // What becomes the next group.
  struct Gathered {
    Gathered() = default;
    explicit Gathered(uint64_t n) : number(n) {}

    uint64_t number = 0;
    std::vector<std::string> keys;  // Changed; the values are in keys_.
    size_t unhurried = 0;           // Of these: a group need not be written for them alone.
    std::vector<std::unique_ptr<Staged>> bodies;
    std::vector<TransactionId> transactions;  // Committing in it.
    std::vector<uint64_t> dead_files;         // Body files that lose their last reference.
    bool events = false;                      // There are some in it.
  };
  // What the log thread writes.
  struct Sealed {
    Gathered gathered;
    stored::Group group;
    uint64_t bytes = 0;  // Of body records.
  };
  struct UpdateJob;
  struct CommitJob;
  struct SettleJob;
  // Values by index key; nullopt: there is none.
  using OpenReceipts = absl::flat_hash_map<std::string, std::optional<std::string>>;
  struct Sums {
    uint64_t used_bytes = 0, used_messages = 0, mailboxes = 0;
  };

  EmbeddedEngine(Options options, DataDir directory, std::shared_ptr<CountingFiles> counted);
  absl::Status Recover();
  // What the index has when that is done.
  stored::Checkpoint RecoveredTo() const;
  absl::Status RemoveLeftovers();
  absl::Status LoadPinned();
  absl::Status CheckSegments();
  // What the log does not say of the segments; in a store of format 1 a lot.
  absl::Status FindUnlogged();
  void Start();
  // Logs corrections_, and says that the store has the present format.
  absl::Status Upgrade();

  uint64_t StoreTime() const;
  uint64_t ReceiptBucket() const { return StoreTime() / options_.receipt_seconds; }
  void LogLine(LogLevel level, const std::string& text) const;
  void Call(std::vector<absl::AnyInvocable<void()>> callbacks);
  template <typename T>
  void CallOne(Done<T> done, T result) {
    std::vector<absl::AnyInvocable<void()>> callbacks;
    callbacks.push_back(
        [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
    Call(std::move(callbacks));
  }

  // --- deciding (engine_update.cc) ---
  void RunUpdate(std::shared_ptr<UpdateJob> job);
  std::shared_ptr<UpdateJob> StepUpdate(std::shared_ptr<UpdateJob> job);
  void Fetch(UpdateJob& job, const std::vector<std::string>& missing);
  bool Decide(UpdateJob& job, std::vector<std::string>* missing) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Apply(UpdateJob& job, const engine::Change& change, std::vector<std::string>* missing)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has a body that nothing names yet written with the group that names it.
  void Enter(std::unique_ptr<Staged> body, uint32_t references) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sets where a body lies; without references it goes.
  void PutLocation(uint64_t body, const stored::BodyLocation& location) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why nothing may be changed now.
  absl::Status Writable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why no mail may be taken: the same, but that the log has no room is a full disk.
  absl::Status TakesMail() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return absl::IsResourceExhausted(read_only_) ? read_only_ : Writable();
  }
  void Set(absl::string_view key, std::optional<std::string> value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `waiter` is called when `group` is durable, or will not be.
  void WhenDurable(uint64_t group, Waiter waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A reader of LevelDB who will decide by what it found: keys_ keeps all that is
  // newer than the snapshot until EndFetch. Null: the index is being reopened.
  SnapshotPtr BeginFetch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndFetch(uint64_t group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- reading (engine_read.cc); on the pool ---
  absl::StatusOr<stored::BodyLocation> Locate(uint64_t body);
  struct LocatedBody {
    std::shared_ptr<const File> file;
    stored::BodyLocation location;
    std::string path;
  };
  // Where it is now, however often it is moved. kNotFound: no such body (any more).
  absl::StatusOr<LocatedBody> OpenLocated(uint64_t body);
  absl::StatusOr<std::string> ReadLocated(uint64_t body, uint64_t offset, uint64_t length);

  // --- the ledger's view (engine_ledger.cc) ---
  void TellLedger(PartitionId partition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // At the start, when all is durable: tells ledger, thresholds and sums what there is.
  void TellAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `sign`: 1 adds it, -1 takes it out.
  void AddToSums(const stored::MailboxHead& mailbox, int sign) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What a partition was as of one group, and is as of another.
  void SumHead(PartitionId partition, uint64_t before, uint64_t after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the store became full, or has room again: then SayDisk.
  bool TellDisk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SayDisk();
  void DiskMeasured();

  // --- taking over (engine_inherit.cc) ---
  void InheritEvents(std::vector<stored::Event> events) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- events (engine_events.cc) ---
  // What a head is that was decided.
  void TellThresholds(PartitionId partition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts what a decided change of a partition has crossed into the same group.
  void RecordCrossings(PartitionId changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Record(const std::vector<engine::Crossing>& crossings) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What was crossed without a change, before this start.
  void RecordMissed();
  void RecordDisk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddEvent(stored::Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As of a group.
  stored::EventsHead EventsAsOf(uint64_t group) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExpireEvents();

  // --- transactions (engine_transactions.cc) ---
  const std::string* FindReceipt(TransactionId transaction, uint64_t* group) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::optional<stored::Receipt>> FetchReceipt(const IndexSnapshot& snapshot,
                                                              TransactionId transaction) const;
  // False: LevelDB surely has none.
  bool MayHaveReceipt(TransactionId transaction);
  // Opens one that has no receipt.
  absl::StatusOr<engine::OpenResult> Admit(TransactionId transaction, uint64_t disk_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishOpen(TransactionId transaction, uint64_t disk_bytes,
                  absl::StatusOr<std::optional<stored::Receipt>> found, uint64_t epoch,
                  Done<absl::StatusOr<engine::OpenResult>> done);
  void RunSettle(std::shared_ptr<SettleJob> job);

  // --- committing, and open receipts (engine_commit.cc) ---
  void RunCommit(std::shared_ptr<CommitJob> job);
  void EndCommit(TransactionId transaction, std::vector<absl::AnyInvocable<void()>>* callbacks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static absl::Status FetchOpenReceipts(const IndexSnapshot& snapshot, const std::vector<std::string>& keys,
                                        OpenReceipts* fetched);
  // Whether only LevelDB can say what the newest value is.
  bool IsToBeFetched(const std::string& open_receipt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: there is none.
  const std::string* NewestOpenReceipt(const std::string& key, const OpenReceipts& fetched) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<engine::Placed> PlacedBefore(const std::string* open_receipt) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Without a snapshot: whether memory knew enough.
  bool EraseOpenReceipts(TransactionId transaction, const IndexSnapshot* snapshot);
  // Logged with what comes next, or when the disk is looked at again.
  void EraseUnhurried(absl::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    SetUnhurried(key, std::nullopt);
  }
  void SetUnhurried(absl::string_view key, std::optional<std::string> value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How often that happens: eight times in a window.
  uint64_t SweepPeriod() const {
    return StoreTime() / std::max<uint64_t>(1, options_.retry_window_seconds / 8);
  }
  void ExpireOpenReceipts();

  // --- the log thread (engine_log.cc) ---
  void RunLog();
  bool LogHasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // With `roll` in a new segment, however full the present one is.
  void WriteGroup(bool roll);
  uint64_t SegmentLimit();
  // Of the newest version; zero where there are none.
  stored::SegmentFigures FiguresOf(uint64_t segment) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Sealed Seal(LogPosition at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Publish(Sealed sealed, LogPosition end);
  void Fail(Sealed sealed, const absl::Status& cause);
  // Whether the log goes on in a new segment.
  absl::Status BeginSegment();
  void Repaired();

  // --- looking after things (engine_maintenance.cc) ---
  void RunMaintenance();
  void RestoreBallast();
  void ExpireReceipts();
  void RemoveBodyFiles(std::vector<uint64_t> bodies);
  // One that nothing durable names. Any thread.
  void RemoveFile(const std::string& path);

  // --- giving room back (engine_compaction.cc, engine_emptying.cc) ---
  struct Piece;
  struct CompactJob {
    engine::UpkeepReport report;
    Done<absl::Status> done;
  };
  // Octets given back so far and those that were known to be dead; whether to go on.
  using CompactReport = std::function<bool(uint64_t done_bytes, uint64_t total_bytes)>;
  void RunCompaction();
  bool CompactionHasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CompactByRules(CompactionRules rules, const CompactReport& report);
  std::vector<SegmentUse> SegmentUses() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool CountIsDue() const;
  absl::Status CountKeys();
  absl::Status LeaveNewestSegment();
  // `carried`: octets that were written for it.
  absl::Status EmptySegment(uint64_t segment, bool paced, uint64_t* carried);
  absl::Status Breathe(uint64_t bytes);
  absl::Status Carry(uint64_t segment, const File& file, const Piece& piece, uint64_t* bytes);
  absl::StatusOr<std::unique_ptr<Staged>> ReadRecord(const File& file, uint64_t body,
                                                     const stored::BodyLocation& location) const;
  absl::Status DropSegment(uint64_t segment);
  uint64_t IndexDiskBytes() const;
  bool IndexIsStale();
  absl::Status CompactIndex();

  // --- verifying (engine_verify.cc), repairing (engine_repair.cc); on the pool ---
  struct VerifyJob;
  struct Repair;
  absl::StatusOr<engine::Repairs> VerifyNow(bool repair, std::function<void(uint64_t)> progress);
  absl::StatusOr<engine::Repairs> Verify(VerifyJob& job, std::vector<Repair>* repairs);
  // Which of the problems it could set right, durably.
  std::vector<size_t> SetRight(const std::vector<Repair>& repairs);
  absl::StatusOr<std::vector<size_t>> SetNumbersRight(const std::vector<Repair>& repairs);

  // --- scrubbing (engine_scrub.h) ---
  class Scrubbing;
  void StartScrubs();
  void LogDamage(const engine::Damage& damage) const;

  // --- backing up (engine_backup.cc) ---
  absl::StatusOr<engine::BackupSummary> RunBackup(const engine::BackupOptions& options,
                                                  const engine::UpkeepReport& report);
  absl::StatusOr<BackupPlan> PlanBackup();

  const Options options_;
  DataDir directory_;  // Its format may rise in Upgrade.
  // Each layer on the one before: what the store occupies is counted; what meets a
  // full disk gets of the ballast, the log's files, bodies' and the index's each
  // their share.
  const std::shared_ptr<CountingFiles> counted_;
  const std::shared_ptr<Ballast> ballast_;
  const std::shared_ptr<BallastedFiles> files_;
  BallastedFiles index_files_;
  const std::shared_ptr<ThreadPool> pool_;
  const std::shared_ptr<BodyShared> bodies_;
  FileCache open_files_;
  FileRemover remover_;
  DiskRoom disk_;
  int64_t opened_us_ = 0;                     // Monotonic.
  std::atomic<uint64_t> store_time_base_{0};  // At that moment.
  Replayed recovered_;
  int64_t recovery_micros_ = 0;
  Corrections corrections_;  // Of the figures; logged before anything else.
  Index index_;

  mutable absl::Mutex mutex_;
  KeyTable keys_ ABSL_GUARDED_BY(mutex_);
  engine::Thresholds thresholds_ ABSL_GUARDED_BY(mutex_);
  engine::Ledger ledger_ ABSL_GUARDED_BY(mutex_);
  Gathered gathered_ ABSL_GUARDED_BY(mutex_);
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  LogPosition log_end_ ABSL_GUARDED_BY(mutex_);  // Behind that group.
  std::map<uint64_t, std::vector<Waiter>> waiters_ ABSL_GUARDED_BY(mutex_);
  // By domain, over durable heads.
  absl::flat_hash_map<uint64_t, Sums> sums_ ABSL_GUARDED_BY(mutex_);
  // Mailboxes that an update changed, with the last such group, not yet durable.
  absl::flat_hash_map<uint64_t, uint64_t> unsettled_heads_ ABSL_GUARDED_BY(mutex_);
  // Partitions in which an update fetches, and those that were called after it.
  absl::flat_hash_map<PartitionId, std::deque<std::shared_ptr<UpdateJob>>> fetching_ ABSL_GUARDED_BY(mutex_);
  // Being opened: their receipt is looked for. True: settled meanwhile.
  absl::flat_hash_map<TransactionId, bool> opening_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<TransactionId, std::vector<std::shared_ptr<SettleJob>>> settling_
      ABSL_GUARDED_BY(mutex_);
  // Whose commits look for open receipts before they are decided.
  absl::flat_hash_set<TransactionId> fetching_commits_ ABSL_GUARDED_BY(mutex_);
  // Whose open receipts are being looked for, to be erased.
  absl::flat_hash_set<TransactionId> handed_over_ ABSL_GUARDED_BY(mutex_);
  uint64_t inflight_ ABSL_GUARDED_BY(mutex_) = 0;  // Octets being appended.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition stop_;  // stopping_ is set, or there is a compact job.
  bool backing_up_ ABSL_GUARDED_BY(mutex_) = false;

  // Of OnEvents.
  std::function<void()> events_listener_ ABSL_GUARDED_BY(mutex_);

  // The newest snapshot; keys of groups that keys_ may forget when it reaches them.
  SnapshotPtr snapshot_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<uint64_t, std::vector<std::string>>> unforgotten_ ABSL_GUARDED_BY(mutex_);
  std::multiset<uint64_t> fetches_ ABSL_GUARDED_BY(mutex_);

  // Set while the log cannot be written. Its groups are cut off or not known to be.
  absl::Status read_only_ ABSL_GUARDED_BY(mutex_);
  bool try_repair_ ABSL_GUARDED_BY(mutex_) = false;
  // The newest segment is to be left, so that it can be emptied.
  bool roll_ ABSL_GUARDED_BY(mutex_) = false;
  // Neither stored nor not stored, until the log goes on.
  std::vector<Gathered> undecided_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<TransactionId> undecided_ids_ ABSL_GUARDED_BY(mutex_);

  // The log thread's own.
  std::unique_ptr<SegmentWriter> segment_;

  // For Figures and Histograms; what a group made durable, and how long that took.
  Histogram group_commits_{{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}};
  Histogram group_sync_seconds_{
      {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
  std::atomic<uint64_t> groups_written_{0}, commits_{0}, log_bytes_{0}, failed_groups_{0};
  std::atomic<uint64_t> compacted_segments_{0}, compacted_bytes_{0};

  // The maintenance thread's own.
  uint64_t expired_bucket_ = 0;
  uint64_t swept_period_ = 0;
  uint64_t oldest_event_ = 0;    // Whose age is known,
  uint64_t oldest_event_s_ = 0;  // in store time.

  // The compaction thread's own: of closed segments the first group and, as last
  // counted, the octets of keys that live in them; those that could not be emptied.
  std::map<uint64_t, uint64_t> first_groups_, live_key_bytes_;
  std::set<uint64_t> stuck_segments_;
  // All keys and octets when they were counted, and changes_ at that moment
  // (UINT64_MAX: never).
  uint64_t counted_keys_ = 0, counted_bytes_ = 0, counted_changes_ = UINT64_MAX;
  uint64_t index_compacted_at_ = UINT64_MAX;
  absl::Status compaction_trouble_;  // Of the last round in the background.
  // Keys that groups changed since the start.
  std::atomic<uint64_t> changes_{0};
  std::vector<CompactJob> compact_jobs_ ABSL_GUARDED_BY(mutex_);

  std::unique_ptr<IndexThread> index_thread_;
  std::unique_ptr<ScrubThread> scrub_thread_;
  ThreadPool callbacks_{1};
  ThreadPool backup_thread_{1};
  std::thread log_thread_;
  std::thread maintenance_thread_;
  std::thread compaction_thread_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_IMPL_H_
