#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/commit_entry.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"

namespace restante::embedded {
namespace {

absl::Status Closing() { return absl::CancelledError("the store is being closed"); }
absl::Status Reopening() { return absl::UnavailableError("the index is being opened again"); }

absl::StatusOr<stored::Receipt> ParseReceipt(absl::string_view value, TransactionId transaction) {
  stored::Receipt receipt;
  if (receipt.ParseFromArray(value.data(), static_cast<int>(value.size()))) return receipt;
  return absl::DataLossError(absl::StrCat("transaction ", transaction.ToString(), ": damaged receipt"));
}

}  // namespace

struct EmbeddedEngine::SettleJob {
  TransactionId transaction;
  Done<absl::StatusOr<stored::Receipt>> done;
  // Looked for in LevelDB, as of this snapshot.
  SnapshotPtr snapshot;
};

// --- reservations -------------------------------------------------------------

void EmbeddedEngine::Reserve(TransactionId transaction, uint64_t mailbox, engine::Demand demand,
                             Done<absl::StatusOr<engine::ReserveResult>> done) {
  done([&]() -> absl::StatusOr<engine::ReserveResult> {
    absl::MutexLock lock(&mutex_);
    return ledger_.Reserve(transaction, mailbox, demand);
  }());
}

void EmbeddedEngine::Check(uint64_t mailbox, engine::Demand demand,
                           Done<absl::StatusOr<engine::ReserveResult>> done) {
  done([&]() -> absl::StatusOr<engine::ReserveResult> {
    absl::MutexLock lock(&mutex_);
    return ledger_.Check(mailbox, demand);
  }());
}

void EmbeddedEngine::Confirm(TransactionId transaction, Done<absl::StatusOr<engine::Confirmed>> done) {
  done([&]() -> absl::StatusOr<engine::Confirmed> {
    absl::MutexLock lock(&mutex_);
    // A 354 that could not be kept would be worse than none.
    RETURN_IF_ERROR(TakesMail());
    return ledger_.Confirm(transaction);
  }());
}

void EmbeddedEngine::Extend(TransactionId transaction, uint64_t bytes,
                            Done<absl::StatusOr<engine::Extended>> done) {
  done([&]() -> absl::StatusOr<engine::Extended> {
    absl::MutexLock lock(&mutex_);
    return ledger_.Extend(transaction, bytes);
  }());
}

void EmbeddedEngine::Release(TransactionId transaction, uint64_t mailbox) {
  absl::MutexLock lock(&mutex_);
  ledger_.Release(transaction, mailbox);
}

void EmbeddedEngine::Close(TransactionId transaction) {
  absl::MutexLock lock(&mutex_);
  if (!fetching_commits_.contains(transaction)) ledger_.Close(transaction);
}

// --- receipts -------------------------------------------------------------------

const std::string* EmbeddedEngine::FindReceipt(TransactionId transaction, uint64_t* group) const {
  // One that is younger than the lifetime is in this bucket or the one before.
  const uint64_t bucket = ReceiptBucket();
  for (uint64_t back = 0; back < 2 && back <= bucket; ++back) {
    const KeyTable::Found found = keys_.Newest(ReceiptKey(bucket - back, transaction));
    if (found.value == nullptr) continue;
    *group = found.group;
    return found.value;
  }
  return nullptr;
}

absl::StatusOr<std::optional<stored::Receipt>> EmbeddedEngine::FetchReceipt(const IndexSnapshot& snapshot,
                                                                            TransactionId transaction) const {
  const uint64_t bucket = ReceiptBucket();
  for (uint64_t back = 0; back < 2 && back <= bucket; ++back) {
    ASSIGN_OR_RETURN(const std::optional<std::string> value,
                     snapshot.Get(ReceiptKey(bucket - back, transaction)));
    if (!value) continue;
    const std::optional<GroupedValue> split = SplitGroup(*value);
    ASSIGN_OR_RETURN(stored::Receipt receipt, ParseReceipt(split ? split->value : "\xff", transaction));
    return receipt;
  }
  return std::nullopt;
}

// --- open -----------------------------------------------------------------------

void EmbeddedEngine::Open(TransactionId transaction, uint64_t disk_bytes,
                          Done<absl::StatusOr<engine::OpenResult>> done) {
  // The id is taken before its receipt is looked for, so that a Settle in between
  // is seen: one of the two comes second, and knows of the other.
  SnapshotPtr snapshot;
  absl::StatusOr<engine::OpenResult> answer = engine::InUse{};
  bool answered = true;
  {
    absl::MutexLock lock(&mutex_);
    uint64_t group = 0;
    if (stopping_) {
      answer = Closing();
    } else if (opening_.contains(transaction) ||
               ledger_.StateOf(transaction) != engine::Ledger::State::kNone) {
      answer = engine::InUse{};
    } else if (const std::string* value = FindReceipt(transaction, &group); value != nullptr) {
      absl::StatusOr<stored::Receipt> receipt = ParseReceipt(*value, transaction);
      if (receipt.ok() && group > durable_) {
        WhenDurable(group, [receipt = *std::move(receipt),
                            done = std::move(done)](const absl::Status& written) mutable {
          if (written.ok()) {
            done(engine::OpenResult(std::move(receipt)));
          } else {
            done(absl::IsUnknown(written) ? absl::UnavailableError(written.message()) : written);
          }
        });
        return;
      }
      if (receipt.ok()) {
        answer = *std::move(receipt);
      } else {
        answer = receipt.status();
      }
    } else if (!MayHaveReceipt(transaction)) {
      answer = Admit(transaction, disk_bytes);
    } else if (snapshot = BeginFetch(); snapshot) {
      opening_[transaction] = false;
      answered = false;
    } else {
      answer = Reopening();
    }
  }
  if (answered) {
    done(std::move(answer));
    return;
  }
  pool_->Post(
      [this, transaction, disk_bytes, snapshot = std::move(snapshot), done = std::move(done)]() mutable {
        auto found = FetchReceipt(*snapshot, transaction);
        const uint64_t epoch = snapshot->group();
        snapshot.reset();
        FinishOpen(transaction, disk_bytes, std::move(found), epoch, std::move(done));
      });
}

bool EmbeddedEngine::MayHaveReceipt(TransactionId transaction) {
  const uint64_t bucket = ReceiptBucket();
  for (uint64_t back = 0; back < 2 && back <= bucket; ++back) {
    if (index_.receipts().MayHave(ReceiptKey(bucket - back, transaction))) return true;
  }
  return false;
}

absl::StatusOr<engine::OpenResult> EmbeddedEngine::Admit(TransactionId transaction, uint64_t disk_bytes) {
  RETURN_IF_ERROR(TakesMail());
  auto opened = ledger_.Open(transaction, disk_bytes);
  if (auto* shortage = std::get_if<engine::Shortage>(&opened)) return *shortage;
  if (std::holds_alternative<engine::InUse>(opened)) return engine::InUse{};
  return engine::Opened{};
}

void EmbeddedEngine::FinishOpen(TransactionId transaction, uint64_t disk_bytes,
                                absl::StatusOr<std::optional<stored::Receipt>> found, uint64_t epoch,
                                Done<absl::StatusOr<engine::OpenResult>> done) {
  absl::StatusOr<engine::OpenResult> answer = engine::Opened{};
  bool settled = false;
  {
    absl::MutexLock lock(&mutex_);
    EndFetch(epoch);
    const auto it = opening_.find(transaction);
    settled = it->second;
    opening_.erase(it);
    if (settled) {
      // Answered below.
    } else if (!found.ok()) {
      answer = found.status();
    } else if (*found) {
      answer = **std::move(found);
    } else {
      answer = Admit(transaction, disk_bytes);
    }
  }
  if (!settled) {
    done(std::move(answer));
    return;
  }
  // Whoever settled it meanwhile made a tombstone, or found a receipt.
  Settle(transaction, {}, [done = std::move(done)](absl::StatusOr<stored::Receipt> receipt) mutable {
    if (receipt.ok()) {
      done(engine::OpenResult(*std::move(receipt)));
    } else {
      done(receipt.status());
    }
  });
}

// --- settle ----------------------------------------------------------------------

void EmbeddedEngine::Settle(TransactionId transaction, std::vector<uint64_t>,
                            Done<absl::StatusOr<stored::Receipt>> done) {
  auto job = std::make_shared<SettleJob>();
  job->transaction = transaction;
  job->done = std::move(done);
  RunSettle(std::move(job));
}

void EmbeddedEngine::RunSettle(std::shared_ptr<SettleJob> job) {
  absl::StatusOr<stored::Receipt> answer = absl::UnavailableError("");
  const bool fetched = job->snapshot != nullptr;
  SnapshotPtr done_with;
  {
    absl::MutexLock lock(&mutex_);
    if (fetched) {
      EndFetch(job->snapshot->group());
      done_with = std::move(job->snapshot);
    }
    const auto when_durable = [&](uint64_t group,
                                  stored::Receipt receipt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      WhenDurable(group, [job, receipt = std::move(receipt)](const absl::Status& written) mutable {
        if (written.ok()) {
          job->done(std::move(receipt));
        } else if (absl::IsCancelled(written)) {
          job->done(written);
        } else {
          job->done(absl::UnavailableError(written.message()));
        }
      });
    };
    if (undecided_ids_.contains(job->transaction)) {
      answer = absl::UnavailableError(absl::StrCat("not known yet: ", read_only_.message()));
    } else if (ledger_.StateOf(job->transaction) == engine::Ledger::State::kCommitting ||
               fetching_commits_.contains(job->transaction)) {
      settling_[job->transaction].push_back(job);
      return;
    } else if (stopping_) {
      answer = Closing();
    } else {
      ledger_.Close(job->transaction);
      if (const auto it = opening_.find(job->transaction); it != opening_.end()) it->second = true;
      uint64_t group = 0;
      const std::string* value = FindReceipt(job->transaction, &group);
      if (value != nullptr) {
        answer = ParseReceipt(*value, job->transaction);
        if (answer.ok() && group > durable_) {
          when_durable(group, *std::move(answer));
          return;
        }
      } else if (fetched) {
        // Neither in LevelDB as of then nor in what came since: it never commits.
        if (absl::Status writable = Writable(); !writable.ok()) {
          answer = writable;
        } else {
          stored::Receipt tombstone = engine::MakeTombstone(StoreTime());
          Set(ReceiptKey(ReceiptBucket(), job->transaction), tombstone.SerializeAsString());
          when_durable(gathered_.number, std::move(tombstone));
          return;
        }
      } else if (job->snapshot = BeginFetch(); job->snapshot) {
        pool_->Post([this, job] {
          absl::StatusOr<std::optional<stored::Receipt>> found =
              FetchReceipt(*job->snapshot, job->transaction);
          if (found.ok() && !*found) {
            RunSettle(job);
            return;
          }
          SnapshotPtr used = std::move(job->snapshot);
          {
            absl::MutexLock inner(&mutex_);
            EndFetch(used->group());
          }
          used.reset();
          if (found.ok()) {
            job->done(**std::move(found));
          } else {
            job->done(found.status());
          }
        });
        return;
      } else {
        answer = Reopening();
      }
    }
  }
  done_with.reset();
  job->done(std::move(answer));
}

}  // namespace restante::embedded
