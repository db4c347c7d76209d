// Room in mailboxes: reserved, grown, confirmed, given back.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_asking.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 32;

absl::Status NotOpen(const TransactionId& id) {
  return absl::FailedPreconditionError(absl::StrCat("transaction ", id.ToString(), " is not open"));
}

}  // namespace

void RadosEngine::Open(TransactionId transaction, uint64_t disk_bytes,
                       Done<absl::StatusOr<OpenResult>> done) {
  RunWithin<absl::StatusOr<OpenResult>>(OpenTask(transaction, disk_bytes), std::move(done),
                                        [this, transaction](absl::StatusOr<OpenResult> late) {
                                          // Nobody knows of it.
                                          if (late.ok() && std::holds_alternative<engine::Opened>(*late))
                                            Close(transaction);
                                        });
}

Task<absl::StatusOr<OpenResult>> RadosEngine::OpenTask(TransactionId id, uint64_t disk_bytes) {
  CO_RETURN_IF_ERROR(Promising());
  CO_ASSIGN_OR_RETURN(const std::optional<stored::Outcome> outcome, co_await ReadOutcome(id));
  if (outcome) {
    auto shared = std::make_shared<const stored::Outcome>(*outcome);
    if (!shared->receipt().committed()) co_return OpenResult(shared->receipt());
    CO_ASSIGN_OR_RETURN(stored::Receipt receipt, co_await Finish(id, std::move(shared)));
    co_return OpenResult(std::move(receipt));
  }
  absl::MutexLock lock(&mutex_);
  CO_RETURN_IF_ERROR(MeasureDisk());
  auto opened = disk_.Open(id, disk_bytes);
  if (std::holds_alternative<engine::Opened>(opened)) {
    Transaction& transaction = transactions_[id];
    transaction = Transaction();
    transaction.attempt = NewNumber();
  }
  co_return std::visit([](auto&& result) -> OpenResult { return result; }, std::move(opened));
}

void RadosEngine::Reserve(TransactionId transaction, uint64_t mailbox, Demand demand,
                          Done<absl::StatusOr<ReserveResult>> done) {
  RunWithin<absl::StatusOr<ReserveResult>>(ReserveTask(transaction, mailbox, demand), std::move(done));
}

Task<absl::StatusOr<ReserveResult>> RadosEngine::ReserveTask(TransactionId id, uint64_t mailbox,
                                                             Demand demand) {
  CO_RETURN_IF_ERROR(Promising());
  auto asking = std::make_shared<Asking>();
  asking->transaction = id;
  asking->mailbox = mailbox;
  asking->bytes = demand.bytes;
  asking->at_least = std::min(demand.at_least, demand.bytes);
  asking->exempt = demand.exempt;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.committing) co_return NotOpen(id);
    asking->attempt = it->second.attempt;
    asking->first = it->second.holds.count(mailbox) == 0;
  }
  absl::StatusOr<ReserveResult> result = co_await Ask(asking);
  options_.at("reserved");
  if (!result.ok() || !std::holds_alternative<engine::Granted>(*result)) co_return result;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it != transactions_.end() && it->second.attempt == asking->attempt && !it->second.committing) {
      Hold& hold = it->second.holds[mailbox];
      // An answer that comes late finds what was confirmed and extended meanwhile: that stays so.
      const bool firm = hold.held && hold.firm, firm_written = firm && hold.firm_written;
      hold = {.bytes = std::max(hold.held ? hold.bytes : 0, std::get<engine::Granted>(*result).bytes),
              .exempt = demand.exempt,
              .held = true,
              .firm = firm,
              .firm_written = firm_written,
              .made_us = clock_->MonotonicMicros(),
              .order = NewNumber()};
      co_return result;
    }
  }
  // It was closed meanwhile.
  PostRelease(id, asking->attempt, mailbox);
  co_return NotOpen(id);
}

void RadosEngine::Check(uint64_t mailbox, Demand demand, Done<absl::StatusOr<ReserveResult>> done) {
  RunWithin<absl::StatusOr<ReserveResult>>(CheckTask(mailbox, demand), std::move(done));
}

Task<absl::StatusOr<ReserveResult>> RadosEngine::CheckTask(uint64_t mailbox, Demand demand) {
  CO_RETURN_IF_ERROR(Promising());
  auto asking = std::make_shared<Asking>();
  asking->mailbox = mailbox;
  asking->bytes = demand.bytes;
  asking->at_least = std::min(demand.at_least, demand.bytes);
  asking->exempt = demand.exempt;
  absl::StatusOr<ReserveResult> result = co_await Ask(asking);
  if (result.ok() && demand.exempt) co_return ReserveResult(engine::Granted{demand.bytes});
  co_return result;
}

void RadosEngine::Confirm(TransactionId transaction, Done<absl::StatusOr<Confirmed>> done) {
  RunWithin<absl::StatusOr<Confirmed>>(ConfirmTask(transaction), std::move(done));
}

