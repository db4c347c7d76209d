// What this store takes over from another one, and tells one that takes over from it.
#include <algorithm>
#include <cerrno>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/house.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 64;
constexpr uint64_t kRowsAtOnce = 1000;
constexpr char kNext[] = "next";

}  // namespace

// --- bodies that come along ----------------------------------------------------------

void RadosEngine::UpdateWith(std::vector<std::unique_ptr<engine::StagedBody>> bodies, PartitionId partition,
                             std::vector<std::string> keys, engine::UpdateFn fn, Done<absl::Status> done) {
  Brought brought;
  for (const std::unique_ptr<engine::StagedBody>& body : bodies) {
    auto* const staged = dynamic_cast<RadosBody*>(body.get());
    if (staged == nullptr) {
      return std::move(done)(absl::InvalidArgumentError("an update with a body of another engine"));
    }
    brought[staged->id()] = staged->parts();
  }
  const auto update = [](RadosEngine* engine, PartitionId id, std::vector<std::string> asked,
                         engine::UpdateFn change, Brought with) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(co_await engine->UpdateTask(id, std::move(asked), std::move(change), std::move(with)));
    if (id.kind != PartitionId::Kind::kMailbox) co_return absl::OkStatus();
    // What came was charged elsewhere: the domain counts it whether there is room or not.
    int64_t since_us;
    const std::optional<PartitionState> state = engine->PartitionOf(id)->Cached(&since_us);
    if (!state || !state->exists) co_return absl::OkStatus();
    const stored::MailboxHead& head = state->head.mailbox();
    const uint64_t needed = head.used_bytes() + state->tail.reserved_bytes();
    if (head.domain() == 0 || state->tail.grant().bytes() >= needed) co_return absl::OkStatus();
    Raise raise;
    raise.domain = head.domain();
    raise.mailbox = id.number;
    raise.least = raise.wanted = needed;
    raise.forced = true;
    co_return (co_await engine->RaiseGrant(raise)).status();
  };
  Run<absl::Status>(update(this, partition, std::move(keys), std::move(fn), std::move(brought)),
                    std::move(done));
}

// --- receipts ------------------------------------------------------------------------

void RadosEngine::ReadReceipts(std::string from, size_t limit,
                               Done<absl::StatusOr<engine::ReceiptPage>> done) {
  Run<absl::StatusOr<engine::ReceiptPage>>(ReadReceiptsTask(std::move(from), limit), std::move(done));
}

// A place is the number of an object, and the last key that was read there.
Task<absl::StatusOr<engine::ReceiptPage>> RadosEngine::ReadReceiptsTask(std::string from, size_t limit) {
  engine::ReceiptPage page;
  int object = 0;
  std::string after;
  if (!from.empty()) {
    if (from.size() < 4 || !absl::SimpleAtoi(from.substr(0, 4), &object)) {
      co_return absl::InvalidArgumentError("no place among the receipts");
    }
    after = from.substr(4);
  }
  for (; object < kOutcomeObjects; ++object, after.clear()) {
    bool more = true;
    while (more) {
      if (page.receipts.size() >= limit) {
        page.next = absl::StrCat(absl::Dec(object, absl::kZeroPad4), after);
        co_return page;
      }
      ReadOp op = index_->NewRead();
      op.OmapAfter(after, "", std::min<uint64_t>(kRowsAtOnce, limit - page.receipts.size()));
      const ObjectRead read = co_await index_->Read(OutcomeObject(object), std::move(op));
      if (read.result == -ENOENT) break;
      if (read.result < 0) co_return ToStatus(read.result, OutcomeObject(object));
      for (const auto& [key, value] : read.rows) {
        after = key;
        stored::Outcome outcome;
        const std::optional<TransactionId> id = TransactionId::Parse(key);
        if (!id || !outcome.ParseFromString(value)) {
          co_return absl::DataLossError(absl::StrCat("the outcome of transaction ", key, " is damaged"));
        }
        if (StoreTime() >= outcome.receipt().store_time_s() + engine::kReceiptLifetimeSeconds) continue;
        stored::Receipt receipt = outcome.receipt();
        if (receipt.committed()) {
          CO_ASSIGN_OR_RETURN(receipt,
                              co_await Finish(*id, std::make_shared<const stored::Outcome>(outcome)));
        }
        page.receipts.emplace_back(*id, std::move(receipt));
      }
      more = read.more && !read.rows.empty();
    }
  }
  co_return page;
}

// --- inheriting ----------------------------------------------------------------------

void RadosEngine::Inherit(engine::Inheritance inheritance, Done<absl::Status> done) {
  Run<absl::Status>(InheritTask(std::make_shared<engine::Inheritance>(std::move(inheritance))),
                    std::move(done));
}

Task<absl::Status> RadosEngine::InheritTask(std::shared_ptr<engine::Inheritance> inheritance) {
  const uint64_t now = StoreTime();
  store_time_base_ += std::max(now, inheritance->store_time_s) - now;
  CO_RETURN_IF_ERROR(co_await SaveStoreTime());
  // Runs to come have higher numbers than any that was given in the other store.
  const uint64_t run = inheritance->next_number >> kIncarnationShift;
  while (true) {
    ReadOp read_op = index_->NewRead();
    read_op.Xattrs();
    const ObjectRead read = co_await index_->Read(kStoreObject, std::move(read_op));
    if (read.result < 0) co_return ToStatus(read.result, kStoreObject);
    const auto before = read.xattrs.find(kIncarnation);
    const std::string last = before == read.xattrs.end() ? "" : before->second;
    if (FromHex(last).value_or(0) >= run) break;
    WriteOp op = index_->NewWrite();
    op.CompareXattr(kIncarnation, last).SetXattr(kIncarnation, Hex(run));
    const int result = co_await index_->Write(kStoreObject, std::move(op));
    if (result == -ECANCELED) continue;
    if (result < 0) co_return ToStatus(result, kStoreObject);
  }
  CO_RETURN_IF_ERROR(co_await InheritReceipts(inheritance));
  co_return co_await InheritEvents(inheritance);
}

