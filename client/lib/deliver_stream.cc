#include "client/lib/deliver_stream.h"

#include <algorithm>

#include "client/lib/crc32c.h"
#include "client/lib/grpc_status.h"

namespace restante::client_internal {
namespace {

// What one message carries at most, but for a single larger event. Well below
// the store's 1 MiB.
constexpr size_t kBatchBytes = 256 * 1024;
// Around the octets of an event: tags, lengths, the transaction's number.
constexpr size_t kEventOverhead = 32;

}  // namespace

DeliverStream::DeliverStream(std::shared_ptr<StreamOwner> owner, bool solo)
    : owner_(std::move(owner)), solo_(solo) {}

void DeliverStream::Start(v1::DeliveryService::Stub* stub, Channels* channels) {
  channels->Authenticate(&context_);
  self_ = shared_from_this();
  rpc_ = stub->PrepareAsyncDeliver(&context_, CompletionQueue());
  rpc_->StartCall(&on_started_);
}

void DeliverStream::OnStarted(bool) {
  {
    absl::MutexLock lock(&mutex_);
    write_under_way_ = false;
    Flush();
  }
  // Without success reading says so, too. Last, for its end may be that of the stream.
  rpc_->Read(&response_, &on_read_);
}

v1::Event* DeliverStream::Push(TransactionState& transaction, size_t bytes) {
  return Push(transaction.number, bytes);
}

v1::Event* DeliverStream::Push(uint64_t number, size_t bytes) {
  bytes += kEventOverhead;
  if (queue_.empty() || queue_.back().bytes + bytes > kBatchBytes) queue_.emplace_back();
  queue_.back().bytes += bytes;
  v1::Event* event = queue_.back().request.add_events();
  event->set_transaction(number);
  return event;
}

void DeliverStream::PushAbort(TransactionState& transaction) { Push(transaction, 0)->mutable_abort(); }

void DeliverStream::Await(TransactionState& transaction) {
  if (transaction.awaited++ == 0) transaction.since = std::chrono::steady_clock::now();
}

void DeliverStream::Close(TransactionState& transaction) {
  transaction.open = false;
  transactions_.erase(transaction.number);
  load_.store(transactions_.size(), std::memory_order_relaxed);
}

void DeliverStream::Flush() {
  if (ended_ || write_under_way_) return;
  if (!queue_.empty()) {
    writing_ = std::move(queue_.front());
    queue_.pop_front();
    for (const StatePtr& transaction : writing_.commits) transaction->commit_sent = true;
    write_under_way_ = true;
    rpc_->Write(writing_.request, &on_written_);
  } else if (solo_ && transactions_.empty() && last_number_ > 0 && !half_closed_) {
    half_closed_ = true;
    write_under_way_ = true;
    rpc_->WritesDone(&on_written_);
  }
}

bool DeliverStream::ended() {
  absl::MutexLock lock(&mutex_);
  return ended_;
}

bool DeliverStream::finished() {
  absl::MutexLock lock(&mutex_);
  return half_closed_;
}

bool DeliverStream::Begin(const StatePtr& transaction, v1::Begin* begin) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return false;
    transaction->number = ++last_number_;
    transaction->open = true;
    if (begin->has_declared_size()) transaction->declared_size = begin->declared_size();
    transactions_.emplace(transaction->number, transaction);
    load_.store(transactions_.size(), std::memory_order_relaxed);
    Await(*transaction);
    Push(*transaction, begin->ByteSizeLong())->mutable_begin()->Swap(begin);
  }
  FlushSoon();
  return true;
}

void DeliverStream::Recipient(const StatePtr& transaction, v1::Recipient recipient) {
  {
    absl::MutexLock lock(&mutex_);
    if (!transaction->open) return;
    Await(*transaction);
    Push(*transaction, recipient.ByteSizeLong())->mutable_recipient()->Swap(&recipient);
  }
  FlushSoon();
}

void DeliverStream::Data(const StatePtr& transaction) {
  {
    absl::MutexLock lock(&mutex_);
    if (!transaction->open) return;
    Await(*transaction);
    Push(*transaction, 0)->mutable_data();
  }
  FlushSoon();
}

