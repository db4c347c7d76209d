#include "server/engine/moving/moving_engine.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/engine/commit_entry.h"

namespace restante::moving {
namespace {

using engine::BodyId;
using engine::Engine;
namespace stored = engine::stored;

constexpr size_t kCommittedAtMost = 1'000'000;

absl::Status Moving() { return absl::UnavailableError("the store is moving: try again"); }
absl::Status HasMoved(const TransactionId& transaction) {
  return absl::UnavailableError(
      absl::StrCat("transaction ", transaction.ToString(), ": the store has moved meanwhile: try again"));
}

}  // namespace

// Of which engine it is, besides.
class MovingEngine::Body : public engine::StagedBody {
 public:
  Body(bool of_other, std::unique_ptr<engine::StagedBody> staged)
      : moved(of_other), body(std::move(staged)) {}
  uint64_t size() const override { return body->size(); }
  uint32_t crc32c() const override { return body->crc32c(); }
  BodyId id() const override { return body->id(); }

  const bool moved;
  std::unique_ptr<engine::StagedBody> body;
};

class MovingEngine::Writer : public engine::BodyWriter {
 public:
  Writer(bool moved, std::unique_ptr<engine::BodyWriter> writer)
      : moved_(moved), writer_(std::move(writer)) {}
  void Append(std::string octets, Done<absl::Status> done) override {
    writer_->Append(std::move(octets), std::move(done));
  }
  void Finish(Done<absl::StatusOr<std::unique_ptr<engine::StagedBody>>> done) override {
    writer_->Finish([moved = moved_, done = std::move(done)](
                        absl::StatusOr<std::unique_ptr<engine::StagedBody>> body) mutable {
      if (!body.ok()) return std::move(done)(body.status());
      std::move(done)(std::make_unique<Body>(moved, *std::move(body)));
    });
  }

 private:
  const bool moved_;
  const std::unique_ptr<engine::BodyWriter> writer_;
};

MovingEngine::MovingEngine(std::unique_ptr<Engine> from) : from_(std::move(from)) {}
MovingEngine::~MovingEngine() = default;

Engine* MovingEngine::current() const {
  absl::MutexLock lock(&mutex_);
  return moved_ ? to_.get() : from_.get();
}

Engine* MovingEngine::EngineOf(const TransactionId& transaction) const {
  absl::MutexLock lock(&mutex_);
  const auto it = transactions_.find(transaction);
  if (it != transactions_.end() && it->second.moved != moved_) return nullptr;
  return moved_ ? to_.get() : from_.get();
}

// --- changes -------------------------------------------------------------------------

void MovingEngine::Change(Call call) {
  Engine* engine;
  bool here;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kFrozen) {
      waiting_.push_back(std::move(call));
      return;
    }
    here = !moved_;
    engine = here ? from_.get() : to_.get();
    if (here) ++under_way_;
  }
  call(engine, here);
}

void MovingEngine::Pace(absl::AnyInvocable<void()> call) {
  {
    absl::MutexLock lock(&mutex_);
    if (allowed_ && *allowed_ <= 0) {
      paced_.push_back(std::move(call));
      return;
    }
    if (allowed_) --*allowed_;
  }
  call();
}

void MovingEngine::Ended(const std::vector<PartitionId>& changed) {
  absl::MutexLock lock(&mutex_);
  if (noting_) {
    changes_.partitions.insert(changed.begin(), changed.end());
    changes_.count += changed.size();
  }
  // (The first was counted when it was let in.)
  if (allowed_ && changed.size() > 1) *allowed_ -= static_cast<int64_t>(changed.size() - 1);
  --under_way_;
  ended_.Changed();
}

void MovingEngine::Update(PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
                          Done<absl::Status> done) {
  Call update = [this, partition, keys = std::move(keys), fn = std::move(fn), done = std::move(done)](
                    Engine* engine, bool here) mutable {
    if (here) {
      engine->Update(partition, std::move(keys), std::move(fn),
                     [this, partition, done = std::move(done)](absl::Status status) mutable {
                       Ended({partition});
                       std::move(done)(std::move(status));
                     });
      return;
    }
    uint64_t first;
    {
      absl::MutexLock lock(&mutex_);
      first = first_number_;
    }
    // What was read before it moved has other bodies here.
    engine::UpdateFn checked = [fn = std::move(fn),
                                first](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
      absl::StatusOr<engine::Verdict> verdict = fn(view);
      if (!verdict.ok()) return verdict;
      if (const auto* change = std::get_if<engine::Change>(&*verdict)) {
        for (const BodyId body : change->added_bodies) {
          if (static_cast<uint64_t>(body) < first) return Moving();
        }
      }
      return verdict;
    };
    engine->Update(partition, std::move(keys), std::move(checked), std::move(done));
  };
  Pace([this, update = std::move(update)]() mutable { Change(std::move(update)); });
}