// As outcomes that have left nothing to be done.
Task<absl::Status> RadosEngine::InheritReceipts(std::shared_ptr<engine::Inheritance> inheritance) {
  std::map<std::string, Rows> objects;
  for (const auto& [id, receipt] : inheritance->receipts) {
    stored::Outcome outcome;
    *outcome.mutable_receipt() = receipt;
    objects[OutcomeObject(id)].emplace_back(id.ToString(), outcome.SerializeAsString());
  }
  const std::vector<std::pair<std::string, Rows>> all(objects.begin(), objects.end());
  std::function<Task<absl::Status>(size_t)> write = [this, &all](size_t i) {
    return [](Pool* index, const std::string* object, const Rows* rows) -> Task<absl::Status> {
      WriteOp op = index->NewWrite();
      op.Create(/*exclusive=*/false).SetOmap(*rows);
      co_return ToStatus(co_await index->Write(*object, std::move(op)), *object);
    }(index_.get(), &all[i].first, &all[i].second);
  };
  const std::vector<absl::Status> written =
      co_await Gather<absl::Status>(all.size(), kWidth, std::move(write));
  for (const absl::Status& status : written) CO_RETURN_IF_ERROR(status);
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::InheritEvents(std::shared_ptr<engine::Inheritance> inheritance) {
  if (!inheritance->events && inheritance->next_event == 0) co_return absl::OkStatus();
  ReadOp read_op = index_->NewRead();
  read_op.Xattrs();
  const ObjectRead head = co_await index_->Read(kEventsObject, std::move(read_op));
  if (head.result < 0 && head.result != -ENOENT) co_return ToStatus(head.result, kEventsObject);
  const auto before = head.xattrs.find(kNext);
  uint64_t next = before == head.xattrs.end() ? 1 : FromHex(before->second).value_or(1);
  next = std::max(next, inheritance->next_event);
  Rows rows;
  std::vector<std::string> old;
  if (inheritance->events) {
    std::set<std::string> kept;
    for (const stored::Event& event : *inheritance->events) {
      next = std::max(next, event.sequence() + 1);
      stored::LoggedEvent logged;
      *logged.mutable_event() = event;
      logged.set_origin(absl::StrCat("inherited/", event.sequence()));
      rows.emplace_back(Hex(event.sequence()), logged.SerializeAsString());
      kept.insert(rows.back().first);
    }
    CO_ASSIGN_OR_RETURN(const Rows there, co_await AllRows(kEventsObject, ""));
    for (const auto& [key, value] : there) {
      if (kept.count(key) == 0) old.push_back(key);
    }
  }
  for (size_t at = 0; at == 0 || at < rows.size(); at += kRowsAtOnce) {
    const auto begin = rows.begin() + static_cast<ptrdiff_t>(at);
    const Rows some(begin, begin + static_cast<ptrdiff_t>(std::min<size_t>(kRowsAtOnce, rows.size() - at)));
    WriteOp op = index_->NewWrite();
    op.Create(/*exclusive=*/false).SetXattr(kNext, Hex(next)).EraseOmap(old).SetOmap(some);
    const int result = co_await index_->Write(kEventsObject, std::move(op));
    if (result < 0) co_return ToStatus(result, kEventsObject);
    old.clear();
  }
  co_return absl::OkStatus();
}

// --- being alone ---------------------------------------------------------------------

void RadosEngine::BeAlone(Done<absl::Status> done) { Run<absl::Status>(BeAloneTask(), std::move(done)); }

// A run that is enrolled lives as soon as its life sign is seen to change, and is dead and
// swept after if it does not for long enough.
Task<absl::Status> RadosEngine::BeAloneTask() {
  std::map<uint64_t, std::string> first_seen;
  while (!closing_) {
    CO_RETURN_IF_ERROR(co_await SweepTask());
    CO_ASSIGN_OR_RETURN(const Rows runs, co_await AllRows(kStoreObject, kRunPrefix));
    bool alone = true;
    for (const auto& [key, value] : runs) {
      const uint64_t run = NumberOfKey(key).value_or(0);
      if (run == incarnation_) continue;
      alone = false;
      std::string beat;
      CO_RETURN_IF_ERROR((co_await IsDead(run, &beat)).status());
      const auto [seen, is_new] = first_seen.emplace(run, beat);
      if (!is_new && seen->second != beat) {
        co_return absl::UnavailableError(
            absl::StrCat("another store is running on it (run ", run, "); stop it first"));
      }
    }
    if (alone) co_return absl::OkStatus();
    co_await later_->Sleep(absl::Seconds(1));
  }
  co_return absl::CancelledError("the store is being closed");
}

Task<absl::StatusOr<stored::House>> RadosEngine::ReadHouse() {
  std::vector<std::string> keys(1, engine::kHouseKey);
  CO_ASSIGN_OR_RETURN(const engine::ReadResult read,
                      co_await ReadTask(PartitionId::Directory(), std::move(keys)));
  stored::House house;
  const auto it = read.values.find(engine::kHouseKey);
  if (it != read.values.end() && !house.ParseFromString(it->second)) {
    co_return absl::DataLossError("the directory's key `h` is damaged");
  }
  co_return house;
}

}  // namespace restante::rados
