// Commits and what becomes of transactions.
//
// The commit point of every transaction is one key, its *outcome*, which is created once:
// as committed by the store that has the message, or as a tombstone by whoever settles.
// It names all mailboxes and entries; from it any store can finish what another began, and
// `q/...` in each mailbox says that this has happened there.
#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 64;

std::string KeyOf(const TransactionId& id) { return id.ToString(); }

}  // namespace

Task<absl::StatusOr<std::optional<stored::Outcome>>> RadosEngine::ReadOutcome(TransactionId id) {
  const std::string object = OutcomeObject(id);
  ReadOp op = index_->NewRead();
  op.Omap({KeyOf(id)});
  const ObjectRead read = co_await index_->Read(object, std::move(op));
  if (read.result == -ENOENT) co_return std::nullopt;
  if (read.result < 0) co_return ToStatus(read.result, object);
  const auto it = read.omap.find(KeyOf(id));
  if (it == read.omap.end()) co_return std::nullopt;
  stored::Outcome outcome;
  if (!outcome.ParseFromString(it->second)) {
    co_return absl::DataLossError(absl::StrCat("the outcome of transaction ", id.ToString(), " is damaged"));
  }
  // One that is older than it is kept is as good as gone.
  if (StoreTime() >= outcome.receipt().store_time_s() + engine::kReceiptLifetimeSeconds)
    co_return std::nullopt;
  co_return outcome;
}

Task<absl::Status> RadosEngine::CreateOutcome(TransactionId id, std::string outcome) {
  const std::string object = OutcomeObject(id);
  WriteOp op = index_->NewWrite();
  op.Create(/*exclusive=*/false).CompareOmap(KeyOf(id), "").SetOmap({{KeyOf(id), outcome}});
  // What was promised is written where the cluster is full, too.
  const int result = co_await index_->Write(object, std::move(op), /*frees=*/true);
  if (result != -ECANCELED) co_return ToStatus(result, object);
  // What is there may be only too old to count.
  CO_ASSIGN_OR_RETURN(const std::optional<stored::Outcome> there, co_await ReadOutcome(id));
  if (there)
    co_return absl::AlreadyExistsError(absl::StrCat("transaction ", id.ToString(), " has an outcome"));
  ReadOp read_op = index_->NewRead();
  read_op.Omap({KeyOf(id)});
  const ObjectRead read = co_await index_->Read(object, std::move(read_op));
  const auto old = read.omap.find(KeyOf(id));
  WriteOp again = index_->NewWrite();
  again.CompareOmap(KeyOf(id), old == read.omap.end() ? "" : old->second).SetOmap({{KeyOf(id), outcome}});
  const int second = co_await index_->Write(object, std::move(again), /*frees=*/true);
  if (second == -ECANCELED) {
    co_return absl::AlreadyExistsError(absl::StrCat("transaction ", id.ToString(), " has an outcome"));
  }
  co_return ToStatus(second, object);
}

// --- commit ------------------------------------------------------------------------

void RadosEngine::Commit(CommitRequest request, Done<absl::StatusOr<stored::Receipt>> done) {
  Run<absl::StatusOr<stored::Receipt>>(CommitTask(std::make_shared<CommitRequest>(std::move(request))),
                                       std::move(done));
}

absl::Status RadosEngine::StartCommit(const CommitRequest& request, uint64_t size, uint64_t* attempt) {
  const TransactionId& id = request.transaction;
  const auto lacks = [&](auto... what) {
    return absl::FailedPreconditionError(absl::StrCat("transaction ", id.ToString(), what...));
  };
  absl::MutexLock lock(&mutex_);
  const auto it = transactions_.find(id);
  if (it == transactions_.end() || it->second.committing) return lacks(" is not open");
  absl::flat_hash_set<uint64_t> named;
  for (const auto& [mailbox, entry] : request.entries) {
    if (!named.insert(mailbox).second) return lacks(": mailbox partition ", mailbox, " is named twice");
    const auto hold = it->second.holds.find(mailbox);
    if (hold == it->second.holds.end() || !hold->second.held || !hold->second.firm) {
      return lacks(": no confirmed reservation in mailbox partition ", mailbox);
    }
    if (hold->second.bytes < size) {
      return lacks(": needs ", size, " bytes, ", hold->second.bytes, " reserved in mailbox partition ",
                   mailbox);
    }
  }
  RETURN_IF_ERROR(disk_.StartCommit(id, size, {}));
  it->second.committing = true;
  *attempt = it->second.attempt;
  return absl::OkStatus();
}

