// What a domain lets its mailboxes use: each holds a grant, and the sum of them is below
// the domain's limit, whatever happens. So a mailbox decides by itself, and the domain is
// asked only when a grant is used up.
//
//   used + reserved <= grant in the mailbox <= grant in the domain (g/...), always;
//   raised: first in the domain, then in the mailbox; lowered the other way round.
//
// Both places carry a version. The higher one is the later change, and whoever meets it
// takes it over; a crash in between leaves room that nobody uses, never room given twice.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

// What a domain without a limit grants at a time.
constexpr uint64_t kGenerous = uint64_t{64} << 20;
constexpr int kRounds = 200;

stored::Grant GrantOf(const std::string* value) {
  stored::Grant grant;
  if (value != nullptr) grant.ParseFromString(*value);
  return grant;
}

uint64_t LimitOf(const stored::DomainHead& head) {
  return head.max_bytes().kind() == stored::Limit::VALUE
             ? std::min(head.max_bytes().value(), quota::kUnlimited)
             : quota::kUnlimited;
}

// Replaces what is granted to a mailbox.
void SetGrant(uint64_t mailbox, const stored::Grant& before, const stored::Grant& grant, Draft& draft) {
  stored::PartitionTail& tail = draft.state().tail;
  tail.set_granted_bytes(tail.granted_bytes() - std::min(tail.granted_bytes(), before.bytes()));
  tail.set_granted_bytes(Add(tail.granted_bytes(), grant.bytes()));
  draft.Put(GrantKey(mailbox), grant.SerializeAsString());
}

}  // namespace

Task<absl::StatusOr<std::optional<stored::DomainHead>>> RadosEngine::DomainOf(uint64_t domain) {
  if (domain == 0) co_return std::nullopt;
  const std::shared_ptr<Partition> partition = PartitionOf(PartitionId::Domain(domain));
  int64_t since_us;
  std::optional<PartitionState> state = partition->Cached(&since_us);
  if (!state || Clock::System()->MonotonicMicros() - since_us > kRecent_us) {
    Step step;
    step.run = [](Draft& draft) { return draft.IsFresh(); };
    CO_RETURN_IF_ERROR(co_await partition->Post(std::move(step)));
    state = partition->Cached(&since_us);
    if (!state) {
      CO_ASSIGN_OR_RETURN(state, co_await partition->Read({}, nullptr));
    }
  }
  if (!state->exists) co_return std::nullopt;
  co_return state->head.domain();
}

bool RadosEngine::IsOvercommitted(uint64_t domain) {
  if (domain == 0) return false;
  int64_t since_us;
  const std::optional<PartitionState> state = PartitionOf(PartitionId::Domain(domain))->Cached(&since_us);
  return state && state->exists && state->tail.granted_bytes() > LimitOf(state->head.domain());
}

Task<absl::Status> RadosEngine::AddMember(uint64_t domain, uint64_t mailbox, uint64_t bytes) {
  Step step;
  step.run = [mailbox, bytes](Draft& draft) {
    // One that does not exist bounds nothing.
    if (!draft.state().exists) return draft.IsFresh();
    if (!draft.Has(GrantKey(mailbox))) return false;
    stored::Grant grant;
    grant.set_bytes(bytes);
    grant.set_version(1);
    SetGrant(mailbox, GrantOf(draft.Find(GrantKey(mailbox))), grant, draft);
    return true;
  };
  co_return co_await PartitionOf(PartitionId::Domain(domain))->Post(std::move(step));
}

Task<absl::Status> RadosEngine::RemoveMember(uint64_t domain, uint64_t mailbox) {
  Step step;
  step.frees = true;
  step.run = [mailbox](Draft& draft) {
    if (!draft.state().exists) return draft.IsFresh();
    if (!draft.Has(GrantKey(mailbox))) return false;
    const std::string* const value = draft.Find(GrantKey(mailbox));
    if (value == nullptr) return true;
    SetGrant(mailbox, GrantOf(value), stored::Grant(), draft);
    draft.Erase(GrantKey(mailbox));
    return true;
  };
  co_return co_await PartitionOf(PartitionId::Domain(domain))->Post(std::move(step));
}

