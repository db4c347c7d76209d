// Who was promised what: the reservations of an engine whose reservations live
// in its process, and the figures that they are checked against.
//
// An engine tells the ledger every head as it is *applied* (decided, perhaps not
// yet durable) and how full its disk is; the ledger answers for promises by
// the arithmetic of mail/quota. It does no I/O. Not thread-safe: an engine calls
// it under its own lock.
//
// Promise 3 in one place: no call makes used + reserved exceed limit + grace in
// any scope, but for exempt demands and limits that were lowered later.
#ifndef RESTANTE_SERVER_ENGINE_LEDGER_H_
#define RESTANTE_SERVER_ENGINE_LEDGER_H_

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"

namespace restante::engine {

class Ledger {
 public:
  Ledger(QuotaRules rules, const Clock* clock);
  ~Ledger();

  // --- what is stored (applied heads) ---------------------------------------

  // Adds or replaces. Sums of the domain follow. A mailbox whose domain is not
  // known counts as in a domain without bounds.
  void PutMailbox(uint64_t number, const stored::MailboxHead& head);
  void PutDomain(uint64_t number, const stored::DomainHead& head);
  // Its reservations are released; transactions that held them lose them.
  void EraseMailbox(uint64_t number);
  void EraseDomain(uint64_t number);

  struct DomainSums {
    uint64_t used_bytes = 0, used_messages = 0, mailboxes = 0;
    Reserved reserved;
  };
  DomainSums SumsOf(uint64_t domain) const;
  Reserved ReservedIn(uint64_t mailbox) const;

  // --- the disk ----------------------------------------------------------------

  // What the engine measured: what it may occupy in all, and occupies. Crosses
  // the watermarks: full from used >= limit on, until used <= 99 % of limit; and
  // full while it is `blocked` for another reason. Returns whether `full` changed.
  bool SetDisk(uint64_t limit, uint64_t used, bool blocked = false);
  // read_only is not set here.
  Capacity capacity() const;

  // --- transactions; results as the functions of Engine of the same name ---------

  std::variant<Opened, Shortage, InUse> Open(TransactionId transaction, uint64_t disk_bytes);
  absl::StatusOr<ReserveResult> Reserve(TransactionId transaction, uint64_t mailbox, const Demand& demand);
  absl::StatusOr<ReserveResult> Check(uint64_t mailbox, const Demand& demand) const;
  absl::StatusOr<Confirmed> Confirm(TransactionId transaction);
  absl::StatusOr<Extended> Extend(TransactionId transaction, uint64_t bytes);
  void Release(TransactionId transaction, uint64_t mailbox);
  // Without effect on a transaction that is committing.
  void Close(TransactionId transaction);

  enum class State { kNone, kOpen, kCommitting };
  State StateOf(TransactionId transaction) const;

  // The transaction becomes *committing*: it must be open and confirmed and hold
  // at least `size` in each of `mailboxes` (kFailedPrecondition, unchanged). Its
  // mailbox reservations are gone when this returns: the caller applies heads
  // that contain the message under the same lock. The disk's stays until EndCommit.
  absl::Status StartCommit(TransactionId transaction, uint64_t size, const std::vector<uint64_t>& mailboxes);
  void EndCommit(TransactionId transaction);

  size_t open_transactions() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_LEDGER_H_