void RadosEngine::EndCommit(const TransactionId& id, bool release) {
  Transaction ended;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || !it->second.committing) return;
    ended = std::move(it->second);
    transactions_.erase(it);
    disk_.EndCommit(id);
  }
  if (release) {
    for (const auto& [mailbox, hold] : ended.holds) PostRelease(id, ended.attempt, mailbox);
  }
  for (Done<bool>& waiting : ended.waiting) std::move(waiting)(true);
}

Task<absl::StatusOr<stored::Receipt>> RadosEngine::CommitTask(std::shared_ptr<CommitRequest> request) {
  const TransactionId id = request->transaction;
  auto* const staged = dynamic_cast<RadosBody*>(request->body.get());
  if (staged == nullptr) {
    Close(id);
    co_return absl::InvalidArgumentError("a commit without a body of this engine");
  }
  uint64_t attempt = 0;
  if (absl::Status status = StartCommit(*request, staged->size(), &attempt); !status.ok()) {
    Close(id);
    co_return status;
  }
  const std::shared_ptr<BodyParts> parts = staged->parts();
  std::vector<uint64_t> mailboxes;
  std::set<uint64_t> named;
  auto outcome = std::make_shared<stored::Outcome>();
  for (auto& [mailbox, entry] : request->entries) {
    mailboxes.push_back(mailbox);
    named.insert(mailbox);
    stored::OutcomeEntry& added = *outcome->add_entries();
    added.set_mailbox(mailbox);
    *added.mutable_entry() = std::move(entry);
  }
  // Reservations that are not used go at once.
  std::vector<uint64_t> unused;
  {
    absl::MutexLock lock(&mutex_);
    auto& holds = transactions_.at(id).holds;
    for (const auto& [mailbox, hold] : holds) {
      if (named.count(mailbox) == 0) unused.push_back(mailbox);
    }
    for (const uint64_t mailbox : unused) holds.erase(mailbox);
  }
  for (const uint64_t mailbox : unused) PostRelease(id, attempt, mailbox);

  const bool names_a_body = !mailboxes.empty();
  options_.at("seal");
  if (names_a_body) {
    const absl::Status sealed = co_await bodies_->Seal(parts, id, mailboxes);
    if (!sealed.ok()) {
      EndCommit(id, /*release=*/true);
      if (absl::IsResourceExhausted(sealed)) co_return sealed;
      co_return absl::AbortedError(sealed.message());
    }
  }
  options_.at("sealed");
  outcome->set_attempt(attempt);
  outcome->set_body(static_cast<uint64_t>(parts->id));
  outcome->set_size(staged->size());
  outcome->set_crc32c(staged->crc32c());
  outcome->set_unmeasured(request->unmeasured);
  stored::Receipt& receipt = *outcome->mutable_receipt();
  receipt = std::move(request->receipt);
  receipt.set_committed(true);
  receipt.set_retry_key(request->retry_key);
  receipt.set_store_time_s(StoreTime());

  absl::Status created = co_await CreateOutcome(id, outcome->SerializeAsString());
  if (absl::IsAlreadyExists(created)) {
    // It may be this very one, written twice.
    const auto there = co_await ReadOutcome(id);
    const bool mine =
        there.ok() && *there && (*there)->receipt().committed() && (*there)->attempt() == attempt;
    if (mine || !there.ok()) created = there.status();
  }
  if (!created.ok()) {
    // Whoever was first is right; and without an answer nobody knows.
    if (!absl::IsAlreadyExists(created)) {
      EndCommit(id, /*release=*/false);
      parts->committed = true;
      co_return absl::UnknownError(created.message());
    }
    EndCommit(id, /*release=*/true);
    if (names_a_body) co_await bodies_->Remove(parts->id, PartsOf(parts->written));
    CO_ASSIGN_OR_RETURN(const std::optional<stored::Outcome> first, co_await ReadOutcome(id));
    if (first && first->receipt().committed()) {
      co_return co_await Finish(id, std::make_shared<const stored::Outcome>(*first));
    }
    co_return absl::FailedPreconditionError(
        absl::StrCat("transaction ", id.ToString(), " was settled as aborted"));
  }
  options_.at("committed");
  parts->committed = names_a_body;
  if (names_a_body) stored_bytes_ += static_cast<int64_t>(staged->size());
  absl::StatusOr<stored::Receipt> finished = co_await Finish(id, outcome);
  GetCapacity();
  EndCommit(id, /*release=*/false);
  // It is committed, though perhaps not to be seen everywhere yet.
  if (!finished.ok()) co_return absl::UnknownError(finished.status().message());
  co_return finished;
}

