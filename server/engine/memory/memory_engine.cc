#include "server/engine/memory/memory_engine.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status_macros.h"
#include "server/engine/commit_entry.h"
#include "server/engine/ledger.h"
#include "server/engine/memory/memory_body.h"
#include "server/engine/thresholds.h"

namespace restante::engine {
namespace {

constexpr uint64_t kLongestRead = 1024 * 1024;

class MemoryEngine : public Engine {
 public:
  explicit MemoryEngine(MemoryOptions options)
      : clock_(options.clock),
        max_disk_(options.max_disk),
        retry_window_s_(options.retry_window_seconds),
        event_retention_s_(options.event_retention_seconds),
        start_us_(clock_->MonotonicMicros()),
        thresholds_(options.rules),
        ledger_(std::move(options.rules), options.clock) {
    ledger_.SetDisk(max_disk_, 0);
    partitions_[PartitionId::Directory()].head.mutable_directory();
  }

  uint64_t NewNumber() override {
    absl::MutexLock lock(&mutex_);
    return next_number_++;
  }

  void Update(PartitionId partition, std::vector<std::string> keys, UpdateFn fn,
              Done<absl::Status> done) override {
    UpdateWith({}, partition, std::move(keys), std::move(fn), std::move(done));
  }

  void UpdateWith(std::vector<std::unique_ptr<StagedBody>> bodies, PartitionId partition,
                  std::vector<std::string> keys, UpdateFn fn, Done<absl::Status> done) override {
    absl::Status status = LockedUpdate(partition, std::move(keys), fn, std::move(bodies));
    TellEvents();
    done(std::move(status));
  }

  void Read(PartitionId partition, std::vector<std::string> keys,
            Done<absl::StatusOr<ReadResult>> done) override {
    done(LockedRead(partition, keys));
  }

  void Scan(PartitionId partition, std::string from, std::string to, size_t limit,
            Done<absl::StatusOr<ScanPage>> done) override {
    done(LockedScan(partition, from, to, limit));
  }

  void ListPartitions(PartitionId::Kind kind, uint64_t after, size_t limit,
                      Done<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>> done) override {
    std::vector<std::pair<uint64_t, stored::Head>> found;
    {
      absl::MutexLock lock(&mutex_);
      for (auto it = partitions_.upper_bound({kind, after});
           it != partitions_.end() && it->first.kind == kind && found.size() < limit; ++it) {
        found.emplace_back(it->first.number, it->second.head);
      }
    }
    done(std::move(found));
  }

  void Open(TransactionId transaction, uint64_t disk_bytes, Done<absl::StatusOr<OpenResult>> done) override {
    done(LockedOpen(transaction, disk_bytes));
  }

  void Reserve(TransactionId transaction, uint64_t mailbox, Demand demand,
               Done<absl::StatusOr<ReserveResult>> done) override {
    done(WithLedger([&](Ledger& ledger) { return ledger.Reserve(transaction, mailbox, demand); }));
  }

  void Check(uint64_t mailbox, Demand demand, Done<absl::StatusOr<ReserveResult>> done) override {
    done(WithLedger([&](Ledger& ledger) { return ledger.Check(mailbox, demand); }));
  }

  void Confirm(TransactionId transaction, Done<absl::StatusOr<Confirmed>> done) override {
    done(WithLedger([&](Ledger& ledger) { return ledger.Confirm(transaction); }));
  }

  void Extend(TransactionId transaction, uint64_t bytes, Done<absl::StatusOr<Extended>> done) override {
    done(WithLedger([&](Ledger& ledger) { return ledger.Extend(transaction, bytes); }));
  }

  void Release(TransactionId transaction, uint64_t mailbox) override {
    absl::MutexLock lock(&mutex_);
    ledger_.Release(transaction, mailbox);
  }

  void Close(TransactionId transaction) override {
    absl::MutexLock lock(&mutex_);
    ledger_.Close(transaction);
  }

  void Commit(CommitRequest request, Done<absl::StatusOr<stored::Receipt>> done) override {
    absl::StatusOr<stored::Receipt> receipt = LockedCommit(std::move(request));
    TellEvents();
    done(std::move(receipt));
  }

