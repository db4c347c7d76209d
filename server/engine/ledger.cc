#include "server/engine/ledger.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "server/engine/ledger_accounts.h"
#include "server/mail/quota.h"

namespace restante::engine {
namespace {

// One open or committing transaction. Its share of the disk is, like a Hold,
// *held* or lost, and soft until it is firm.
struct Transaction {
  using List = std::list<Transaction*>;

  bool committing = false;
  uint64_t disk_bytes = 0;  // What was granted; kept when it is lost.
  bool disk_held = false;
  bool disk_firm = false;
  int64_t disk_made_us = 0;
  List::iterator in_disk;  // While held and soft.

  std::map<uint64_t, Hold> holds;  // By mailbox.
};

absl::Status NotOpen(const TransactionId& id) {
  return absl::FailedPreconditionError(absl::StrCat("transaction ", id.ToString(), " is not open"));
}

absl::Status NoSuchMailbox(uint64_t mailbox) {
  return absl::NotFoundError(absl::StrCat("mailbox partition ", mailbox, ": no such mailbox"));
}

}  // namespace

struct Ledger::Impl {
  Impl(QuotaRules r, const Clock* c) : rules(r), clock(c), accounts(std::move(r)) {}

  Transaction* FindOpen(const TransactionId& id) {
    const auto it = transactions.find(id);
    return it == transactions.end() || it->second->committing ? nullptr : it->second.get();
  }

  // --- the disk ----------------------------------------------------------------

  // nullopt if a transaction that holds nothing may hold `needed`, with `taken`
  // taken from others; `own` counts as if it were not there.
  std::optional<Shortage> AskDisk(const Transaction* self, uint64_t needed,
                                  std::vector<Transaction*>* taken) const {
    quota::Scope scope{
        .kind = Shortage::Scope::kDisk,
        .limit = disk_limit,
        .used = disk_used,
        .reserved = disk_reserved - (self != nullptr && self->disk_held ? self->disk_bytes : 0)};
    std::optional<Shortage> shortage = quota::Lacks(scope, needed);
    if (disk_full) {
      // Also where it would fit: full is full until the low watermark.
      if (!shortage) shortage = Shortage{.scope = scope.kind, .limit = scope.limit, .used = scope.used};
      shortage->reserved = scope.reserved;
      shortage->needed = needed;
      shortage->full_without_reservations = true;
    }
    if (!shortage || shortage->full_without_reservations) return shortage;
    const int64_t now = clock->MonotonicMicros();
    for (Transaction* other : disk_soft) {
      if (now - other->disk_made_us < rules.soft_after_us) break;
      if (other == self || other->disk_bytes == 0) continue;
      taken->push_back(other);
      scope.reserved -= other->disk_bytes;
      if (!quota::Lacks(scope, needed)) return std::nullopt;
    }
    taken->clear();
    return shortage;
  }

  void HoldDisk(Transaction& transaction, uint64_t bytes) {
    transaction.disk_bytes = bytes;
    transaction.disk_held = true;
    transaction.disk_firm = false;
    transaction.disk_made_us = clock->MonotonicMicros();
    transaction.in_disk = disk_soft.insert(disk_soft.end(), &transaction);
    disk_reserved += bytes;
  }

  void MakeDiskFirm(Transaction& transaction) {
    if (transaction.disk_firm) return;
    disk_soft.erase(transaction.in_disk);
    transaction.disk_firm = true;
  }

  void LoseDisk(Transaction& transaction) {
    if (!transaction.disk_held) return;
    disk_reserved -= transaction.disk_bytes;
    if (!transaction.disk_firm) disk_soft.erase(transaction.in_disk);
    transaction.disk_held = false;
    transaction.disk_firm = false;
  }

  // --- mailboxes ---------------------------------------------------------------

  LedgerAccounts::Answer Ask(LedgerAccounts::Question question) const {
    question.now_us = clock->MonotonicMicros();
    return accounts.Ask(question);
  }