Task<absl::StatusOr<stored::Receipt>> RadosEngine::Finish(TransactionId id,
                                                          std::shared_ptr<const stored::Outcome> outcome) {
  using Result = absl::StatusOr<Placing>;
  std::function<Task<std::optional<Result>>(size_t)> roll = [this, id, outcome](size_t i) {
    return [](RadosEngine* engine, TransactionId transaction, std::shared_ptr<const stored::Outcome> of,
              uint64_t mailbox) -> Task<std::optional<Result>> {
      Result result = co_await engine->RollForward(transaction, std::move(of), mailbox);
      co_return std::optional<Result>(std::move(result));
    }(this, id, outcome, outcome->entries(static_cast<int>(i)).mailbox());
  };
  const std::vector<std::optional<Result>> results = co_await Gather<std::optional<Result>>(
      static_cast<size_t>(outcome->entries_size()), kWidth, std::move(roll));
  absl::flat_hash_map<uint64_t, engine::Placed> placed;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i]->ok()) co_return results[i]->status();
    const Placing& placing = **results[i];
    if (!placing.is_placed) continue;
    placed[outcome->entries(static_cast<int>(i)).mailbox()] = {.uid = placing.placed.uid(),
                                                               .stored_by = placing.placed.stored_by()};
  }
  stored::Receipt receipt = outcome->receipt();
  engine::CompleteReceipt(placed, receipt.store_time_s(), &receipt);
  co_return receipt;
}

Task<absl::StatusOr<Placing>> RadosEngine::RollForward(TransactionId id,
                                                       std::shared_ptr<const stored::Outcome> outcome,
                                                       uint64_t mailbox) {
  auto placing = std::make_shared<Placing>();
  do {
    if (placing->must_know != 0) CO_RETURN_IF_ERROR((co_await DomainOf(placing->must_know)).status());
    Step step;
    step.frees = true;
    step.run = [this, id, outcome, mailbox, placing](Draft& draft) {
      return RunRollForward(id, *outcome, mailbox, draft, placing.get());
    };
    CO_RETURN_IF_ERROR(co_await MailboxOf(mailbox)->Post(std::move(step)));
  } while (placing->must_know != 0);
  options_.at("rolled");
  if (placing->suppressed) DropBodiesLater(mailbox);
  // The mail is there: what cannot be told of it now is told later.
  if (placing->crossed) (co_await LogEvents(PartitionId::Mailbox(mailbox))).IgnoreError();
  if (placing->octets > 0) (co_await NotePool(placing->domain, placing->octets)).IgnoreError();
  co_return *placing;
}