  void HandedOver(TransactionId transaction, std::vector<uint64_t>) override {
    absl::MutexLock lock(&mutex_);
    const stored::Receipt* const receipt = FindReceipt(transaction);
    if (receipt == nullptr || receipt->retry_key().empty()) return;
    for (const uint64_t mailbox : MailboxesOf(*receipt)) {
      const auto partition = partitions_.find(PartitionId::Mailbox(mailbox));
      if (partition == partitions_.end()) continue;
      auto& values = partition->second.values;
      const auto it = values.find(OpenReceiptKey(receipt->retry_key()));
      if (it != values.end() && TransactionOf(it->second) == transaction) values.erase(it);
    }
  }

  void Settle(TransactionId transaction, std::vector<uint64_t>,
              Done<absl::StatusOr<stored::Receipt>> done) override {
    done(LockedSettle(transaction));
  }

  std::unique_ptr<BodyWriter> NewBody(std::optional<uint64_t>) override {
    absl::MutexLock lock(&mutex_);
    return std::make_unique<MemoryBodyWriter>(BodyId{next_body_++});
  }

  void ReadBody(BodyId body, uint64_t offset, uint64_t length,
                Done<absl::StatusOr<std::string>> done) override {
    done(LockedReadBody(body, offset, length));
  }

  void ReadEvents(uint64_t after, size_t limit, Done<absl::StatusOr<EventPage>> done) override {
    done(LockedReadEvents(after, limit));
  }

  void OnEvents(std::function<void()> listener) override {
    absl::MutexLock lock(&mutex_);
    listener_ = std::move(listener);
  }

  void ReadReceipts(std::string from, size_t limit, Done<absl::StatusOr<ReceiptPage>> done) override {
    done(LockedReadReceipts(from, limit));
  }

  void Inherit(Inheritance inheritance, Done<absl::Status> done) override {
    {
      absl::MutexLock lock(&mutex_);
      LockedInherit(std::move(inheritance));
    }
    TellEvents();
    done(absl::OkStatus());
  }

  uint64_t store_time_s() override {
    absl::MutexLock lock(&mutex_);
    return StoreTime();
  }

  Capacity GetCapacity() override {
    absl::MutexLock lock(&mutex_);
    return ledger_.capacity();
  }

  bool HasDomains() override {
    absl::MutexLock lock(&mutex_);
    const auto it = partitions_.lower_bound(PartitionId::Domain(0));
    return it != partitions_.end() && it->first.kind == PartitionId::Kind::kDomain;
  }

  void VerifyBodies(std::function<void(uint64_t)> progress,
                    Done<absl::StatusOr<std::vector<std::string>>> done) override {
    uint64_t checked = 0;
    Repairs found = LockedVerify(/*repair=*/false, &checked);
    if (progress) progress(checked);
    done(std::move(found.problems));
  }

  void RepairBodies(std::function<void(uint64_t)> progress, Done<absl::StatusOr<Repairs>> done) override {
    uint64_t checked = 0;
    Repairs repairs = LockedVerify(/*repair=*/true, &checked);
    TellEvents();
    if (progress) progress(checked);
    done(std::move(repairs));
  }

  std::map<std::string, uint64_t> Figures() override {
    absl::MutexLock lock(&mutex_);
    return {{"open_transactions", ledger_.open_transactions()},
            {"bodies", bodies_.size()},
            {"body_bytes", disk_used_},
            {"receipts", receipts_.size()}};
  }

  absl::string_view name() const override { return "memory"; }

 private:
  struct Partition {
    stored::Head head;
    std::map<std::string, std::string> values;
  };
  struct Body {
    std::string octets;
    uint64_t references = 0;
  };

  template <typename Fn>
  std::invoke_result_t<Fn, Ledger&> WithLedger(Fn fn) {
    absl::MutexLock lock(&mutex_);
    return fn(ledger_);
  }

  // --- partitions --------------------------------------------------------------