Task<absl::StatusOr<std::optional<Shortage>>> RadosEngine::RaiseGrant(Raise raise) {
  // All that is wanted first, if need be from the others; then what there is.
  Raise wish = raise;
  if (!raise.forced) wish.least = std::max(raise.least, raise.wanted);
  std::optional<Survey> survey;  // That found nothing, and nothing was granted since.
  for (int round = 0; round < kRounds; ++round) {
    uint64_t granted = 0;
    CO_ASSIGN_OR_RETURN(const std::optional<bool> raised, co_await TryRaise(wish, &granted));
    if (raised && *raised) co_return std::nullopt;
    if (raised) {  // Somebody else changed it meanwhile.
      survey.reset();
      continue;
    }
    if (!survey) {
      CO_ASSIGN_OR_RETURN(survey, co_await SurveyPool(raise.domain, raise.mailbox));
      bool changed = survey->freed > 0;
      if (!changed) {
        // What another store has called in meanwhile may be had as well.
        CO_ASSIGN_OR_RETURN(const PartitionState now,
                            co_await PartitionOf(PartitionId::Domain(raise.domain))->Read({}, nullptr));
        changed = now.tail.granted_bytes() < granted;
      }
      if (changed) {
        survey.reset();
        continue;
      }
      if (std::exchange(wish.least, raise.least) != raise.least) continue;
    }
    // Nobody has more than he needs: the sums say why it is refused.
    const DomainSums& sums = survey->sums;
    CO_ASSIGN_OR_RETURN(const auto head, co_await DomainOf(raise.domain));
    co_return Shortage{.scope = Shortage::Scope::kDomain,
                       .limit = head ? LimitOf(*head) : quota::kUnlimited,
                       .used = sums.used_bytes,
                       .reserved = sums.reserved.bytes};
  }
  co_return absl::UnavailableError(absl::StrCat("domain partition ", raise.domain,
                                                ": its room changes hands too fast, ", kRounds, " times"));
}

