// Committing, and the open receipts that commits leave in mailboxes.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/commit_entry.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"

namespace restante::embedded {
namespace {

// Mailboxes that are looked through at once for open receipts that are too old.
constexpr size_t kSweptAtOnce = 256;

std::string OpenReceiptIndexKey(uint64_t mailbox, absl::string_view retry_key) {
  return PartitionKey(PartitionId::Mailbox(mailbox), engine::OpenReceiptKey(retry_key));
}

}  // namespace

// One Commit from call to decision.
struct EmbeddedEngine::CommitJob {
  engine::CommitRequest request;
  Done<absl::StatusOr<stored::Receipt>> done;
  // Of its open receipts, in all mailboxes; and what LevelDB has as of the snapshot.
  // Whatever changed since is in keys_, which is asked first.
  std::vector<std::string> keys;
  OpenReceipts fetched;
  absl::Status fetch_error;
  SnapshotPtr snapshot;
};

absl::Status EmbeddedEngine::FetchOpenReceipts(const IndexSnapshot& snapshot,
                                               const std::vector<std::string>& keys, OpenReceipts* fetched) {
  for (const std::string& key : keys) {
    const absl::StatusOr<std::optional<std::string>> value = snapshot.Get(key);
    // One that is damaged serves nobody: in doubt a message is stored twice.
    if (!value.ok() && !absl::IsDataLoss(value.status())) return value.status();
    std::optional<std::string>& found = (*fetched)[key];
    if (!value.ok() || !*value) continue;
    if (const std::optional<GroupedValue> split = SplitGroup(**value)) found = std::string(split->value);
  }
  return absl::OkStatus();
}

bool EmbeddedEngine::IsToBeFetched(const std::string& open_receipt) {
  return !keys_.Newest(open_receipt).known && index_.receipts().MayHave(open_receipt);
}

const std::string* EmbeddedEngine::NewestOpenReceipt(const std::string& key,
                                                     const OpenReceipts& fetched) const {
  const KeyTable::Found found = keys_.Newest(key);
  if (found.known) return found.value;
  const auto it = fetched.find(key);
  return it == fetched.end() || !it->second ? nullptr : &*it->second;
}

// --- commit ----------------------------------------------------------------------

void EmbeddedEngine::Commit(engine::CommitRequest request, Done<absl::StatusOr<stored::Receipt>> done) {
  auto job = std::make_shared<CommitJob>();
  job->request = std::move(request);
  job->done = std::move(done);
  if (!job->request.retry_key.empty()) {
    for (const auto& [mailbox, entry] : job->request.entries) {
      job->keys.push_back(OpenReceiptIndexKey(mailbox, job->request.retry_key));
    }
  }
  RunCommit(std::move(job));
}

void EmbeddedEngine::RunCommit(std::shared_ptr<CommitJob> job) {
  engine::CommitRequest& request = job->request;
  const TransactionId transaction = request.transaction;
  absl::Status refused;
  SnapshotPtr done_with;  // Let go outside the lock, as the body if nobody has it.
  std::unique_ptr<Staged> body;
  std::vector<absl::AnyInvocable<void()>> callbacks;
  {
    absl::MutexLock lock(&mutex_);
    const auto unknown = [this](const std::string& key)
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return IsToBeFetched(key); };
    if (!job->snapshot && std::any_of(job->keys.begin(), job->keys.end(), unknown)) {
      job->snapshot = BeginFetch();
      if (job->snapshot) {
        fetching_commits_.insert(transaction);
        // All of them: keys_ may forget any that the snapshot has.
        pool_->Post([this, job] {
          job->fetch_error = FetchOpenReceipts(*job->snapshot, job->keys, &job->fetched);
          RunCommit(job);
        });
        return;
      }
      job->fetch_error = absl::UnavailableError("the index is being opened again");
    }
    if (job->snapshot) {
      EndFetch(job->snapshot->group());
      fetching_commits_.erase(transaction);
      done_with = std::move(job->snapshot);
    }
    body.reset(static_cast<Staged*>(request.body.release()));
    const engine::CommittedBody committed{
        .id = BodyId{body->number()}, .size = body->size(), .crc32c = body->crc32c()};
    refused = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
      if (ledger_.StateOf(transaction) != engine::Ledger::State::kOpen) {
        return absl::FailedPreconditionError(
            absl::StrCat("transaction ", transaction.ToString(), " is not open"));
      }
      RETURN_IF_ERROR(TakesMail());
      RETURN_IF_ERROR(job->fetch_error);
      // A mailbox that is being deleted takes nothing, also while that is decided
      // but not yet durable.
      std::vector<stored::Head> heads(request.entries.size());
      std::vector<uint64_t> mailboxes;
      for (size_t i = 0; i < heads.size(); ++i) {
        const uint64_t mailbox = request.entries[i].first;
        const KeyTable::Found found = keys_.Newest(HeadKey(PartitionId::Mailbox(mailbox)));
        if (found.value == nullptr || !heads[i].ParseFromString(*found.value) ||
            heads[i].mailbox().state() == stored::MailboxHead::DELETED) {
          return absl::FailedPreconditionError(absl::StrCat("transaction ", transaction.ToString(),
                                                            ": mailbox partition ", mailbox, " is gone"));
        }
        mailboxes.push_back(mailbox);
      }
      RETURN_IF_ERROR(ledger_.StartCommit(transaction, committed.size, mailboxes));

      absl::flat_hash_map<uint64_t, engine::Placed> placed;
      uint32_t entered = 0;
      for (size_t i = 0; i < heads.size(); ++i) {
        auto& [mailbox, entry] = request.entries[i];
        std::optional<engine::Placed> here;
        if (!job->keys.empty()) here = PlacedBefore(NewestOpenReceipt(job->keys[i], job->fetched));
        if (!here) {
          const PartitionId partition = PartitionId::Mailbox(mailbox);
          here = engine::Placed{
              .uid = engine::EnterMessage(transaction, committed, heads[i].mutable_mailbox(), &entry)};
          Set(PartitionKey(partition, engine::EntryKey(here->uid)), entry.SerializeAsString());
          Set(HeadKey(partition), heads[i].SerializeAsString());
          if (unsettled_heads_.contains(mailbox)) {
            TellLedger(partition);
          } else {
            ledger_.PutMailbox(mailbox, heads[i].mailbox());
          }
          thresholds_.PutMailbox(mailbox, heads[i].mailbox());
          if (!request.unmeasured) RecordCrossings(partition);
          ++entered;
        }
        if (!job->keys.empty()) {
          Set(job->keys[i], engine::MakeOpenReceipt(transaction, *here, StoreTime()).SerializeAsString());
        }
        placed[mailbox] = *std::move(here);
      }
      if (entered > 0) Enter(std::move(body), entered);
      request.receipt.set_retry_key(request.retry_key);
      engine::CompleteReceipt(placed, StoreTime(), &request.receipt);
      Set(ReceiptKey(ReceiptBucket(), transaction), request.receipt.SerializeAsString());
      gathered_.transactions.push_back(transaction);
      return absl::OkStatus();
    }();
    if (refused.ok()) {
      // The open receipts that were found may be of this very group: they become
      // durable with it or before it, or it fails with them.
      WhenDurable(gathered_.number, [receipt = std::move(request.receipt),
                                     done = std::move(job->done)](const absl::Status& written) mutable {
        if (written.ok()) {
          done(std::move(receipt));
        } else {
          done(written);
        }
      });
      ++commits_;
    } else {
      // Nothing of the transaction remains.
      ledger_.Close(transaction);
      EndCommit(transaction, &callbacks);
    }
  }
  done_with.reset();
  body.reset();
  Call(std::move(callbacks));
  if (!refused.ok()) job->done(refused);
}

