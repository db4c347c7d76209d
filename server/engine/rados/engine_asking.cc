// Who gets room in a mailbox: a question is put to its state until there is an answer that
// no grant of its domain and no reservation of the dead changes.
#include "server/engine/rados/engine_asking.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr int kRounds = 100;

absl::Status NoSuchMailbox(uint64_t mailbox) {
  return absl::NotFoundError(absl::StrCat("mailbox partition ", mailbox, ": no such mailbox"));
}

bool IsAlive(const PartitionState& state) {
  return state.exists && state.head.has_mailbox() &&
         state.head.mailbox().state() != stored::MailboxHead::DELETED;
}

}  // namespace

absl::Status TakenAway(const TransactionId& id) {
  return absl::UnavailableError(
      absl::StrCat("transaction ", id.ToString(), " was idle for too long: its room was given to another"));
}

std::optional<RadosEngine::Silence> RadosEngine::TakeableSince(const TransactionId& id,
                                                               const stored::Reservation& reservation,
                                                               uint64_t mailbox) {
  const int64_t now = clock_->MonotonicMicros();
  absl::MutexLock lock(&mutex_);
  if (reservation.incarnation() == incarnation_) {
    const auto it = transactions_.find(id);
    if (it == transactions_.end() || it->second.attempt != reservation.attempt())
      return Silence();  // Left behind.
    const auto hold = it->second.holds.find(mailbox);
    // (Without a hold it is being made, or released.)
    if (it->second.committing || hold == it->second.holds.end() || hold->second.firm) return std::nullopt;
    if (now - hold->second.made_us < options_.rules.soft_after_us) return std::nullopt;
    return Silence{hold->second.made_us, hold->second.order};
  }
  if (reservation.firm()) return std::nullopt;
  if (reservation.taken()) return Silence();
  // Another store's: as long as this one has seen it, by its own clock.
  ForgetSeen(now);
  Seen& seen = seen_[absl::StrCat(mailbox, "/", id.ToString())];
  const std::string value = reservation.SerializeAsString();
  if (seen.value != value) seen = {.value = value, .since_us = now};
  if (now - seen.since_us < options_.rules.soft_after_us) return std::nullopt;
  return Silence{seen.since_us, 0};
}

bool RadosEngine::IsOpenHere(const TransactionId& id, const stored::Reservation& reservation) {
  absl::MutexLock lock(&mutex_);
  const auto it = transactions_.find(id);
  return it != transactions_.end() && it->second.attempt == reservation.attempt();
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
    if (!(asking.first ? draft.ExpectNone(own_key) : draft.Has(own_key))) return false;
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
    // What is held is known from this store's own writes, and no write proves it here.
    if (!draft.IsFresh()) return false;
    asking.result = engine::Granted{own.bytes()};
    return true;
  }

  // Nothing is taken back: an answer that comes late finds what was confirmed and extended.
  const uint64_t bytes = std::max(asking.bytes, own.bytes());
  asking.least = std::max(asking.at_least, own.bytes());
  uint64_t reserved = state.tail.reserved_bytes() - own.bytes();
  uint64_t messages = state.tail.reservations() - (has_own ? 1 : 0);
  const uint64_t grace = asking.grace ? std::min(options_.rules.grace_bytes, quota::kUnlimited) : 0;
  static const stored::Limit kInherit;
  const stored::DomainHead* const domain = asking.domain ? &*asking.domain : nullptr;
  uint64_t granted = bytes;
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
      all.push_back(
          {{.limit = limit, .used = head.used_bytes(), .reserved = reserved, .grace = grace}, asking.least});
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
      const auto untaken = scopes();
      std::vector<std::pair<TransactionId, stored::Reservation>> others;
      for (const auto& [key, value] : draft.All(kReservationPrefix)) {
        stored::Reservation reservation;
        const auto id = TransactionOfKey(key);
        if (!id || key == own_key || !reservation.ParseFromString(value)) continue;
        others.emplace_back(*id, reservation);
      }
      std::vector<std::pair<Silence, size_t>> silent;  // Since when, and its place in `others`.
      for (size_t i = 0; i < others.size(); ++i) {
        const auto since = TakeableSince(others[i].first, others[i].second, asking.mailbox);
        if (since) silent.emplace_back(*since, i);
      }
      // Oldest first, and no more than are needed.
      std::sort(silent.begin(), silent.end());
      for (const auto& [since, i] : silent) {
        if (!shortage() || first->second.full_without_reservations) break;
        const auto& [id, reservation] = others[i];
        takes.emplace_back(id, reservation);
        reserved -= std::min(reserved, reservation.bytes());
        messages -= 1;
      }
      if (const auto last = shortage()) {
        for (const auto& [id, reservation] : others) {
          if (reservation.incarnation() != incarnation_) asking.foreign.emplace_back(id, reservation);
        }
        // The refusal names what cannot be had whatever is taken, with the figures as they are.
        const auto& [scope, needed] = untaken[last->first];
        if (asking.another_delivery && last->first == 0) {
          asking.result = engine::TooManyDeliveries{options_.rules.deliveries_per_mailbox};
        } else {
          asking.result = quota::Lacks(scope, needed).value_or(last->second);
        }
        return true;
      }
      // Another store may be committing what it holds here, and of one of this store's that
      // ended without an answer nobody knows: the transaction is settled first. Before that
      // the reservation is marked, so that it is confirmed no more.
      for (auto& [id, reservation] : takes) {
        if (!asking.transaction || IsOpenHere(id, reservation)) continue;
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
    const uint64_t least = Add(before, asking.exempt ? granted : std::min(asking.least, granted));
    const bool bounded = domain->max_bytes().kind() == stored::Limit::VALUE;
    asking.own_bytes = own.bytes();
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
  reservation.set_firm(asking.firm || (has_own && own.firm()));
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
        CO_RETURN_IF_ERROR((co_await SurveyPool(asking->domain_number, 0)).status());
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
      shortage->needed = asking->least;
      shortage->full_without_reservations =
          Add(shortage->used, shortage->needed) > Add(shortage->limit, asking->raise->grace);
      if (!shortage->full_without_reservations) {
        const uint64_t sum = Add(Add(shortage->used, shortage->reserved), shortage->needed);
        const uint64_t bound = Add(shortage->limit, asking->raise->grace);
        if (sum <= bound) continue;  // Somebody has given back meanwhile.
        const uint64_t lacking = sum - bound;
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

}  // namespace restante::rados