  void Take(const LedgerAccounts::Way& way) {
    for (Hold* hold : way.taken) accounts.Lose(*hold);
  }

  void LoseAll(Transaction& transaction) {
    for (auto& [mailbox, hold] : transaction.holds) accounts.Lose(hold);
    transaction.holds.clear();
  }

  // Gets a lost reservation back, as large as it was.
  std::optional<Shortage> Regain(Transaction& transaction, Hold& hold) {
    if (!accounts.HasMailbox(hold.mailbox)) {
      return Shortage{.scope = Shortage::Scope::kMailbox, .needed = hold.bytes};
    }
    if (!hold.exempt) {
      // The deliveries were counted when it was made.
      const auto answer = Ask(
          {.mailbox = hold.mailbox, .bytes = hold.bytes, .owner = &transaction, .another_delivery = false});
      if (const auto* shortage = std::get_if<Shortage>(&answer)) return *shortage;
      Take(std::get<LedgerAccounts::Way>(answer));
    }
    accounts.Enter(hold);
    return std::nullopt;
  }

  const QuotaRules rules;
  const Clock* const clock;
  LedgerAccounts accounts;

  uint64_t disk_limit = quota::kUnlimited;
  uint64_t disk_used = 0;
  // Never overflows: each grant kept used + reserved within a limit.
  uint64_t disk_reserved = 0;
  bool disk_full = false;
  Transaction::List disk_soft;  // Oldest first.