  absl::Status LockedUpdate(PartitionId id, std::vector<std::string> keys, const UpdateFn& fn,
                            std::vector<std::unique_ptr<StagedBody>> bodies) {
    std::map<BodyId, MemoryBody*> brought;
    for (const std::unique_ptr<StagedBody>& body : bodies) {
      auto* const staged = dynamic_cast<MemoryBody*>(body.get());
      if (staged == nullptr) return absl::InvalidArgumentError("an update with a body of another engine");
      brought[staged->id()] = staged;
    }
    absl::MutexLock lock(&mutex_);
    std::set<std::string> asked(keys.begin(), keys.end());
    while (true) {
      const auto it = partitions_.find(id);
      const bool exists = it != partitions_.end();
      const Values values = exists ? ValuesOf(it->second, asked) : Values();
      ASSIGN_OR_RETURN(const Verdict verdict,
                       fn(View{.head = exists ? &it->second.head : nullptr, .values = values}));
      if (std::holds_alternative<NoChange>(verdict)) return absl::OkStatus();
      if (const auto* change = std::get_if<Change>(&verdict)) return Apply(id, *change, brought);
      const size_t before = asked.size();
      for (const std::string& key : std::get<NeedKeys>(verdict).keys) asked.insert(key);
      // A pure function would ask so for ever.
      if (asked.size() == before) return absl::InternalError("an update asks for keys that it has");
    }
  }

  static Values ValuesOf(const Partition& partition, const std::set<std::string>& keys) {
    Values values;
    for (const std::string& key : keys) {
      if (const auto it = partition.values.find(key); it != partition.values.end()) values.insert(*it);
    }
    return values;
  }

  absl::Status Apply(PartitionId id, const Change& change, const std::map<BodyId, MemoryBody*>& brought)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // Everything is checked before anything changes.
    std::map<BodyId, int64_t> references;
    for (const BodyId body : change.added_bodies) references[body]++;
    for (const BodyId body : change.released_bodies) references[body]--;
    for (const auto& [body, difference] : references) {
      const auto it = bodies_.find(body);
      if (it == bodies_.end() && difference > 0 && brought.count(body) > 0) continue;
      if (it == bodies_.end()) {
        return absl::NotFoundError(absl::StrCat("body ", static_cast<uint64_t>(body), ": no such body"));
      }
      if (difference < 0 && it->second.references < static_cast<uint64_t>(-difference)) {
        return absl::FailedPreconditionError(absl::StrCat("body ", static_cast<uint64_t>(body), ": ",
                                                          -difference, " references released of ",
                                                          it->second.references));
      }
    }
    auto change_values = [&](std::map<std::string, std::string>& values) {
      for (const std::string& key : change.erased) values.erase(key);
      for (const auto& [key, value] : change.puts) values[key] = value;
    };
    const auto existing = partitions_.find(id);
    if (change.erase_partition) {
      if (id.kind == PartitionId::Kind::kDirectory) {
        return absl::FailedPreconditionError("the directory is always there");
      }
      std::map<std::string, std::string> left;
      if (existing != partitions_.end()) left = existing->second.values;
      change_values(left);
      const auto entry = left.lower_bound("m/");
      if (entry != left.end() && EntryUid(entry->first)) {
        return absl::FailedPreconditionError(
            absl::StrCat("mailbox partition ", id.number, " holds entries: it cannot be erased"));
      }
    }

    for (const auto& [body, difference] : references) {
      auto it = bodies_.find(body);
      if (it == bodies_.end()) {
        it = bodies_.emplace(body, Body{.octets = brought.at(body)->Take()}).first;
        disk_used_ += it->second.octets.size();
      }
      it->second.references += difference;
      if (it->second.references == 0) {
        disk_used_ -= it->second.octets.size();
        bodies_.erase(it);
      }
    }
    MeasureDisk();
    if (change.erase_partition) {
      if (id.kind == PartitionId::Kind::kMailbox) ledger_.EraseMailbox(id.number);
      if (id.kind == PartitionId::Kind::kMailbox) thresholds_.EraseMailbox(id.number);
      if (id.kind == PartitionId::Kind::kDomain) ledger_.EraseDomain(id.number);
      if (id.kind == PartitionId::Kind::kDomain) thresholds_.EraseDomain(id.number);
      partitions_.erase(id);
    } else {
      Partition& partition = partitions_[id];
      partition.head = change.head;
      change_values(partition.values);
      if (id.kind == PartitionId::Kind::kMailbox) ledger_.PutMailbox(id.number, change.head.mailbox());
      if (id.kind == PartitionId::Kind::kDomain) ledger_.PutDomain(id.number, change.head.domain());
      TellThresholds(id);
      if (!change.unmeasured) RecordCrossings(id);
    }
    return absl::OkStatus();
  }

  // --- events ------------------------------------------------------------------