Task<absl::StatusOr<std::optional<bool>>> RadosEngine::TryRaise(Raise raise, uint64_t* granted) {
  // What the mailbox believes to have.
  auto believed = std::make_shared<stored::Grant>();
  Step look;
  look.run = [believed](Draft& draft) {
    *believed = draft.state().tail.grant();
    return true;
  };
  const std::shared_ptr<Partition> mailbox = MailboxOf(raise.mailbox);
  CO_RETURN_IF_ERROR(co_await mailbox->Post(std::move(look)));

  struct Found {
    bool short_of = false;
    uint64_t granted = 0;
    bool none = false;  // No such domain.
    stored::Grant grant;
  };
  auto found = std::make_shared<Found>();
  Step give;
  give.run = [raise, believed, found](Draft& draft) {
    *found = {};
    PartitionState& state = draft.state();
    if (!state.exists) {
      found->none = true;
      return draft.IsFresh();
    }
    const std::string key = GrantKey(raise.mailbox);
    if (!draft.Has(key)) return false;
    const stored::Grant before = GrantOf(draft.Find(key));
    stored::Grant grant = before;
    // A lowering that did not come to its end, here or in another store.
    if (grant.version() < believed->version()) grant = *believed;
    const uint64_t limit = LimitOf(state.head.domain());
    const uint64_t others = state.tail.granted_bytes() - std::min(state.tail.granted_bytes(), before.bytes());
    const uint64_t bound = Add(limit, raise.grace);
    const uint64_t room = bound - std::min(bound, others);  // For this mailbox in all.
    if (grant.bytes() < std::max(raise.least, std::min(raise.wanted, room))) {
      if (raise.least > room && !raise.forced) {
        // (A refusal is never founded on what may be old.)
        if (!draft.IsFresh()) return false;
        found->short_of = true;
        found->granted = state.tail.granted_bytes();
        return true;
      }
      const uint64_t free = limit - std::min(limit, others);
      const uint64_t step = limit == quota::kUnlimited ? kGenerous : free / 64;
      uint64_t bytes = std::max(raise.wanted, Add(grant.bytes(), step));
      bytes = std::max(raise.least, std::min(bytes, std::max(room, raise.least)));
      grant.set_bytes(bytes);
      grant.set_version(grant.version() + 1);
    } else if (believed->bytes() < raise.least && grant.version() == believed->version()) {
      // A raising and a lowering met: what the domain counts is right, and told anew.
      grant.set_version(grant.version() + 1);
    }
    if (grant.version() != before.version() || grant.bytes() != before.bytes()) {
      SetGrant(raise.mailbox, before, grant, draft);
    }
    found->grant = grant;
    return true;
  };
  CO_RETURN_IF_ERROR(co_await PartitionOf(PartitionId::Domain(raise.domain))->Post(std::move(give)));
  *granted = found->granted;
  if (found->short_of) co_return std::nullopt;
  options_.at("granted");

  auto taken = std::make_shared<bool>(false);
  Step take;
  take.run = [raise, found, taken](Draft& draft) {
    PartitionState& state = draft.state();
    *taken = false;
    if (!state.exists || state.head.mailbox().domain() != raise.domain) {
      *taken = true;  // The caller will see.
      return draft.IsFresh();
    }
    stored::Grant& grant = *state.tail.mutable_grant();
    if (found->none) {
      grant.set_bytes(quota::kUnlimited);
    } else if (grant.version() < found->grant.version()) {
      grant = found->grant;
    } else {
      *taken = grant.bytes() >= raise.least;
      return *taken || draft.IsFresh();
    }
    draft.Touch();
    *taken = grant.bytes() >= raise.least;
    return true;
  };
  CO_RETURN_IF_ERROR(co_await mailbox->Post(std::move(take)));
  co_return std::optional<bool>(*taken);
}

Task<absl::StatusOr<uint64_t>> RadosEngine::CallIn(uint64_t domain, uint64_t mailbox) {
  struct Found {
    stored::Grant grant;
    uint64_t freed = 0;
    bool gone = false;
  };
  auto found = std::make_shared<Found>();
  // What the domain says must be known to the mailbox before less is.
  std::map<std::string, std::string> values;
  std::vector<std::string> keys(1, GrantKey(mailbox));
  const std::shared_ptr<Partition> of_domain = PartitionOf(PartitionId::Domain(domain));
  CO_ASSIGN_OR_RETURN(const PartitionState state, co_await of_domain->Read(std::move(keys), &values));
  const auto it = values.find(GrantKey(mailbox));
  if (!state.exists || it == values.end()) co_return uint64_t{0};
  const stored::Grant given = GrantOf(&it->second);

  Step lower;
  lower.frees = true;
  lower.run = [given, domain, found](Draft& draft) {
    *found = {};
    PartitionState& mine = draft.state();
    if (!mine.exists || mine.head.mailbox().domain() != domain) {
      found->gone = true;
      return draft.IsFresh();
    }
    stored::Grant& grant = *mine.tail.mutable_grant();
    if (grant.version() < given.version()) grant = given;
    const uint64_t needed = Add(mine.head.mailbox().used_bytes(), mine.tail.reserved_bytes());
    const uint64_t holds = std::max(grant.bytes(), given.version() == grant.version() ? given.bytes() : 0);
    if (holds > needed) {
      found->freed = holds - needed;
      grant.set_bytes(needed);
      grant.set_version(grant.version() + 1);
      draft.Touch();
    } else if (!draft.IsFresh()) {
      return false;
    }
    found->grant = grant;
    return true;
  };
  CO_RETURN_IF_ERROR(co_await MailboxOf(mailbox)->Post(std::move(lower)));
  if (found->gone) {
    // (It may be that it is being created: then it has nothing yet.)
    co_return uint64_t{0};
  }
  options_.at("lowered");
  auto freed = std::make_shared<uint64_t>(0);
  Step take_back;
  take_back.frees = true;
  take_back.run = [mailbox, found, freed](Draft& draft) {
    *freed = 0;
    if (!draft.state().exists) return draft.IsFresh();
    const std::string key = GrantKey(mailbox);
    if (!draft.Has(key)) return false;
    const std::string* const value = draft.Find(key);
    if (value == nullptr) return true;
    const stored::Grant before = GrantOf(value);
    if (before.version() >= found->grant.version()) return true;
    *freed = before.bytes() - std::min(before.bytes(), found->grant.bytes());
    SetGrant(mailbox, before, found->grant, draft);
    return true;
  };
  CO_RETURN_IF_ERROR(co_await of_domain->Post(std::move(take_back)));
  co_return *freed;
}