bool DeliverStream::Chunk(const StatePtr& transaction, std::string octets) {
  const bool granted = octets.size() <= transaction->credit;
  {
    absl::MutexLock lock(&mutex_);
    if (!transaction->open || octets.empty()) return true;
    if (granted) {
      PushChunk(*transaction, std::move(octets));
    } else {
      PushAbort(*transaction);
      Close(*transaction);
    }
  }
  FlushSoon();
  return granted;
}

void DeliverStream::PushChunk(TransactionState& transaction, std::string octets) {
  transaction.crc32c = ExtendCrc32c(transaction.crc32c, octets);
  transaction.size += octets.size();
  if ((transaction.credit -= octets.size()) == 0 && transaction.awaited == 0) {
    transaction.since = std::chrono::steady_clock::now();
  }
  if (octets.size() <= kBatchBytes) {
    const size_t bytes = octets.size();
    Push(transaction, bytes)->set_chunk(std::move(octets));
    return;
  }
  for (size_t at = 0; at < octets.size(); at += kBatchBytes) {
    const size_t n = std::min(kBatchBytes, octets.size() - at);
    Push(transaction, n)->set_chunk(octets.data() + at, n);
  }
}

void DeliverStream::Commit(const StatePtr& transaction, std::string digest) {
  {
    absl::MutexLock lock(&mutex_);
    if (!transaction->open || transaction->commit_queued) return;
    transaction->commit_queued = true;
    if (transaction->awaited == 0) transaction->since = std::chrono::steady_clock::now();
    const size_t bytes = digest.size();
    v1::Commit* commit = Push(*transaction, bytes)->mutable_commit();
    commit->set_size(transaction->size);
    commit->set_crc32c(transaction->crc32c);
    commit->set_digest(std::move(digest));
    queue_.back().commits.push_back(transaction);
  }
  FlushSoon();
}

void DeliverStream::Abort(const StatePtr& transaction) {
  {
    absl::MutexLock lock(&mutex_);
    // Once Commit is on its way Abort has neither effect nor answer.
    if (!transaction->open || transaction->commit_queued) return;
    Await(*transaction);
    PushAbort(*transaction);
  }
  FlushSoon();
}

void DeliverStream::Drop(const StatePtr& transaction) {
  {
    absl::MutexLock lock(&mutex_);
    if (!transaction->open) return;
    if (!transaction->commit_queued) PushAbort(*transaction);
    Close(*transaction);
  }
  FlushSoon();
}

bool DeliverStream::HandedOver(const v1::HandedOver& handed_over) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return false;
  // It belongs to none of the stream's transactions.
  *Push(/*number=*/0, handed_over.ByteSizeLong())->mutable_handed_over() = handed_over;
  return true;
}

bool DeliverStream::Check(uint64_t number, const v1::CheckRecipientRequest& recipient) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return false;
    v1::Check& check = *Push(/*number=*/0, recipient.ByteSizeLong())->mutable_check();
    check.set_number(number);
    *check.mutable_recipient() = recipient;
  }
  FlushSoon();
  return true;
}

void DeliverStream::FlushSoon() {
  {
    absl::MutexLock lock(&mutex_);
    // What is written meanwhile flushes when it is done.
    if (ended_ || write_under_way_ || std::exchange(flush_planned_, true)) return;
  }
  owner_->Soon([self = shared_from_this()] { self->WriteQueued(); });
}

void DeliverStream::WriteQueued() {
  absl::MutexLock lock(&mutex_);
  flush_planned_ = false;
  Flush();
}

std::vector<Lost> DeliverStream::TakeOverdue(std::chrono::steady_clock::time_point limit, bool commits) {
  std::vector<Lost> overdue;
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, transaction] : transactions_) {
    // Without credit, more of it is due as long as octets are to come.
    bool needs_credit = transaction->size > 0 && transaction->credit == 0 && !transaction->commit_queued &&
                        transaction->size < transaction->declared_size.value_or(UINT64_MAX);
    const bool needs_receipts = commits && transaction->commit_queued;
    if ((transaction->awaited > 0 || needs_credit || needs_receipts) && transaction->since < limit) {
      // A queued Commit still goes out, so it counts as sent.
      overdue.push_back({transaction, transaction->commit_queued});
    }
  }
  for (const Lost& lost : overdue) {
    PushAbort(*lost.transaction);
    Close(*lost.transaction);
  }
  if (!overdue.empty()) Flush();
  return overdue;
}

