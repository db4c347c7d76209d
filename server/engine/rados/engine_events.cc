// Thresholds that mailboxes and pools reach or leave, and the log of all events.
//
// A mailbox records its own in the very write that crosses (`e/...`), from where they are
// entered into the log: object `events`, in order, guarded by the number of the next.
// Usage of a pool is in no one place: it is summed when what this store knows to have
// changed could have crossed, and recorded in the domain then.
#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"
#include "server/engine/thresholds.h"

namespace restante::rados {
namespace {

constexpr uint64_t kRowsAtOnce = 1000;
constexpr char kNext[] = "next";
// Events among which one is looked for that a store, gone since, may have logged already.
constexpr uint64_t kLoggedLately = 500;

uint64_t NextIn(const ObjectRead& read) {
  const auto it = read.xattrs.find(kNext);
  return it == read.xattrs.end() ? 1 : FromHex(it->second).value_or(1);
}

}  // namespace

bool RadosEngine::KnowsDomain(uint64_t number, std::optional<stored::DomainHead>* head) {
  if (number == 0) return true;
  int64_t since_us;
  const std::optional<PartitionState> state = PartitionOf(PartitionId::Domain(number))->Cached(&since_us);
  if (!state) return false;
  if (state->exists) *head = state->head.domain();
  return true;
}

bool RadosEngine::RecordCrossing(const std::optional<stored::DomainHead>& domain, Draft& draft) {
  static const stored::Limit kInherit;
  const stored::MailboxHead& head = draft.state().head.mailbox();
  const engine::QuotaRules& rules = options_.rules;
  if (rules.thresholds.empty() || head.state() == stored::MailboxHead::DELETED) return false;
  engine::Crossing crossing;
  crossing.partition = PartitionId::Mailbox(draft.partition().number);
  crossing.max_bytes =
      quota::Effective(head.max_bytes(), domain ? domain->default_bytes() : kInherit, rules.default_bytes);
  crossing.max_messages = quota::Effective(
      head.max_messages(), domain ? domain->default_messages() : kInherit, rules.default_messages);
  crossing.used_bytes = head.used_bytes();
  crossing.used_messages = head.used_messages();
  crossing.previous_percent = head.reached_percent();
  crossing.percent = quota::Threshold(rules.thresholds, rules.threshold_slack, head.reached_percent(),
                                      {{.used = head.used_bytes(), .limit = crossing.max_bytes},
                                       {.used = head.used_messages(), .limit = crossing.max_messages}});
  if (crossing.percent == crossing.previous_percent) return false;
  PutEvent(crossing.Apply(&draft.state().head), draft);
  return true;
}

void RadosEngine::PutEvent(stored::Event event, Draft& draft) {
  event.set_time_us(clock_->WallMicros());
  event.set_store_time_s(StoreTime());
  // The guard's number is no other write's, and ascends.
  for (int i = 0;; ++i) {
    const std::string key = absl::StrCat(kEventPrefix, draft.state().seq.empty() ? Hex(0) : draft.state().seq,
                                         ".", absl::Dec(i, absl::kZeroPad4));
    if (draft.Find(key) != nullptr) continue;
    draft.Put(key, event.SerializeAsString());
    return;
  }
}

// --- the log -----------------------------------------------------------------------

Task<absl::Status> RadosEngine::LogEvents(PartitionId id) {
  const std::shared_ptr<Partition> partition = PartitionOf(id);
  CO_ASSIGN_OR_RETURN(const Rows rows, co_await AllRows(partition->object(), kEventPrefix));
  if (rows.empty()) co_return absl::OkStatus();
  for (const auto& [key, value] : rows) {
    stored::Event event;
    if (!event.ParseFromString(value)) continue;
    CO_RETURN_IF_ERROR(co_await LogEvent(std::move(event), absl::StrCat(partition->object(), "/", key)));
  }
  Step step;
  step.frees = true;
  step.run = [rows](Draft& draft) {
    if (!draft.state().exists) return draft.IsFresh();
    for (const auto& [key, value] : rows) draft.Erase(key);
    return true;
  };
  CO_RETURN_IF_ERROR(co_await partition->Post(std::move(step)));
  TellEvents();
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::LogEvent(stored::Event event, std::string origin) {
  while (true) {
    ReadOp read_op = index_->NewRead();
    read_op.Xattrs();
    const ObjectRead read = co_await index_->Read(kEventsObject, std::move(read_op));
    if (read.result < 0 && read.result != -ENOENT) co_return ToStatus(read.result, kEventsObject);
    const uint64_t next = NextIn(read);
    // It may be there already, by somebody else who finishes the same.
    ReadOp lately_op = index_->NewRead();
    lately_op.OmapAfter(Hex(next > kLoggedLately ? next - kLoggedLately : 0), "", kRowsAtOnce);
    const ObjectRead lately = co_await index_->Read(kEventsObject, std::move(lately_op));
    stored::LoggedEvent logged;
    bool there = false;
    for (const auto& [key, value] : lately.rows) {
      there |= logged.ParseFromString(value) && logged.origin() == origin;
    }
    if (there) co_return absl::OkStatus();
    event.set_sequence(next);
    logged.Clear();
    *logged.mutable_event() = event;
    logged.set_origin(origin);
    Rows rows;
    rows.emplace_back(Hex(next), logged.SerializeAsString());
    WriteOp op = index_->NewWrite();
    // (What is created in the same operation has no attributes to compare.)
    if (read.result == -ENOENT) op.Create(/*exclusive=*/true);
    if (read.result == 0) op.CompareXattr(kNext, Hex(next));
    op.SetXattr(kNext, Hex(next + 1)).SetOmap(rows);
    const int result = co_await index_->Write(kEventsObject, std::move(op), /*frees=*/true);
    if (result == -ECANCELED || result == -EEXIST) continue;
    if (result == 0) Hint(kEventsHint);
    co_return ToStatus(result, kEventsObject);
  }
}

void RadosEngine::ReadEvents(uint64_t after, size_t limit, Done<absl::StatusOr<engine::EventPage>> done) {
  RunWithin<absl::StatusOr<engine::EventPage>>(ReadEventsTask(after, limit), std::move(done));
}

Task<absl::StatusOr<engine::EventPage>> RadosEngine::ReadEventsTask(uint64_t after, size_t limit) {
  while (!missed_recorded_ && !closing_) co_await later_->Sleep(absl::Milliseconds(20));
  engine::EventPage page;
  ReadOp read_op = index_->NewRead();
  read_op.Xattrs();
  const ObjectRead head = co_await index_->Read(kEventsObject, std::move(read_op));
  if (head.result == -ENOENT) co_return page;
  if (head.result < 0) co_return ToStatus(head.result, kEventsObject);
  page.next = page.oldest = NextIn(head);
  // Old ones may still lie there.
  const auto kept = [this](const stored::Event& event) {
    return event.store_time_s() + options_.event_retention_seconds > StoreTime();
  };
  std::string from;
  bool first = true;
  while (true) {
    ReadOp op = index_->NewRead();
    op.OmapAfter(from, "", kRowsAtOnce);
    const ObjectRead read = co_await index_->Read(kEventsObject, std::move(op));
    if (read.result < 0) co_return ToStatus(read.result, kEventsObject);
    for (const auto& [key, value] : read.rows) {
      stored::LoggedEvent logged;
      from = key;
      if (!logged.ParseFromString(value) || !kept(logged.event())) continue;
      const uint64_t sequence = logged.event().sequence();
      if (std::exchange(first, false)) page.oldest = sequence;
      if (sequence <= after) continue;
      if (page.events.size() == limit) co_return page;
      page.next = std::max(page.next, sequence + 1);
      page.events.push_back(std::move(*logged.mutable_event()));
    }
    if (!read.more || read.rows.empty()) co_return page;
    // Those that were asked past need not be read.
    if (!first && after > 0 && after < page.next) from = std::max(from, Hex(after));
  }
}

Task<absl::Status> RadosEngine::ExpireEvents() {
  ReadOp op = index_->NewRead();
  op.OmapAfter("", "", kRowsAtOnce);
  const ObjectRead read = co_await index_->Read(kEventsObject, std::move(op));
  if (read.result == -ENOENT) co_return absl::OkStatus();
  if (read.result < 0) co_return ToStatus(read.result, kEventsObject);
  std::vector<std::string> old;
  for (const auto& [key, value] : read.rows) {
    stored::LoggedEvent logged;
    if (logged.ParseFromString(value) &&
        logged.event().store_time_s() + options_.event_retention_seconds <= StoreTime()) {
      old.push_back(key);
    }
  }
  if (old.empty()) co_return absl::OkStatus();
  WriteOp erase = index_->NewWrite();
  erase.EraseOmap(old);
  co_return ToStatus(co_await index_->Write(kEventsObject, std::move(erase), /*frees=*/true), kEventsObject);
}

void RadosEngine::OnEvents(std::function<void()> listener) {
  absl::MutexLock lock(&mutex_);
  listener_ = std::move(listener);
}

void RadosEngine::TellEvents() {
  std::function<void()> listener;
  {
    absl::MutexLock lock(&mutex_);
    listener = listener_;
  }
  if (listener) listener();
}

Task<absl::Status> RadosEngine::LookForEvents() {
  ReadOp op = index_->NewRead();
  op.Xattrs();
  const ObjectRead read = co_await index_->Read(kEventsObject, std::move(op));
  if (read.result < 0) co_return absl::OkStatus();
  const uint64_t next = NextIn(read);
  bool more;
  {
    absl::MutexLock lock(&mutex_);
    more = std::exchange(told_events_, next) < next;
  }
  if (more) TellEvents();
  co_return absl::OkStatus();
}

// --- the disk ----------------------------------------------------------------------

void RadosEngine::NoteDisk(bool full) {
  // On a thread that holds no lock.
  stored::Event event;
  event.set_time_us(clock_->WallMicros());
  event.set_store_time_s(StoreTime());
  event.mutable_disk()->set_full(full);
  const engine::Capacity capacity = disk_.capacity();
  event.mutable_disk()->set_used_bytes(capacity.used);
  event.mutable_disk()->set_limit_bytes(capacity.limit);
  BeginTask();
  later_->After(absl::ZeroDuration(), [this, event = std::move(event), full]() mutable {
    // Several stores see the same disk, at about the same time.
    const std::string origin = absl::StrCat("disk/", full ? "full" : "room", "/", StoreTime() / 60);
    Run<absl::Status>(LogEvent(std::move(event), origin), [this](const absl::Status&) { TellEvents(); });
    EndTask();
  });
}

}  // namespace restante::rados