  void TellThresholds(PartitionId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const stored::Head& head = partitions_.at(id).head;
    if (id.kind == PartitionId::Kind::kMailbox) thresholds_.PutMailbox(id.number, head.mailbox());
    if (id.kind == PartitionId::Kind::kDomain) thresholds_.PutDomain(id.number, head.domain());
  }

  void RecordCrossings(PartitionId changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const Crossing& crossing : thresholds_.Crossed(changed)) {
      AddEvent(crossing.Apply(&partitions_.at(crossing.partition).head));
      TellThresholds(crossing.partition);
    }
  }

  void MeasureDisk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!ledger_.SetDisk(max_disk_, disk_used_)) return;
    stored::Event event;
    event.mutable_disk()->set_full(ledger_.capacity().full);
    event.mutable_disk()->set_used_bytes(disk_used_);
    event.mutable_disk()->set_limit_bytes(max_disk_);
    AddEvent(std::move(event));
  }

  void AddEvent(stored::Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    event.set_sequence(next_event_++);
    event.set_time_us(clock_->WallMicros());
    event.set_store_time_s(StoreTime());
    events_.push_back(std::move(event));
    untold_events_ = true;
  }

  void TellEvents() {
    std::function<void()> listener;
    {
      absl::MutexLock lock(&mutex_);
      if (std::exchange(untold_events_, false)) listener = listener_;
    }
    if (listener) listener();
  }

  absl::StatusOr<EventPage> LockedReadEvents(uint64_t after, size_t limit) {
    absl::MutexLock lock(&mutex_);
    while (!events_.empty() && events_.front().store_time_s() + event_retention_s_ <= StoreTime()) {
      events_.pop_front();
    }
    EventPage page;
    page.next = next_event_;
    page.oldest = events_.empty() ? next_event_ : events_.front().sequence();
    for (const stored::Event& event : events_) {
      if (page.events.size() == limit) break;
      if (event.sequence() > after) page.events.push_back(event);
    }
    return page;
  }

  absl::StatusOr<ReadResult> LockedRead(PartitionId id, const std::vector<std::string>& keys) {
    absl::MutexLock lock(&mutex_);
    ReadResult result;
    const auto it = partitions_.find(id);
    if (it != partitions_.end()) {
      result.head = it->second.head;
      result.values = ValuesOf(it->second, {keys.begin(), keys.end()});
    }
    if (id.kind == PartitionId::Kind::kMailbox) result.reserved = ledger_.ReservedIn(id.number);
    if (id.kind == PartitionId::Kind::kDomain) {
      const Ledger::DomainSums sums = ledger_.SumsOf(id.number);
      result.reserved = sums.reserved;
      result.used_bytes = sums.used_bytes;
      result.used_messages = sums.used_messages;
      result.mailboxes = sums.mailboxes;
    }
    return result;
  }

  absl::StatusOr<ScanPage> LockedScan(PartitionId id, const std::string& from, const std::string& to,
                                      size_t limit) {
    absl::MutexLock lock(&mutex_);
    ScanPage page;
    const auto partition = partitions_.find(id);
    if (partition == partitions_.end()) return page;
    const auto& values = partition->second.values;
    for (auto it = values.lower_bound(from); it != values.end() && (to.empty() || it->first < to); ++it) {
      if (page.items.size() == limit) {
        page.more = true;
        break;
      }
      page.items.emplace_back(*it);
    }
    return page;
  }

  // --- transactions --------------------------------------------------------------

  uint64_t StoreTime() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return store_time_base_s_ + static_cast<uint64_t>(clock_->MonotonicMicros() - start_us_) / 1'000'000;
  }

  const stored::Receipt* FindReceipt(TransactionId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (!by_age_.empty()) {
      const auto oldest = receipts_.find(by_age_.front());
      if (StoreTime() < oldest->second.store_time_s() + kReceiptLifetimeSeconds) break;
      receipts_.erase(oldest);
      by_age_.pop_front();
    }
    const auto it = receipts_.find(id);
    return it == receipts_.end() ? nullptr : &it->second;
  }

  void KeepReceipt(TransactionId id, const stored::Receipt& receipt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    receipts_[id] = receipt;
    by_age_.push_back(id);
  }

  absl::StatusOr<OpenResult> LockedOpen(TransactionId id, uint64_t disk_bytes) {
    absl::MutexLock lock(&mutex_);
    if (const stored::Receipt* receipt = FindReceipt(id)) return *receipt;
    return std::visit([](auto&& result) -> OpenResult { return result; }, ledger_.Open(id, disk_bytes));
  }

  absl::StatusOr<stored::Receipt> LockedCommit(CommitRequest request) {
    absl::MutexLock lock(&mutex_);
    const TransactionId id = request.transaction;
    auto* const staged = dynamic_cast<MemoryBody*>(request.body.get());
    if (staged == nullptr) {
      ledger_.Close(id);
      return absl::InvalidArgumentError("a commit without a body of this engine");
    }
    std::vector<uint64_t> mailboxes;
    for (const auto& [mailbox, entry] : request.entries) mailboxes.push_back(mailbox);
    if (absl::Status status = ledger_.StartCommit(id, staged->size(), mailboxes); !status.ok()) {
      ledger_.Close(id);
      return status;
    }
    const CommittedBody body{.id = staged->id(), .size = staged->size(), .crc32c = staged->crc32c()};
    absl::flat_hash_map<uint64_t, Placed> placed;
    uint64_t entered = 0;
    for (auto& [mailbox, entry] : request.entries) {
      Partition& partition = partitions_.at(PartitionId::Mailbox(mailbox));
      const std::string open_receipt = OpenReceiptKey(request.retry_key);
      std::optional<Placed> before;
      if (const auto it = partition.values.find(open_receipt); it != partition.values.end()) {
        before = PlacedBefore(&it->second, StoreTime(), retry_window_s_);
      }
      if (!before) {
        before = Placed{.uid = EnterMessage(id, body, partition.head.mutable_mailbox(), &entry)};
        partition.values[EntryKey(before->uid)] = entry.SerializeAsString();
        ledger_.PutMailbox(mailbox, partition.head.mailbox());
        TellThresholds(PartitionId::Mailbox(mailbox));
        if (!request.unmeasured) RecordCrossings(PartitionId::Mailbox(mailbox));
        ++entered;
      }
      if (!request.retry_key.empty()) {
        partition.values[open_receipt] = MakeOpenReceipt(id, *before, StoreTime()).SerializeAsString();
      }
      placed[mailbox] = *std::move(before);
    }
    if (entered > 0) {
      bodies_[body.id] = {.octets = staged->Take(), .references = entered};
      disk_used_ += body.size;
      MeasureDisk();
    }
    request.receipt.set_committed(true);
    request.receipt.set_retry_key(request.retry_key);
    CompleteReceipt(placed, StoreTime(), &request.receipt);
    KeepReceipt(id, request.receipt);
    ledger_.EndCommit(id);
    return std::move(request.receipt);
  }

  absl::StatusOr<stored::Receipt> LockedSettle(TransactionId id) {
    absl::MutexLock lock(&mutex_);
    // No commit is running: they happen under this lock.
    if (const stored::Receipt* receipt = FindReceipt(id)) return *receipt;
    ledger_.Close(id);
    const stored::Receipt tombstone = MakeTombstone(StoreTime());
    KeepReceipt(id, tombstone);
    return tombstone;
  }

  // --- taking over from another store ----------------------------------------------

  // A place is the octets of an id.
  absl::StatusOr<ReceiptPage> LockedReadReceipts(const std::string& from, size_t limit) {
    absl::MutexLock lock(&mutex_);
    FindReceipt({});  // Drops those that are too old.
    std::map<std::string, TransactionId> ids;
    for (const auto& [id, receipt] : receipts_) ids.emplace(id.ToBytes(), id);
    ReceiptPage page;
    for (auto it = ids.lower_bound(from); it != ids.end(); ++it) {
      if (page.receipts.size() == limit) {
        page.next = it->first;
        break;
      }
      page.receipts.emplace_back(it->second, receipts_.at(it->second));
    }
    return page;
  }

  void LockedInherit(Inheritance inheritance) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    store_time_base_s_ += inheritance.store_time_s - std::min(inheritance.store_time_s, StoreTime());
    next_number_ = std::max(next_number_, inheritance.next_number);
    next_body_ = std::max(next_body_, inheritance.next_number);
    for (auto& [id, receipt] : inheritance.receipts) {
      if (receipts_.insert_or_assign(id, std::move(receipt)).second) by_age_.push_back(id);
    }
    std::sort(by_age_.begin(), by_age_.end(),
              [this](const TransactionId& a, const TransactionId& b) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                return receipts_.at(a).store_time_s() < receipts_.at(b).store_time_s();
              });
    if (inheritance.events) {
      events_.assign(inheritance.events->begin(), inheritance.events->end());
      if (!events_.empty()) next_event_ = std::max(next_event_, events_.back().sequence() + 1);
      untold_events_ = true;
    }
    next_event_ = std::max(next_event_, inheritance.next_event);
  }

  // --- bodies --------------------------------------------------------------------

  absl::StatusOr<std::string> LockedReadBody(BodyId id, uint64_t offset, uint64_t length) {
    absl::MutexLock lock(&mutex_);
    if (length > kLongestRead) {
      return absl::InvalidArgumentError(
          absl::StrCat("a range of ", length, " bytes, at most ", kLongestRead, " at once"));
    }
    const auto it = bodies_.find(id);
    if (it == bodies_.end()) {
      return absl::NotFoundError(absl::StrCat("body ", static_cast<uint64_t>(id), ": no such body"));
    }
    const std::string& octets = it->second.octets;
    return octets.substr(std::min<uint64_t>(offset, octets.size()), length);
  }

  Repairs LockedVerify(bool repair, uint64_t* checked) {
    absl::MutexLock lock(&mutex_);
    Repairs repairs;
    std::vector<std::string>& problems = repairs.problems;
    std::map<BodyId, uint64_t> named;
    for (const auto& [id, partition] : partitions_) {
      if (id.kind != PartitionId::Kind::kMailbox) continue;
      for (const auto& [key, value] : partition.values) {
        const std::optional<uint64_t> uid = EntryUid(key);
        if (!uid) continue;
        stored::Entry entry;
        const std::string where = absl::StrCat("mailbox partition ", id.number, " UID ", *uid, ": ");
        if (!entry.ParseFromString(value)) {
          problems.push_back(absl::StrCat(where, "the entry is damaged"));
          continue;
        }
        named[BodyId{entry.body()}]++;
        const auto body = bodies_.find(BodyId{entry.body()});
        if (body == bodies_.end()) {
          problems.push_back(absl::StrCat(where, "body ", entry.body(), " is missing"));
        } else if (body->second.octets.size() != entry.size()) {
          problems.push_back(absl::StrCat(where, entry.size(), " bytes charged, body ", entry.body(), " has ",
                                          body->second.octets.size()));
        }
      }
    }
    for (auto it = bodies_.begin(); it != bodies_.end();) {
      const BodyId id = it->first;
      Body& body = it->second;
      ++*checked;
      const uint64_t references = named[id];
      if (references == body.references) {
        ++it;
        continue;
      }
      problems.push_back(absl::StrCat("body ", static_cast<uint64_t>(id), ": ", body.references,
                                      " references counted, ", references, " entries name it",
                                      repair ? kSetRight : ""));
      if (repair) ++repairs.repaired;
      if (repair) body.references = references;
      if (repair && references == 0) {
        disk_used_ -= body.octets.size();
        it = bodies_.erase(it);
      } else {
        ++it;
      }
    }
    MeasureDisk();
    return repairs;
  }

  const Clock* const clock_;
  const uint64_t max_disk_;
  const uint64_t retry_window_s_;
  const uint64_t event_retention_s_;
  const int64_t start_us_;

  absl::Mutex mutex_;
  Thresholds thresholds_ ABSL_GUARDED_BY(mutex_);
  Ledger ledger_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t store_time_base_s_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_body_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<PartitionId, Partition> partitions_ ABSL_GUARDED_BY(mutex_);
  std::map<BodyId, Body> bodies_ ABSL_GUARDED_BY(mutex_);
  uint64_t disk_used_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<TransactionId, stored::Receipt> receipts_ ABSL_GUARDED_BY(mutex_);
  std::deque<TransactionId> by_age_ ABSL_GUARDED_BY(mutex_);  // Of receipts_, oldest first.
  std::deque<stored::Event> events_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_event_ ABSL_GUARDED_BY(mutex_) = 1;
  bool untold_events_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> listener_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Engine> NewMemoryEngine(MemoryOptions options) {
  return std::make_unique<MemoryEngine>(std::move(options));
}

}  // namespace restante::engine
