// Room in mailboxes: asked for, taken from others, grown, confirmed, given back.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr size_t kWidth = 32;
constexpr int kRounds = 100;

uint64_t Add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

absl::Status NotOpen(const TransactionId& id) {
  return absl::FailedPreconditionError(absl::StrCat("transaction ", id.ToString(), " is not open"));
}
absl::Status NoSuchMailbox(uint64_t mailbox) {
  return absl::NotFoundError(absl::StrCat("mailbox partition ", mailbox, ": no such mailbox"));
}

absl::Status TakenAway(const TransactionId& id) {
  return absl::UnavailableError(
      absl::StrCat("transaction ", id.ToString(), " was idle for too long: its room was given to another"));
}

bool IsAlive(const PartitionState& state) {
  return state.exists && state.head.has_mailbox() &&
         state.head.mailbox().state() != stored::MailboxHead::DELETED;
}

}  // namespace

// What is asked of a mailbox, and what its state says to it.
struct RadosEngine::Asking {
  // The question.
  std::optional<TransactionId> transaction;  // None: only asked, nothing is reserved.
  uint64_t attempt = 0;
  uint64_t mailbox = 0;
  uint64_t bytes = 0, at_least = 0;
  bool exempt = false, firm = false;
  bool grace = false;
  bool another_message = true, another_delivery = true;
  bool confirming = false;    // What is held stays as it is, and is firm.
  bool only_growing = false;  // Where nothing is held nothing is asked.
  std::optional<stored::DomainHead> domain;
  uint64_t domain_number = 0;

  // The answer of the last run: one of these.
  std::optional<ReserveResult> result;
  absl::Status status;
  bool other_domain = false;
  std::optional<Raise> raise;
  std::vector<TransactionId> taken;  // Of this store.
  // Reservations of other stores that are being taken.
  std::vector<std::pair<TransactionId, stored::Reservation>> taking;
  // Reservations of other stores that stand in the way.
  std::vector<std::pair<TransactionId, stored::Reservation>> foreign;
  uint64_t own_bytes = 0;
  bool takes_less = false;  // The domain has no more than it gave.
  bool has_own = false;
  bool busy = false;  // The transaction is another store's, or another attempt's.
};

bool RadosEngine::MayBeTaken(const TransactionId& id, const stored::Reservation& reservation,
                             uint64_t mailbox) {
  const int64_t now = clock_->MonotonicMicros();
  absl::MutexLock lock(&mutex_);
  if (reservation.incarnation() == incarnation_) {
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.attempt != reservation.attempt())
      return true;  // Left behind.
    if (it->second.committing) return false;
    const auto hold = it->second.holds.find(mailbox);
    // (Else it is being made, or released.)
    return hold != it->second.holds.end() && !hold->second.firm &&
           now - hold->second.made_us >= options_.rules.soft_after_us;
  }
  if (reservation.firm()) return false;
  if (reservation.taken()) return true;
  // Another store's: as long as this one has seen it, by its own clock.
  Seen& seen = seen_[absl::StrCat(mailbox, "/", id.ToString())];
  const std::string value = reservation.SerializeAsString();
  if (seen.value != value) seen = {.value = value, .since_us = now};
  return now - seen.since_us >= options_.rules.soft_after_us;
}