void MovingEngine::Settle(TransactionId transaction, std::vector<uint64_t> mailboxes,
                          Done<absl::StatusOr<stored::Receipt>> done) {
  Change([this, transaction, mailboxes = std::move(mailboxes), done = std::move(done)](Engine* engine,
                                                                                       bool here) mutable {
    auto settled = [this, transaction, here,
                    done = std::move(done)](absl::StatusOr<stored::Receipt> receipt) mutable {
      std::vector<PartitionId> changed;
      {
        absl::MutexLock lock(&mutex_);
        transactions_.erase(transaction);
        if (here && noting_ && receipt.ok()) {
          changes_.receipts.emplace_back(transaction, *receipt);
          for (const uint64_t mailbox : engine::MailboxesOf(*receipt)) {
            changed.push_back(PartitionId::Mailbox(mailbox));
          }
        }
      }
      if (here) Ended(changed);
      std::move(done)(std::move(receipt));
    };
    engine->Settle(transaction, std::move(mailboxes), std::move(settled));
  });
}

void MovingEngine::HandedOver(TransactionId transaction, std::vector<uint64_t> mailboxes) {
  Change([this, transaction, mailboxes = std::move(mailboxes)](Engine* engine, bool here) mutable {
    engine->HandedOver(transaction, mailboxes);
    if (!here) return;
    {
      absl::MutexLock lock(&mutex_);
      const auto it = committed_.find(transaction);
      const int64_t now = Clock::System()->MonotonicMicros();
      if (!noting_) {
        // Nothing was copied yet; but it may not be durable when something is.
        while (!handed_over_.empty() && handed_over_.front().at_us < now - kHandedOver_us) {
          handed_over_.pop_front();
        }
        handed_over_.push_back({.transaction = transaction, .mailboxes = {}, .at_us = now});
      } else if (it == committed_.end()) {
        // Committed before, nobody knows where.
        if (handed_over_before_.size() < kCommittedAtMost) handed_over_before_.push_back(transaction);
      } else {
        if (!it->second.empty()) {
          handed_over_.push_back(
              {.transaction = transaction, .mailboxes = std::move(it->second), .at_us = now});
        }
        committed_.erase(it);
      }
    }
    Ended({});
  });
}

// --- transactions --------------------------------------------------------------------

void MovingEngine::Open(TransactionId transaction, uint64_t disk_bytes,
                        Done<absl::StatusOr<engine::OpenResult>> done) {
  Engine* engine = nullptr;
  bool moved;
  {
    absl::MutexLock lock(&mutex_);
    moved = moved_;
    if (phase_ == Phase::kServing) engine = moved ? to_.get() : from_.get();
  }
  if (engine == nullptr) return std::move(done)(Moving());
  engine->Open(
      transaction, disk_bytes,
      [this, transaction, moved, done = std::move(done)](absl::StatusOr<engine::OpenResult> opened) mutable {
        if (opened.ok() && std::holds_alternative<engine::Opened>(*opened)) {
          absl::MutexLock lock(&mutex_);
          transactions_[transaction] = {.moved = moved};
        }
        std::move(done)(std::move(opened));
      });
}

void MovingEngine::Reserve(TransactionId transaction, uint64_t mailbox, engine::Demand demand,
                           Done<absl::StatusOr<engine::ReserveResult>> done) {
  Engine* const engine = EngineOf(transaction);
  if (engine == nullptr) return std::move(done)(HasMoved(transaction));
  engine->Reserve(transaction, mailbox, demand, std::move(done));
}

void MovingEngine::Confirm(TransactionId transaction, Done<absl::StatusOr<engine::Confirmed>> done) {
  bool promised;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(transaction);
    promised = it != transactions_.end() && it->second.promised;
  }
  if (promised) return Promise(transaction, std::move(done));
  Pace([this, transaction, done = std::move(done)]() mutable { Promise(transaction, std::move(done)); });
}

void MovingEngine::Promise(TransactionId transaction, Done<absl::StatusOr<engine::Confirmed>> done) {
  Engine* engine = nullptr;
  absl::Status refused = HasMoved(transaction);
  bool first = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(transaction);
    if (it == transactions_.end() || it->second.moved == moved_) engine = moved_ ? to_.get() : from_.get();
    if (engine != nullptr && it != transactions_.end() && !it->second.promised) {
      if (phase_ != Phase::kServing) {
        engine = nullptr;
        refused = Moving();
      } else {
        // From now on it counts as promised, until it turns out not to be.
        first = it->second.promised = true;
      }
    }
  }
  if (engine == nullptr) return std::move(done)(std::move(refused));
  engine->Confirm(transaction, [this, transaction, first,
                                done = std::move(done)](absl::StatusOr<engine::Confirmed> confirmed) mutable {
    if (first && (!confirmed.ok() || confirmed->disk)) {
      absl::MutexLock lock(&mutex_);
      const auto it = transactions_.find(transaction);
      if (it != transactions_.end()) it->second.promised = false;
      ended_.Changed();
    }
    std::move(done)(std::move(confirmed));
  });
}