std::optional<engine::Placed> EmbeddedEngine::PlacedBefore(const std::string* open_receipt) const {
  std::optional<engine::Placed> placed =
      engine::PlacedBefore(open_receipt, StoreTime(), options_.retry_window_seconds);
  // Its end may be on the way (HandedOver).
  if (placed && handed_over_.contains(engine::TransactionOf(*open_receipt))) return std::nullopt;
  return placed;
}

void EmbeddedEngine::EndCommit(TransactionId transaction,
                               std::vector<absl::AnyInvocable<void()>>* callbacks) {
  ledger_.EndCommit(transaction);
  const auto it = settling_.find(transaction);
  if (it == settling_.end()) return;
  for (std::shared_ptr<SettleJob>& job : it->second) {
    callbacks->push_back([this, job = std::move(job)] { RunSettle(job); });
  }
  settling_.erase(it);
}

// --- open receipts -----------------------------------------------------------------

void EmbeddedEngine::HandedOver(TransactionId transaction, std::vector<uint64_t>) {
  if (EraseOpenReceipts(transaction, nullptr)) return;
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    if (!Writable().ok()) return;
    // From here on its open receipts serve nobody, also before they are found.
    if (!handed_over_.insert(transaction).second) return;
    snapshot = BeginFetch();
    if (!snapshot) handed_over_.erase(transaction);
  }
  if (!snapshot) return;
  pool_->Post([this, transaction, snapshot = std::move(snapshot)]() mutable {
    EraseOpenReceipts(transaction, snapshot.get());
    absl::MutexLock lock(&mutex_);
    EndFetch(snapshot->group());
    handed_over_.erase(transaction);
  });
}