Task<absl::StatusOr<Confirmed>> RadosEngine::ConfirmTask(TransactionId id) {
  CO_RETURN_IF_ERROR(Promising());
  Confirmed confirmed;
  std::vector<std::shared_ptr<Asking>> unsure;  // Lost, or so old that they may be by now.
  bool firm_later = false;
  uint64_t attempt = 0;
  std::map<uint64_t, Hold> released;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.committing) co_return NotOpen(id);
    CO_ASSIGN_OR_RETURN(Confirmed disk, disk_.Confirm(id));
    confirmed.disk = disk.disk;
    if (confirmed.disk) {
      attempt = it->second.attempt;
      released.swap(it->second.holds);
    } else {
      it->second.confirmed = true;
    }
    const int64_t now = clock_->MonotonicMicros();
    for (auto& [mailbox, hold] : it->second.holds) {
      if (hold.firm) continue;
      if (hold.held && now - hold.made_us < options_.rules.soft_after_us / 3) {
        hold.firm = true;
        firm_later = true;
        continue;
      }
      auto asking = std::make_shared<Asking>();
      asking->transaction = id;
      asking->attempt = it->second.attempt;
      asking->mailbox = mailbox;
      asking->bytes = asking->at_least = hold.bytes;
      asking->exempt = hold.exempt;
      asking->firm = asking->confirming = true;
      asking->another_delivery = false;
      unsure.push_back(std::move(asking));
    }
  }
  for (const auto& [mailbox, hold] : released) PostRelease(id, attempt, mailbox);
  if (firm_later) WriteFirmLater(id);
  for (const std::shared_ptr<Asking>& asking : unsure) {
    absl::StatusOr<ReserveResult> result = co_await Ask(asking);
    if (result.ok() && !asking->has_own) {
      // Another store that has taken it has settled the transaction.
      CO_ASSIGN_OR_RETURN(const std::optional<stored::Outcome> outcome, co_await ReadOutcome(id));
      if (outcome) co_return TakenAway(id);
    }
    std::optional<Shortage> lost;
    if (absl::IsNotFound(result.status())) {
      lost = Shortage{.scope = Shortage::Scope::kMailbox, .needed = asking->bytes};
    } else if (!result.ok()) {
      co_return result.status();
    } else if (const auto* shortage = std::get_if<Shortage>(&*result)) {
      lost = *shortage;
    }
    const bool open = WithHold(id, asking->attempt, asking->mailbox,
                               [&](Hold& hold) { hold.held = hold.firm = hold.firm_written = !lost; });
    if (!open) {
      PostRelease(id, asking->attempt, asking->mailbox);
      co_return NotOpen(id);
    }
    if (!lost) continue;
    confirmed.lost.push_back({.mailbox = asking->mailbox, .shortage = *lost});
    Release(id, asking->mailbox);
  }
  co_return confirmed;
}

bool RadosEngine::WithHold(const TransactionId& id, uint64_t attempt, uint64_t mailbox,
                           absl::FunctionRef<void(Hold&)> change) {
  absl::MutexLock lock(&mutex_);
  const auto it = transactions_.find(id);
  if (it == transactions_.end() || it->second.attempt != attempt || it->second.committing) return false;
  const auto hold = it->second.holds.find(mailbox);
  if (hold == it->second.holds.end()) return false;
  change(hold->second);
  return true;
}

void RadosEngine::WriteFirmLater(const TransactionId& id) {
  // Others take it after `soft_after`, at the earliest, and never before this is written.
  BeginTask();
  later_->After(absl::Microseconds(options_.rules.soft_after_us / 3), [this, id] {
    if (!closing_) RunAlone(WriteFirm(id));
    EndTask();
  });
}

Task<absl::Status> RadosEngine::WriteFirm(TransactionId id) {
  std::vector<uint64_t> mailboxes;
  uint64_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.committing) co_return absl::OkStatus();
    attempt = it->second.attempt;
    for (const auto& [mailbox, hold] : it->second.holds) {
      if (hold.held && hold.firm && !hold.firm_written) mailboxes.push_back(mailbox);
    }
  }
  for (const uint64_t mailbox : mailboxes) {
    Step step;
    step.frees = true;
    step.run = [id, attempt](Draft& draft) {
      const std::string key = ReservationKey(id);
      if (!draft.Has(key)) return false;
      stored::Reservation reservation;
      const std::string* const value = draft.Find(key);
      if (value == nullptr || !reservation.ParseFromString(*value) || reservation.attempt() != attempt)
        return true;
      reservation.set_firm(true);
      draft.Put(key, reservation.SerializeAsString());
      return true;
    };
    CO_RETURN_IF_ERROR(co_await MailboxOf(mailbox)->Post(std::move(step)));
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end()) co_return absl::OkStatus();
    const auto hold = it->second.holds.find(mailbox);
    if (hold != it->second.holds.end()) hold->second.firm_written = true;
  }
  co_return absl::OkStatus();
}