void MovingEngine::Extend(TransactionId transaction, uint64_t bytes,
                          Done<absl::StatusOr<engine::Extended>> done) {
  Engine* const engine = EngineOf(transaction);
  if (engine == nullptr) return std::move(done)(HasMoved(transaction));
  engine->Extend(transaction, bytes, std::move(done));
}

void MovingEngine::Release(TransactionId transaction, uint64_t mailbox) {
  if (Engine* const engine = EngineOf(transaction); engine != nullptr) engine->Release(transaction, mailbox);
}

void MovingEngine::Close(TransactionId transaction) {
  Engine* const engine = EngineOf(transaction);
  if (engine != nullptr) engine->Close(transaction);
  absl::MutexLock lock(&mutex_);
  // (One that is committing ends with its commit.)
  const auto it = transactions_.find(transaction);
  if (it != transactions_.end() && !it->second.committing) transactions_.erase(it);
  ended_.Changed();
}

void MovingEngine::Commit(engine::CommitRequest request, Done<absl::StatusOr<stored::Receipt>> done) {
  const TransactionId transaction = request.transaction;
  std::unique_ptr<Body> body(dynamic_cast<Body*>(request.body.get()));
  if (body != nullptr) request.body.release();
  Engine* engine = nullptr;
  bool here = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = transactions_.find(transaction);
    const bool is_open = it == transactions_.end() || it->second.moved == moved_;
    // While it is frozen nothing is promised that could be committed.
    if (body != nullptr && body->moved == moved_ && is_open && phase_ != Phase::kFrozen) {
      here = !moved_;
      engine = here ? from_.get() : to_.get();
      if (here) ++under_way_;
      if (it != transactions_.end()) it->second.committing = true;
    }
  }
  if (engine == nullptr) {
    Close(transaction);
    return std::move(done)(HasMoved(transaction));
  }
  request.body = std::move(body->body);
  std::vector<PartitionId> changed;
  std::vector<uint64_t> mailboxes;
  for (const auto& [mailbox, entry] : request.entries) {
    changed.push_back(PartitionId::Mailbox(mailbox));
    if (!request.retry_key.empty()) mailboxes.push_back(mailbox);
  }
  engine->Commit(std::move(request),
                 [this, transaction, here, changed = std::move(changed), mailboxes = std::move(mailboxes),
                  done = std::move(done)](absl::StatusOr<stored::Receipt> receipt) mutable {
                   {
                     absl::MutexLock lock(&mutex_);
                     transactions_.erase(transaction);
                     if (here && receipt.ok()) {
                       changes_.receipts.emplace_back(transaction, *receipt);
                       if (committed_.emplace(transaction, std::move(mailboxes)).second) {
                         committed_order_.push_back(transaction);
                       }
                       while (committed_order_.size() > kCommittedAtMost) {
                         committed_.erase(committed_order_.front());
                         committed_order_.pop_front();
                       }
                     }
                     unknown_ |= here && absl::IsUnknown(receipt.status());
                   }
                   if (here) Ended(changed);
                   std::move(done)(std::move(receipt));
                 });
}

// --- bodies and events ---------------------------------------------------------------

std::unique_ptr<engine::BodyWriter> MovingEngine::NewBody(std::optional<uint64_t> expected) {
  Engine* engine;
  bool moved;
  {
    absl::MutexLock lock(&mutex_);
    moved = moved_;
    engine = moved ? to_.get() : from_.get();
  }
  return std::make_unique<Writer>(moved, engine->NewBody(expected));
}

void MovingEngine::ReadBody(BodyId body, uint64_t offset, uint64_t length,
                            Done<absl::StatusOr<std::string>> done) {
  Engine* engine;
  {
    absl::MutexLock lock(&mutex_);
    engine = moved_ && static_cast<uint64_t>(body) >= first_number_ ? to_.get() : from_.get();
  }
  engine->ReadBody(body, offset, length, std::move(done));
}

void MovingEngine::OnEvents(std::function<void()> listener) {
  Engine* engine;
  {
    absl::MutexLock lock(&mutex_);
    listener_ = listener;
    engine = moved_ ? to_.get() : from_.get();
  }
  engine->OnEvents(std::move(listener));
}

}  // namespace restante::moving