bool RadosEngine::RunAsking(Asking& asking, Draft& draft) {
  asking.result.reset();
  asking.status = absl::OkStatus();
  asking.other_domain = asking.busy = false;
  asking.raise.reset();
  asking.taken.clear();
  asking.taking.clear();
  asking.foreign.clear();
  asking.has_own = false;
  PartitionState& state = draft.state();
  if (!IsAlive(state)) {
    if (!draft.IsFresh()) return false;
    asking.status = NoSuchMailbox(asking.mailbox);
    return true;
  }
  const stored::MailboxHead& head = state.head.mailbox();
  if (head.domain() != asking.domain_number) {
    asking.other_domain = true;
    return true;
  }

  // What the transaction holds itself counts as if it were not there.
  stored::Reservation own;
  bool has_own = false;
  std::string own_key;
  if (asking.transaction) {
    own_key = ReservationKey(*asking.transaction);
    if (!draft.Has(own_key)) return false;
    if (const std::string* value = draft.Find(own_key)) {
      if (!own.ParseFromString(*value)) {
        asking.status =
            absl::DataLossError(absl::StrCat("mailbox partition ", asking.mailbox, ": reservation of ",
                                             asking.transaction->ToString(), " is damaged"));
        return true;
      }
      if (own.attempt() != asking.attempt) {
        if (!draft.IsFresh()) return false;
        asking.busy = true;
        asking.foreign.emplace_back(*asking.transaction, own);
        return true;
      }
      if (own.taken()) {
        asking.status = TakenAway(*asking.transaction);
        return true;
      }
      has_own = asking.has_own = true;
    }
  }
  if (asking.confirming && has_own) {
    // It is held: nobody asks for room again.
    own.set_firm(true);
    draft.Put(own_key, own.SerializeAsString());
    asking.result = engine::Granted{own.bytes()};
    return true;
  }
  if (asking.only_growing && (!has_own || own.bytes() >= asking.bytes)) {
    asking.result = engine::Granted{own.bytes()};
    return true;
  }

  uint64_t reserved = state.tail.reserved_bytes() - (has_own ? own.bytes() : 0);
  uint64_t messages = state.tail.reservations() - (has_own ? 1 : 0);
  const uint64_t grace = asking.grace ? std::min(options_.rules.grace_bytes, quota::kUnlimited) : 0;
  static const stored::Limit kInherit;
  const stored::DomainHead* const domain = asking.domain ? &*asking.domain : nullptr;
  uint64_t granted = asking.bytes;
  std::vector<std::pair<TransactionId, stored::Reservation>> takes;
  if (!asking.exempt) {
    const uint64_t limit = quota::Effective(head.max_bytes(), domain ? domain->default_bytes() : kInherit,
                                            options_.rules.default_bytes);
    const uint64_t message_limit = quota::Effective(
        head.max_messages(), domain ? domain->default_messages() : kInherit, options_.rules.default_messages);
    const auto scopes = [&] {
      std::vector<std::pair<quota::Scope, uint64_t>> all;
      if (asking.another_delivery) {
        all.push_back(
            {{.counts_messages = true, .limit = options_.rules.deliveries_per_mailbox, .reserved = messages},
             1});
      }
      all.push_back({{.limit = limit, .used = head.used_bytes(), .reserved = reserved, .grace = grace},
                     asking.at_least});
      if (asking.another_message) {
        all.push_back({{.counts_messages = true,
                        .limit = message_limit,
                        .used = head.used_messages(),
                        .reserved = messages},
                       1});
      }
      return all;
    };
    const auto shortage = [&]() -> std::optional<std::pair<size_t, Shortage>> {
      const auto all = scopes();
      for (size_t i = 0; i < all.size(); ++i) {
        if (auto lacks = quota::Lacks(all[i].first, all[i].second)) return std::make_pair(i, *lacks);
      }
      return std::nullopt;
    };
    const auto first = shortage();
    if (first) {
      // A refusal is founded on what is there now, and on who holds it.
      if (!draft.IsFresh() || !draft.HasAll(kReservationPrefix)) return false;
      std::vector<std::pair<TransactionId, stored::Reservation>> others;
      for (const auto& [key, value] : draft.All(kReservationPrefix)) {
        stored::Reservation reservation;
        const auto id = TransactionOfKey(key);
        if (!id || key == own_key || !reservation.ParseFromString(value)) continue;
        others.emplace_back(*id, reservation);
      }
      for (const auto& [id, reservation] : others) {
        if (!shortage() || first->second.full_without_reservations) break;
        if (!MayBeTaken(id, reservation, asking.mailbox)) continue;
        takes.emplace_back(id, reservation);
        reserved -= std::min(reserved, reservation.bytes());
        messages -= 1;
      }
      if (const auto last = shortage()) {
        for (const auto& [id, reservation] : others) {
          if (reservation.incarnation() != incarnation_) asking.foreign.emplace_back(id, reservation);
        }
        const bool deliveries = asking.another_delivery && first->first == 0;
        if (deliveries) asking.result = engine::TooManyDeliveries{options_.rules.deliveries_per_mailbox};
        if (!deliveries) asking.result = first->second;
        return true;
      }
      // Another store may be committing what it holds here: its transaction is settled
      // first, and before that it is told so that it confirms no more.
      for (auto& [id, reservation] : takes) {
        if (!asking.transaction || reservation.incarnation() == incarnation_) continue;
        asking.taking.emplace_back(id, reservation);
        if (reservation.taken()) continue;
        reservation.set_taken(true);
        draft.Put(ReservationKey(id), reservation.SerializeAsString());
      }
      if (!asking.taking.empty()) return true;
    }
    granted = std::min(
        granted,
        quota::Room({.limit = limit, .used = head.used_bytes(), .reserved = reserved, .grace = grace}));
  }

  // And the domain's share of it.
  if (domain != nullptr) {
    const uint64_t before = Add(head.used_bytes(), reserved);
    const uint64_t grant = state.tail.grant().bytes();
    const uint64_t least = Add(before, asking.exempt ? granted : std::min(asking.at_least, granted));
    const bool bounded = domain->max_bytes().kind() == stored::Limit::VALUE;
    asking.own_bytes = has_own ? own.bytes() : 0;
    if (!bounded && !asking.transaction) {
      // Nothing is kept of a question.
    } else if (grant < least || (!asking.takes_less && grant < Add(before, granted))) {
      asking.raise = Raise{.domain = asking.domain_number,
                           .mailbox = asking.mailbox,
                           .least = least,
                           .wanted = Add(before, granted),
                           .grace = grace,
                           .forced = asking.exempt};
      return true;
    } else if (!asking.exempt) {
      granted = std::min(granted, grant - before);
    }
  }
  asking.result = engine::Granted{granted};
  if (!asking.transaction) return true;

  for (const auto& [id, reservation] : takes) {
    draft.Erase(ReservationKey(id));
    asking.taken.push_back(id);
  }
  stored::Reservation reservation;
  reservation.set_attempt(asking.attempt);
  reservation.set_incarnation(incarnation_);
  reservation.set_bytes(granted);
  reservation.set_exempt(asking.exempt);
  reservation.set_firm(asking.firm);
  draft.Put(own_key, reservation.SerializeAsString());
  state.tail.set_reserved_bytes(Add(reserved, granted));
  state.tail.set_reservations(messages + 1);
  return true;
}