void RadosEngine::Extend(TransactionId transaction, uint64_t bytes, Done<absl::StatusOr<Extended>> done) {
  RunWithin<absl::StatusOr<Extended>>(ExtendTask(transaction, bytes), std::move(done));
}

Task<absl::StatusOr<Extended>> RadosEngine::ExtendTask(TransactionId id, uint64_t bytes) {
  Extended extended;
  std::vector<std::shared_ptr<Asking>> all;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.committing) co_return NotOpen(id);
    CO_ASSIGN_OR_RETURN(Extended disk, disk_.Extend(id, bytes));
    extended.disk = disk.disk;
    if (extended.disk) co_return extended;
    for (const auto& [mailbox, hold] : it->second.holds) {
      if (!hold.held || hold.bytes >= bytes) continue;
      auto asking = std::make_shared<Asking>();
      asking->transaction = id;
      asking->attempt = it->second.attempt;
      asking->mailbox = mailbox;
      asking->bytes = asking->at_least = bytes;
      asking->exempt = hold.exempt;
      asking->firm = hold.firm;
      asking->grace = asking->only_growing = true;
      asking->another_message = asking->another_delivery = false;
      all.push_back(std::move(asking));
    }
  }
  using Answer = absl::StatusOr<ReserveResult>;
  std::function<Task<std::optional<Answer>>(size_t)> ask = [this, &all](size_t i) {
    return [](RadosEngine* engine, std::shared_ptr<Asking> asking) -> Task<std::optional<Answer>> {
      Answer answer = co_await engine->Ask(std::move(asking));
      co_return std::optional<Answer>(std::move(answer));
    }(this, all[i]);
  };
  const std::vector<std::optional<Answer>> answers =
      co_await Gather<std::optional<Answer>>(all.size(), kWidth, std::move(ask));
  for (size_t i = 0; i < all.size(); ++i) {
    const uint64_t mailbox = all[i]->mailbox;
    if (absl::IsNotFound(answers[i]->status())) {
      extended.lost.push_back(
          {.mailbox = mailbox, .shortage = {.scope = Shortage::Scope::kMailbox, .needed = bytes}});
      continue;
    }
    if (!answers[i]->ok()) co_return answers[i]->status();
    if (const auto* shortage = std::get_if<Shortage>(&**answers[i])) {
      extended.lost.push_back({.mailbox = mailbox, .shortage = *shortage});
      continue;
    }
    const bool open = WithHold(id, all[i]->attempt, mailbox, [&](Hold& hold) {
      hold.bytes = std::max(hold.bytes, std::get<engine::Granted>(**answers[i]).bytes);
      if (hold.firm) hold.firm_written = true;
    });
    if (!open) PostRelease(id, all[i]->attempt, mailbox);
  }
  co_return extended;
}

// --- giving back -------------------------------------------------------------------

bool RadosEngine::EraseReservation(const TransactionId& id, uint64_t attempt, Draft& draft) {
  const std::string key = ReservationKey(id);
  if (!draft.Has(key)) return false;
  stored::Reservation reservation;
  const std::string* const value = draft.Find(key);
  if (value == nullptr || !reservation.ParseFromString(*value) || reservation.attempt() != attempt)
    return true;
  stored::PartitionTail& tail = draft.state().tail;
  tail.set_reserved_bytes(tail.reserved_bytes() - std::min(tail.reserved_bytes(), reservation.bytes()));
  tail.set_reservations(tail.reservations() - std::min<uint64_t>(tail.reservations(), 1));
  draft.Erase(key);
  return true;
}

void RadosEngine::PostRelease(const TransactionId& id, uint64_t attempt, uint64_t mailbox) {
  Step step;
  step.frees = true;
  step.run = [id, attempt](Draft& draft) { return EraseReservation(id, attempt, draft); };
  BeginTask();
  MailboxOf(mailbox)->Post(std::move(step), [this](const absl::Status&) { EndTask(); });
}

void RadosEngine::LoseHold(const TransactionId& id, uint64_t mailbox) {
  absl::MutexLock lock(&mutex_);
  const auto it = transactions_.find(id);
  if (it == transactions_.end()) return;
  const auto hold = it->second.holds.find(mailbox);
  if (hold == it->second.holds.end()) return;
  hold->second.held = hold->second.firm = hold->second.firm_written = false;
}

void RadosEngine::Release(TransactionId id, uint64_t mailbox) {
  uint64_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.committing || it->second.holds.erase(mailbox) == 0) return;
    attempt = it->second.attempt;
  }
  PostRelease(id, attempt, mailbox);
}

void RadosEngine::Close(TransactionId id) {
  Transaction transaction;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.committing) return;
    transaction = std::move(it->second);
    transactions_.erase(it);
    disk_.Close(id);
  }
  for (const auto& [mailbox, hold] : transaction.holds) PostRelease(id, transaction.attempt, mailbox);
}

}  // namespace restante::rados