bool RadosEngine::RunRollForward(const TransactionId& id, const stored::Outcome& outcome, uint64_t mailbox,
                                 Draft& draft, Placing* placing) {
  *placing = {};
  const std::string placed_key = PlacedKey(outcome.receipt().store_time_s(), id);
  const std::string reservation_key = ReservationKey(id);
  const std::string& retry_key = outcome.receipt().retry_key();
  const std::string open_receipt_key = retry_key.empty() ? "" : PortKey(engine::OpenReceiptKey(retry_key));
  const std::string reference_key = ReferenceKey(BodyId{outcome.body()});
  if (!draft.Has(reservation_key)) return false;
  stored::Reservation reservation;
  const std::string* const reserved = draft.Find(reservation_key);
  if (reserved == nullptr || !reservation.ParseFromString(*reserved) ||
      reservation.attempt() != outcome.attempt()) {
    if (!draft.Has(placed_key)) return false;
    if (const std::string* value = draft.Find(placed_key)) {
      placing->is_placed = placing->placed.ParseFromString(*value);
      return true;
    }
    // Neither placed nor reserved: the mailbox is another one's since, or going.
    return draft.IsFresh();
  }
  // (Where it is reserved it is not placed: both change in one write.) The text is hardly
  // ever here by another entry, nor the message by an earlier delivery.
  bool known = draft.ExpectNone(reference_key);
  if (!retry_key.empty()) known &= draft.ExpectNone(open_receipt_key);
  if (!known) return false;

  std::optional<engine::Placed> before;
  if (!retry_key.empty()) {
    const std::string* const value = draft.Find(open_receipt_key);
    bool handed_over = false;
    if (value != nullptr) {
      absl::MutexLock lock(&mutex_);
      handed_over = handed_over_.contains(engine::TransactionOf(*value));
    }
    if (!handed_over) {
      before = engine::PlacedBefore(value, outcome.receipt().store_time_s(), options_.retry_window_seconds);
    }
  }
  placing->suppressed = before.has_value();
  PartitionState& state = draft.state();
  std::optional<stored::DomainHead> domain;
  if (!before && !outcome.unmeasured() && !KnowsDomain(state.head.mailbox().domain(), &domain)) {
    placing->must_know = state.head.mailbox().domain();
    return true;
  }
  if (!before) {
    const auto entry_of = std::find_if(outcome.entries().begin(), outcome.entries().end(),
                                       [&](const auto& entry) { return entry.mailbox() == mailbox; });
    stored::Entry entry = entry_of->entry();
    const engine::CommittedBody body{
        .id = BodyId{outcome.body()}, .size = outcome.size(), .crc32c = outcome.crc32c()};
    before = engine::Placed{.uid = engine::EnterMessage(id, body, state.head.mutable_mailbox(), &entry)};
    draft.Put(PortKey(engine::EntryKey(before->uid)), entry.SerializeAsString());
    const std::string* const count = draft.Find(reference_key);
    placing->domain = state.head.mailbox().domain();
    placing->octets = static_cast<int64_t>(outcome.size());
    if (!outcome.unmeasured()) placing->crossed = RecordCrossing(domain, draft);
    draft.Put(reference_key, Hex((count == nullptr ? 0 : FromHex(*count).value_or(0)) + 1));
  } else {
    draft.Put(DroppedKey(BodyId{outcome.body()}), state.seq);
  }
  if (!retry_key.empty()) {
    draft.Put(open_receipt_key,
              engine::MakeOpenReceipt(id, *before, outcome.receipt().store_time_s()).SerializeAsString());
  }
  state.tail.set_reserved_bytes(state.tail.reserved_bytes() -
                                std::min(state.tail.reserved_bytes(), reservation.bytes()));
  state.tail.set_reservations(state.tail.reservations() - std::min<uint64_t>(state.tail.reservations(), 1));
  draft.Erase(reservation_key);
  placing->is_placed = true;
  placing->placed.set_uid(before->uid);
  placing->placed.set_stored_by(before->stored_by);
  draft.Put(placed_key, placing->placed.SerializeAsString());
  return true;
}

Task<absl::Status> RadosEngine::SavePlaced(uint64_t mailbox) {
  CO_ASSIGN_OR_RETURN(const Rows rows,
                      co_await AllRows(PartitionObject(PartitionId::Mailbox(mailbox)), kPlacedPrefix));
  std::function<Task<absl::Status>(size_t)> save = [this, mailbox, &rows](size_t i) {
    stored::Placed placed;
    placed.ParseFromString(rows[i].second);
    return SavePlaced(TransactionOfKey(rows[i].first).value_or(TransactionId()), mailbox, std::move(placed));
  };
  const std::vector<absl::Status> saved = co_await Gather<absl::Status>(rows.size(), kWidth, std::move(save));
  for (const absl::Status& status : saved) CO_RETURN_IF_ERROR(status);
  co_return absl::OkStatus();
}

Task<absl::Status> RadosEngine::SavePlaced(TransactionId id, uint64_t mailbox, stored::Placed placed) {
  const std::string object = OutcomeObject(id);
  while (true) {
    ReadOp read_op = index_->NewRead();
    const std::vector<std::string> keys(1, KeyOf(id));
    read_op.Omap(keys);
    const ObjectRead read = co_await index_->Read(object, std::move(read_op));
    const auto before = read.omap.find(KeyOf(id));
    stored::Outcome outcome;
    // (Too old, or another one's: nobody asks for it.)
    if (read.result == -ENOENT || before == read.omap.end() || !outcome.ParseFromString(before->second)) {
      co_return absl::OkStatus();
    }
    if (read.result < 0) co_return ToStatus(read.result, object);
    for (stored::ReceiptRecipient& recipient : *outcome.mutable_receipt()->mutable_recipients()) {
      if (recipient.mailbox() != mailbox || recipient.outcome() != engine::kOutcomeOk) continue;
      recipient.set_uid(placed.uid());
      recipient.set_stored_by(placed.stored_by());
    }
    Rows after;
    after.emplace_back(KeyOf(id), outcome.SerializeAsString());
    WriteOp op = index_->NewWrite();
    op.CompareOmap(KeyOf(id), before->second).SetOmap(after);
    const int result = co_await index_->Write(object, std::move(op), /*frees=*/true);
    if (result != -ECANCELED) co_return ToStatus(result, object);
  }
}

}  // namespace restante::rados