Task<absl::StatusOr<ReserveResult>> RadosEngine::Ask(std::shared_ptr<Asking> asking) {
  const std::shared_ptr<Partition> mailbox = MailboxOf(asking->mailbox);
  for (int round = 0; round < kRounds; ++round) {
    if (round == 0 || asking->other_domain) {
      int64_t since;
      std::optional<PartitionState> state = mailbox->Cached(&since);
      if (!state || asking->other_domain) {
        CO_ASSIGN_OR_RETURN(state, co_await mailbox->Read({}, nullptr));
      }
      asking->domain_number = state->head.mailbox().domain();
      CO_ASSIGN_OR_RETURN(asking->domain, co_await DomainOf(asking->domain_number));
      // Where a limit was lowered below what was granted, nothing that is given back may be
      // used again before the domain is asked.
      if (IsOvercommitted(asking->domain_number)) {
        CO_RETURN_IF_ERROR((co_await CallInAll(asking->domain_number, 0)).status());
      }
    }
    Step step;
    step.run = [this, asking](Draft& draft) { return RunAsking(*asking, draft); };
    CO_RETURN_IF_ERROR(co_await mailbox->Post(std::move(step)));
    for (const TransactionId& id : asking->taken) LoseHold(id, asking->mailbox);
    if (!asking->status.ok()) co_return asking->status;
    for (const auto& [id, reservation] : asking->taking) {
      CO_RETURN_IF_ERROR(co_await SettleReservation(id, reservation.attempt(), asking->mailbox));
    }
    if (!asking->taking.empty()) continue;
    if (asking->other_domain) continue;
    if (asking->raise) {
      CO_ASSIGN_OR_RETURN(std::optional<Shortage> shortage, co_await RaiseGrant(*asking->raise));
      asking->takes_less = true;
      if (!shortage) continue;
      // (Its own reservation is not in its way.)
      shortage->reserved -= std::min(shortage->reserved, asking->own_bytes);
      shortage->needed = std::min(asking->at_least, asking->bytes);
      shortage->full_without_reservations =
          Add(shortage->used, shortage->needed) > Add(shortage->limit, asking->raise->grace);
      if (!shortage->full_without_reservations) {
        const uint64_t lacking = Add(Add(shortage->used, shortage->reserved), shortage->needed) -
                                 Add(shortage->limit, asking->raise->grace);
        CO_ASSIGN_OR_RETURN(const bool taken,
                            co_await TakeFromPool(asking->domain_number, lacking, asking->transaction));
        if (taken) continue;
      }
      co_return ReserveResult(*shortage);
    }
    // Nobody is refused for what the dead hold.
    bool settled = false;
    for (const auto& [id, reservation] : asking->foreign) {
      CO_ASSIGN_OR_RETURN(const bool dead, co_await IsDead(reservation.incarnation()));
      if (!dead) continue;
      CO_RETURN_IF_ERROR(co_await SettleReservation(id, reservation.attempt(), asking->mailbox));
      settled = true;
    }
    if (settled) continue;
    if (asking->busy) {
      co_return absl::UnavailableError(
          absl::StrCat("transaction ", asking->transaction->ToString(), " is open elsewhere"));
    }
    co_return *std::move(asking->result);
  }
  co_return absl::UnavailableError(absl::StrCat("mailbox partition ", asking->mailbox, ": no answer after ",
                                                kRounds, " changes by others"));
}

// --- the port ----------------------------------------------------------------------

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
  }
  absl::StatusOr<ReserveResult> result = co_await Ask(asking);
  options_.at("reserved");
  if (!result.ok() || !std::holds_alternative<engine::Granted>(*result)) co_return result;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(id);
    if (it != transactions_.end() && it->second.attempt == asking->attempt && !it->second.committing) {
      it->second.holds[mailbox] = {.bytes = std::get<engine::Granted>(*result).bytes,
                                   .exempt = demand.exempt,
                                   .held = true,
                                   .made_us = clock_->MonotonicMicros()};
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

void RadosEngine::PostRelease(const TransactionId& id, uint64_t attempt, uint64_t mailbox) {
  Step step;
  step.frees = true;
  step.run = [id, attempt](Draft& draft) {
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
  };
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