  absl::flat_hash_map<TransactionId, std::unique_ptr<Transaction>> transactions;
};

Ledger::Ledger(QuotaRules rules, const Clock* clock) : impl_(new Impl(std::move(rules), clock)) {}
Ledger::~Ledger() = default;

void Ledger::PutMailbox(uint64_t number, const stored::MailboxHead& head) {
  impl_->accounts.PutMailbox(number, head);
}
void Ledger::PutDomain(uint64_t number, const stored::DomainHead& head) {
  impl_->accounts.PutDomain(number, head);
}
void Ledger::EraseMailbox(uint64_t number) { impl_->accounts.EraseMailbox(number); }
void Ledger::EraseDomain(uint64_t number) { impl_->accounts.EraseDomain(number); }

Ledger::DomainSums Ledger::SumsOf(uint64_t domain) const {
  const LedgerAccounts::Sums sums = impl_->accounts.SumsOf(domain);
  return {.used_bytes = sums.used_bytes,
          .used_messages = sums.used_messages,
          .mailboxes = sums.mailboxes,
          .reserved = sums.reserved};
}

Reserved Ledger::ReservedIn(uint64_t mailbox) const { return impl_->accounts.ReservedIn(mailbox); }

bool Ledger::SetDisk(uint64_t limit, uint64_t used, bool blocked) {
  impl_->disk_limit = limit;
  impl_->disk_used = used;
  const bool high = used >= limit || blocked;
  const bool low = !high && absl::uint128(used) * 100 <= absl::uint128(limit) * 99;
  const bool full = high || (impl_->disk_full && !low);
  return std::exchange(impl_->disk_full, full) != full;
}

Capacity Ledger::capacity() const {
  const quota::Scope scope{
      .limit = impl_->disk_limit, .used = impl_->disk_used, .reserved = impl_->disk_reserved};
  return {.limit = impl_->disk_limit,
          .used = impl_->disk_used,
          .reserved = impl_->disk_reserved,
          .available = impl_->disk_full ? 0 : quota::Room(scope),
          .full = impl_->disk_full};
}

std::variant<Opened, Shortage, InUse> Ledger::Open(TransactionId id, uint64_t disk_bytes) {
  if (impl_->transactions.contains(id)) return InUse{};
  std::vector<Transaction*> taken;
  if (auto shortage = impl_->AskDisk(nullptr, disk_bytes, &taken)) return *shortage;
  for (Transaction* other : taken) impl_->LoseDisk(*other);
  auto transaction = std::make_unique<Transaction>();
  impl_->HoldDisk(*transaction, disk_bytes);
  impl_->transactions.emplace(id, std::move(transaction));
  return Opened{};
}

absl::StatusOr<ReserveResult> Ledger::Reserve(TransactionId id, uint64_t mailbox, const Demand& demand) {
  Transaction* const transaction = impl_->FindOpen(id);
  if (transaction == nullptr) return NotOpen(id);
  if (!impl_->accounts.HasMailbox(mailbox)) return NoSuchMailbox(mailbox);
  const auto before = transaction->holds.find(mailbox);
  Hold* const own = before == transaction->holds.end() ? nullptr : &before->second;
  const uint64_t held = own != nullptr && own->held ? own->bytes : 0;
  const bool firm = own != nullptr && own->firm;
  uint64_t bytes = std::max(demand.bytes, held);
  if (!demand.exempt) {
    const auto answer = impl_->Ask({.mailbox = mailbox,
                                    .bytes = std::max(std::min(demand.at_least, demand.bytes), held),
                                    .owner = transaction,
                                    .own = own});
    if (const auto* shortage = std::get_if<Shortage>(&answer)) return *shortage;
    if (const auto* too_many = std::get_if<TooManyDeliveries>(&answer)) return *too_many;
    const auto& way = std::get<LedgerAccounts::Way>(answer);
    impl_->Take(way);
    bytes = std::min(bytes, way.room);
  }
  Hold& hold = transaction->holds[mailbox];
  impl_->accounts.Lose(hold);
  hold = {.owner = transaction,
          .mailbox = mailbox,
          .bytes = bytes,
          .exempt = demand.exempt,
          .firm = firm,
          .made_us = impl_->clock->MonotonicMicros()};
  impl_->accounts.Enter(hold);
  return Granted{.bytes = bytes};
}

absl::StatusOr<ReserveResult> Ledger::Check(uint64_t mailbox, const Demand& demand) const {
  if (!impl_->accounts.HasMailbox(mailbox)) return NoSuchMailbox(mailbox);
  if (demand.exempt) return Granted{.bytes = demand.bytes};
  const auto answer = impl_->Ask({.mailbox = mailbox, .bytes = std::min(demand.at_least, demand.bytes)});
  if (const auto* shortage = std::get_if<Shortage>(&answer)) return *shortage;
  if (const auto* too_many = std::get_if<TooManyDeliveries>(&answer)) return *too_many;
  return Granted{.bytes = std::min(demand.bytes, std::get<LedgerAccounts::Way>(answer).room)};
}

absl::StatusOr<Confirmed> Ledger::Confirm(TransactionId id) {
  Transaction* const transaction = impl_->FindOpen(id);
  if (transaction == nullptr) return NotOpen(id);
  Confirmed result;
  // A disk that became full meanwhile is not promised, even to who asked before.
  if (!transaction->disk_firm && (!transaction->disk_held || impl_->disk_full)) {
    std::vector<Transaction*> taken;
    result.disk = impl_->AskDisk(transaction, transaction->disk_bytes, &taken);
    if (result.disk) {
      impl_->LoseDisk(*transaction);
      impl_->LoseAll(*transaction);
      return result;
    }
    for (Transaction* other : taken) impl_->LoseDisk(*other);
    impl_->HoldDisk(*transaction, transaction->disk_bytes);
  }
  impl_->MakeDiskFirm(*transaction);
  for (auto it = transaction->holds.begin(); it != transaction->holds.end();) {
    Hold& hold = it->second;
    if (!hold.held) {
      if (auto shortage = impl_->Regain(*transaction, hold)) {
        result.lost.push_back({.mailbox = it->first, .shortage = *shortage});
        it = transaction->holds.erase(it);
        continue;
      }
    }
    impl_->accounts.MakeFirm(hold);
    ++it;
  }
  return result;
}

absl::StatusOr<Extended> Ledger::Extend(TransactionId id, uint64_t bytes) {
  Transaction* const transaction = impl_->FindOpen(id);
  if (transaction == nullptr) return NotOpen(id);
  Extended result;
  if (!transaction->disk_held || transaction->disk_bytes < bytes) {
    std::vector<Transaction*> taken;
    result.disk = impl_->AskDisk(transaction, std::max(bytes, transaction->disk_bytes), &taken);
    if (result.disk) return result;
    for (Transaction* other : taken) impl_->LoseDisk(*other);
    if (transaction->disk_held) {
      impl_->disk_reserved += bytes - transaction->disk_bytes;
      transaction->disk_bytes = bytes;
    } else {
      impl_->HoldDisk(*transaction, std::max(bytes, transaction->disk_bytes));
    }
  }
  for (auto& [mailbox, hold] : transaction->holds) {
    if (!hold.held || hold.bytes >= bytes) continue;
    if (!hold.exempt) {
      const auto answer = impl_->Ask({.mailbox = mailbox,
                                      .bytes = bytes,
                                      .owner = transaction,
                                      .own = &hold,
                                      .grace = true,
                                      .another_message = false,
                                      .another_delivery = false});
      if (const auto* shortage = std::get_if<Shortage>(&answer)) {
        result.lost.push_back({.mailbox = mailbox, .shortage = *shortage});
        continue;
      }
      impl_->Take(std::get<LedgerAccounts::Way>(answer));
    }
    impl_->accounts.Grow(hold, bytes);
  }
  return result;
}

void Ledger::Release(TransactionId id, uint64_t mailbox) {
  Transaction* const transaction = impl_->FindOpen(id);
  if (transaction == nullptr) return;
  const auto it = transaction->holds.find(mailbox);
  if (it == transaction->holds.end()) return;
  impl_->accounts.Lose(it->second);
  transaction->holds.erase(it);
}

void Ledger::Close(TransactionId id) {
  Transaction* const transaction = impl_->FindOpen(id);
  if (transaction == nullptr) return;
  impl_->LoseAll(*transaction);
  impl_->LoseDisk(*transaction);
  impl_->transactions.erase(id);
}

Ledger::State Ledger::StateOf(TransactionId id) const {
  const auto it = impl_->transactions.find(id);
  if (it == impl_->transactions.end()) return State::kNone;
  return it->second->committing ? State::kCommitting : State::kOpen;
}

absl::Status Ledger::StartCommit(TransactionId id, uint64_t size, const std::vector<uint64_t>& mailboxes) {
  Transaction* const transaction = impl_->FindOpen(id);
  if (transaction == nullptr) return NotOpen(id);
  auto lacks = [&](auto... what) {
    return absl::FailedPreconditionError(absl::StrCat("transaction ", id.ToString(), ": ", what...));
  };
  if (!transaction->disk_firm) return lacks("no confirmed reservation of the disk");
  if (transaction->disk_bytes < size) {
    return lacks("needs ", size, " bytes, ", transaction->disk_bytes, " reserved of the disk");
  }
  absl::flat_hash_set<uint64_t> named;
  for (const uint64_t mailbox : mailboxes) {
    if (!named.insert(mailbox).second) return lacks("mailbox partition ", mailbox, " is named twice");
    const auto it = transaction->holds.find(mailbox);
    if (it == transaction->holds.end() || !it->second.held || !it->second.firm) {
      return lacks("no confirmed reservation in mailbox partition ", mailbox);
    }
    if (it->second.bytes < size) {
      return lacks("needs ", size, " bytes, ", it->second.bytes, " reserved in mailbox partition ", mailbox);
    }
  }
  impl_->LoseAll(*transaction);
  transaction->committing = true;
  return absl::OkStatus();
}

void Ledger::EndCommit(TransactionId id) {
  const auto it = impl_->transactions.find(id);
  if (it == impl_->transactions.end() || !it->second->committing) return;
  impl_->LoseDisk(*it->second);
  impl_->transactions.erase(it);
}

size_t Ledger::open_transactions() const { return impl_->transactions.size(); }

}  // namespace restante::engine
