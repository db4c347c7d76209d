// What became of a transaction, for those who ask, and of what its sender knows.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/engine_impl.h"
#include "server/engine/rados/gather.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {

Await<bool> RadosEngine::AwaitCommit(TransactionId id) {
  return Await<bool>([this, id](Await<bool>::Done done) {
    {
      absl::MutexLock lock(&mutex_);
      const auto it = transactions_.find(id);
      if (it != transactions_.end() && it->second.committing) {
        it->second.waiting.push_back(std::move(done));
        return;
      }
    }
    std::move(done)(false);
  });
}

void RadosEngine::Settle(TransactionId transaction, std::vector<uint64_t>,
                         Done<absl::StatusOr<stored::Receipt>> done) {
  Run<absl::StatusOr<stored::Receipt>>(SettleTask(transaction), std::move(done));
}

Task<absl::StatusOr<stored::Receipt>> RadosEngine::SettleTask(TransactionId id) {
  Close(id);
  co_await AwaitCommit(id);
  while (true) {
    CO_ASSIGN_OR_RETURN(const std::optional<stored::Outcome> outcome, co_await ReadOutcome(id));
    if (outcome) {
      if (!outcome->receipt().committed()) co_return outcome->receipt();
      co_return co_await Finish(id, std::make_shared<const stored::Outcome>(*outcome));
    }
    stored::Outcome tombstone;
    *tombstone.mutable_receipt() = engine::MakeTombstone(StoreTime());
    const absl::Status created = co_await CreateOutcome(id, tombstone.SerializeAsString());
    if (created.ok()) co_return tombstone.receipt();
    if (!absl::IsAlreadyExists(created)) co_return created;
  }
}

Task<absl::Status> RadosEngine::SettleReservation(TransactionId id, uint64_t attempt, uint64_t mailbox) {
  CO_ASSIGN_OR_RETURN(const stored::Receipt receipt, co_await SettleTask(id));
  // Committed, it was placed where its reservation was, if it was that attempt's.
  Step step;
  step.frees = true;
  step.run = [id, attempt](Draft& draft) { return EraseReservation(id, attempt, draft); };
  co_return co_await MailboxOf(mailbox)->Post(std::move(step));
}

// --- open receipts -----------------------------------------------------------------

void RadosEngine::HandedOver(TransactionId transaction, std::vector<uint64_t>) {
  {
    absl::MutexLock lock(&mutex_);
    handed_over_.insert(transaction);
  }
  RunAlone(HandedOverTask(transaction));
}

Task<absl::Status> RadosEngine::HandedOverTask(TransactionId id) {
  const absl::StatusOr<std::optional<stored::Outcome>> outcome = co_await ReadOutcome(id);
  absl::Status status = outcome.status();
  if (outcome.ok() && *outcome && !(*outcome)->receipt().retry_key().empty()) {
    const std::string key = PortKey(engine::OpenReceiptKey((*outcome)->receipt().retry_key()));
    for (const uint64_t mailbox : engine::MailboxesOf((*outcome)->receipt())) {
      Step step;
      step.frees = true;
      step.run = [id, key](Draft& draft) {
        if (!draft.Has(key)) return false;
        const std::string* const value = draft.Find(key);
        if (value != nullptr && engine::TransactionOf(*value) == id) draft.Erase(key);
        return true;
      };
      status.Update(co_await MailboxOf(mailbox)->Post(std::move(step)));
    }
  }
  absl::MutexLock lock(&mutex_);
  handed_over_.erase(id);
  co_return status;
}

}  // namespace restante::rados
