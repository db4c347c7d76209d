// What whoever moves a store asks of it: what changes, and the moment of the change.
#include <algorithm>
#include <utility>

#include "server/base/clock.h"
#include "server/engine/moving/moving_engine.h"

namespace restante::moving {

void MovingEngine::StartNoting() {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(noting_, true)) return;
  for (const HandedOverOne& one : handed_over_) handed_over_before_.push_back(one.transaction);
  handed_over_.clear();
}

void MovingEngine::StopNoting() {
  AllowAll();
  absl::MutexLock lock(&mutex_);
  noting_ = false;
  changes_ = {};
  committed_.clear();
  committed_order_.clear();
  handed_over_.clear();
  handed_over_before_.clear();
}

MovingEngine::Changes MovingEngine::TakeChanges() {
  absl::MutexLock lock(&mutex_);
  const int64_t old = Clock::System()->MonotonicMicros() - kHandedOver_us;
  while (!handed_over_.empty() && handed_over_.front().at_us < old) {
    for (const uint64_t mailbox : handed_over_.front().mailboxes) {
      changes_.partitions.insert(PartitionId::Mailbox(mailbox));
    }
    handed_over_.pop_front();
  }
  return std::exchange(changes_, {});
}

void MovingEngine::Allow(uint64_t changes) {
  std::vector<absl::AnyInvocable<void()>> calls;
  {
    absl::MutexLock lock(&mutex_);
    allowed_ = allowed_.value_or(0) + static_cast<int64_t>(changes);
    for (; *allowed_ > 0 && !paced_.empty(); --*allowed_) {
      calls.push_back(std::move(paced_.front()));
      paced_.pop_front();
    }
  }
  for (auto& call : calls) call();
}

void MovingEngine::AllowAll() {
  std::deque<absl::AnyInvocable<void()>> calls;
  {
    absl::MutexLock lock(&mutex_);
    allowed_.reset();
    calls.swap(paced_);
  }
  for (auto& call : calls) call();
}

bool MovingEngine::HasUnknown() const {
  absl::MutexLock lock(&mutex_);
  return unknown_;
}

bool MovingEngine::Drain(absl::Duration patience) {
  {
    absl::MutexLock lock(&mutex_);
    phase_ = Phase::kDraining;
  }
  AllowAll();
  absl::MutexLock lock(&mutex_);
  const bool drained = ended_.AwaitFor(&mutex_, patience, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return std::none_of(transactions_.begin(), transactions_.end(),
                        [](const auto& item) { return item.second.promised || item.second.committing; });
  });
  if (!drained) phase_ = Phase::kServing;
  return drained;
}

bool MovingEngine::Freeze(absl::Duration patience) {
  {
    absl::MutexLock lock(&mutex_);
    phase_ = Phase::kFrozen;
    const auto none = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return under_way_ == 0; };
    if (ended_.AwaitFor(&mutex_, patience, none)) return true;
  }
  GoOn();
  return false;
}

void MovingEngine::Run(std::vector<Call> calls) {
  for (Call& call : calls) Change(std::move(call));
}

void MovingEngine::GoOn() {
  std::vector<Call> waiting;
  {
    absl::MutexLock lock(&mutex_);
    phase_ = Phase::kServing;
    waiting.swap(waiting_);
  }
  Run(std::move(waiting));
}

void MovingEngine::Switch(std::unique_ptr<engine::Engine> to, uint64_t first_number) {
  std::vector<Call> waiting;
  std::deque<HandedOverOne> handed_over;
  std::vector<TransactionId> handed_over_before;
  std::function<void()> listener;
  {
    absl::MutexLock lock(&mutex_);
    to_ = std::move(to);
    first_number_ = first_number;
    moved_ = true;
    phase_ = Phase::kServing;
    waiting.swap(waiting_);
    handed_over.swap(handed_over_);
    handed_over_before.swap(handed_over_before_);
    committed_.clear();
    listener = listener_;
  }
  from_->OnEvents(nullptr);
  to_->OnEvents(listener);
  // What may not have been durable when it was copied.
  for (const HandedOverOne& one : handed_over) to_->HandedOver(one.transaction, one.mailboxes);
  for (const TransactionId& transaction : handed_over_before) to_->HandedOver(transaction, {});
  Run(std::move(waiting));
  if (listener) listener();
}

}  // namespace restante::moving