bool EmbeddedEngine::EraseOpenReceipts(TransactionId transaction, const IndexSnapshot* snapshot) {
  std::optional<std::string> value;
  {
    absl::MutexLock lock(&mutex_);
    uint64_t group = 0;
    if (const std::string* newest = FindReceipt(transaction, &group); newest != nullptr) value = *newest;
  }
  stored::Receipt receipt;
  if (value) {
    if (!receipt.ParseFromString(*value)) return true;
  } else if (snapshot != nullptr) {
    absl::StatusOr<std::optional<stored::Receipt>> found = FetchReceipt(*snapshot, transaction);
    if (!found.ok() || !*found) return true;
    receipt = **std::move(found);
  } else {
    return false;
  }
  if (receipt.retry_key().empty()) return true;
  std::vector<std::string> keys;
  for (const uint64_t mailbox : engine::MailboxesOf(receipt)) {
    keys.push_back(OpenReceiptIndexKey(mailbox, receipt.retry_key()));
  }
  OpenReceipts fetched;
  if (snapshot != nullptr) FetchOpenReceipts(*snapshot, keys, &fetched).IgnoreError();
  absl::MutexLock lock(&mutex_);
  if (!Writable().ok()) return true;
  if (snapshot == nullptr) {
    for (const std::string& key : keys) {
      if (IsToBeFetched(key)) return false;
    }
  }
  for (const std::string& key : keys) {
    const std::string* const newest = NewestOpenReceipt(key, fetched);
    if (newest != nullptr && engine::TransactionOf(*newest) == transaction) EraseUnhurried(key);
  }
  return true;
}

void EmbeddedEngine::SetUnhurried(absl::string_view key, std::optional<std::string> value) {
  if (!keys_.Put(key, std::move(value), gathered_.number)) return;
  gathered_.keys.emplace_back(key);
  ++gathered_.unhurried;
}

void EmbeddedEngine::ExpireOpenReceipts() {
  const uint64_t now = StoreTime();
  const uint64_t period = SweepPeriod();
  if (std::exchange(swept_period_, period) == period) return;
  const std::string heads_end = AfterPrefix(HeadKey(PartitionId::Mailbox(UINT64_MAX)));
  std::string from = HeadKey(PartitionId::Mailbox(0));
  while (true) {
    std::vector<uint64_t> mailboxes;
    SnapshotPtr snapshot;
    {
      absl::MutexLock lock(&mutex_);
      if (!Writable().ok()) return;
      keys_.Visit(from, heads_end, durable_, [&](const std::string& key, const std::string* value) {
        if (value != nullptr) mailboxes.push_back(PartitionOfHeadKey(key).number);
        return mailboxes.size() < kSweptAtOnce;
      });
      if (mailboxes.empty()) return;
      snapshot = BeginFetch();
    }
    if (!snapshot) return;
    std::vector<std::string> old;
    for (const uint64_t mailbox : mailboxes) {
      const PartitionId partition = PartitionId::Mailbox(mailbox);
      // (What cannot be read is left to those who look for damage.)
      snapshot
          ->Visit(PartitionKey(partition, engine::kOpenReceiptsFrom),
                  PartitionKey(partition, engine::kOpenReceiptsTo),
                  [&](absl::string_view key, absl::string_view stored_value) {
                    const std::optional<GroupedValue> split = SplitGroup(stored_value);
                    const std::string value(split ? split->value : "");
                    if (!engine::PlacedBefore(&value, now, options_.retry_window_seconds))
                      old.emplace_back(key);
                    return true;
                  })
          .IgnoreError();
    }
    from = HeadKey(PartitionId::Mailbox(mailboxes.back() + 1));
    absl::MutexLock lock(&mutex_);
    EndFetch(snapshot->group());
    if (!Writable().ok()) return;
    for (const std::string& key : old) {
      // One that changed meanwhile is none of these.
      if (!keys_.Newest(key).known) EraseUnhurried(key);
    }
  }
}

}  // namespace restante::embedded