Task<absl::StatusOr<bool>> RadosEngine::TakeFromPool(uint64_t domain, uint64_t octets,
                                                     std::optional<TransactionId> but) {
  struct Silent {
    int64_t made_us;
    uint64_t mailbox, octets;
    TransactionId id;
    bool operator<(const Silent& other) const { return made_us < other.made_us; }
  };
  std::vector<Silent> silent;
  {
    const int64_t before = clock_->MonotonicMicros() - options_.rules.soft_after_us;
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, transaction] : transactions_) {
      if (transaction.committing || id == but) continue;
      for (const auto& [mailbox, hold] : transaction.holds) {
        if (!hold.held || hold.firm || hold.made_us > before || hold.bytes == 0) continue;
        silent.push_back({.made_us = hold.made_us, .mailbox = mailbox, .octets = hold.bytes, .id = id});
      }
    }
  }
  if (silent.empty()) co_return false;
  CO_ASSIGN_OR_RETURN(const std::vector<Member> members, co_await MembersOf(domain));
  absl::flat_hash_set<uint64_t> pool;
  for (const Member& member : members) pool.insert(member.mailbox);
  silent.erase(std::remove_if(silent.begin(), silent.end(),
                              [&](const Silent& one) { return !pool.contains(one.mailbox); }),
               silent.end());
  std::sort(silent.begin(), silent.end());
  uint64_t sum = 0;
  size_t count = 0;
  while (count < silent.size() && sum < octets) sum = Add(sum, silent[count++].octets);
  if (sum < octets) co_return false;
  for (size_t i = 0; i < count; ++i) {
    const Silent one = silent[i];
    auto taken = std::make_shared<bool>(false);
    Step step;
    step.frees = true;
    step.run = [this, one, taken](Draft& draft) {
      *taken = false;
      const std::string key = ReservationKey(one.id);
      if (!draft.Has(key)) return false;
      stored::Reservation reservation;
      const std::string* const value = draft.Find(key);
      if (value == nullptr || !reservation.ParseFromString(*value) ||
          !TakeableSince(one.id, reservation, one.mailbox)) {
        return true;
      }
      stored::PartitionTail& tail = draft.state().tail;
      tail.set_reserved_bytes(tail.reserved_bytes() - std::min(tail.reserved_bytes(), reservation.bytes()));
      tail.set_reservations(tail.reservations() - std::min<uint64_t>(tail.reservations(), 1));
      draft.Erase(key);
      *taken = true;
      return true;
    };
    CO_RETURN_IF_ERROR(co_await MailboxOf(one.mailbox)->Post(std::move(step)));
    if (*taken) LoseHold(one.id, one.mailbox);
  }
  co_return true;
}

}  // namespace restante::rados