// Returns whether it is the transaction's last answer.
bool DeliverStream::Apply(TransactionState& transaction, const v1::Answer& answer) {
  transaction.since = std::chrono::steady_clock::now();
  switch (answer.kind_case()) {
    case v1::Answer::kBegun:
      transaction.credit += answer.begun().credit();
      break;
    case v1::Answer::kCredit:
      transaction.credit += answer.credit().bytes();
      return false;
    case v1::Answer::kReceipts:
    case v1::Answer::kAborted:
      return true;
    case v1::Answer::kRefused:
      // The store remembers a refused transaction until it is given up.
      PushAbort(transaction);
      return true;
    case v1::Answer::kDecision:
    case v1::Answer::kReady:
    case v1::Answer::kChecked:
    case v1::Answer::KIND_NOT_SET:
      break;
  }
  if (transaction.awaited > 0) --transaction.awaited;
  return false;
}

void DeliverStream::OnRead(bool ok) {
  if (!ok) {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    return rpc_->Finish(&status_, &on_finished_);
  }
  std::vector<std::pair<StatePtr, v1::Answer>> answers;
  std::vector<v1::Checked> checked;
  bool check_unknown = false;
  {
    absl::MutexLock lock(&mutex_);
    answered_ = true;
    for (v1::Answer& answer : *response_.mutable_answers()) {
      if (answer.has_checked()) {
        checked.push_back(std::move(*answer.mutable_checked()));
        continue;
      }
      // No transaction of ours has that number.
      if (answer.transaction() == 0 && answer.has_refused()) check_unknown = true;
      auto found = transactions_.find(answer.transaction());
      if (found == transactions_.end()) continue;
      StatePtr transaction = found->second;
      if (Apply(*transaction, answer)) Close(*transaction);
      answers.emplace_back(std::move(transaction), std::move(answer));
    }
    Flush();
  }
  if (!answers.empty()) owner_->OnAnswers(std::move(answers));
  if (!checked.empty()) owner_->OnChecked(std::move(checked));
  if (check_unknown) owner_->OnCheckUnknown(this);
  rpc_->Read(&response_, &on_read_);
}

void DeliverStream::OnWritten(bool ok) {
  bool over;
  {
    absl::MutexLock lock(&mutex_);
    write_under_way_ = false;
    if (ok) {
      writing_ = Batch();
      Flush();
    } else {
      context_.TryCancel();
    }
    over = finished_ && !write_under_way_;
  }
  if (over) Report();
}

void DeliverStream::OnFinished(bool) {
  {
    absl::MutexLock lock(&mutex_);
    finished_ = true;
    if (write_under_way_) return;
  }
  Report();
}

void DeliverStream::Report() {
  const std::shared_ptr<DeliverStream> keep = std::move(self_);
  std::vector<Lost> lost;
  std::vector<v1::HandedOver> unsent;
  bool answered;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    answered = answered_;
    lost.reserve(transactions_.size());
    for (auto& [number, transaction] : transactions_) {
      transaction->open = false;
      lost.push_back({transaction, transaction->commit_sent});
    }
    transactions_.clear();
    load_ = 0;
    queue_.push_front(std::move(writing_));
    for (Batch& batch : queue_) {
      for (v1::Event& event : *batch.request.mutable_events()) {
        if (event.has_handed_over()) unsent.push_back(std::move(*event.mutable_handed_over()));
      }
    }
    queue_.clear();
  }
  absl::Status why = status_.ok() ? absl::UnavailableError("the store ended the stream") : ToStatus(status_);
  owner_->OnStreamDone(this, std::move(why), answered, std::move(lost), std::move(unsent));
}

}  // namespace restante::client_internal
