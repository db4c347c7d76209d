#include "server/engine/embedded/index_thread.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/status_macros.h"

namespace restante::embedded {
namespace {

// Of group records, that are worth a batch.
constexpr uint64_t kBatchBytes = uint64_t{1} << 20;
constexpr absl::Duration kRetryAfter = absl::Milliseconds(500);

}  // namespace

IndexThread::IndexThread(Index* index, const Replayed& recovered, uint64_t checkpoint_bytes,
                         Callbacks callbacks)
    : index_(index),
      checkpoint_bytes_(checkpoint_bytes),
      callbacks_(std::move(callbacks)),
      checkpointed_group_(recovered.checkpoint),
      reached_(MakeCheckpoint(recovered.last_group, recovered.end, recovered.store_time_s)),
      since_checkpoint_(recovered.log_bytes) {
  thread_ = std::thread([this] { Run(); });
}

IndexThread::~IndexThread() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.Changed();
  thread_.join();
}

void IndexThread::Add(stored::Group group, LogPosition end, uint64_t bytes) {
  const uint64_t group_bytes = group.ByteSizeLong();
  backlog_bytes_ += group_bytes;
  absl::MutexLock lock(&mutex_);
  queue_.push_back(
      {.group = std::move(group), .end = end, .log_bytes = bytes, .group_bytes = group_bytes, .task = {}});
  queued_bytes_ += group_bytes;
  queued_log_bytes_ += bytes;
}

void IndexThread::Hurry() {
  absl::MutexLock lock(&mutex_);
  hurry_ = !queue_.empty();
}

void IndexThread::AddTask(absl::AnyInvocable<absl::Status()> task) {
  Item item;
  item.task = std::move(task);
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(item));
  hurry_ = true;
}

void IndexThread::Checkpoint(absl::AnyInvocable<void(absl::Status)> done) {
  AddTask([this, done = std::move(done)]() mutable {
    absl::Status status = works_ ? WriteCheckpoint() : absl::UnavailableError("the index does not work");
    done(status);
    return status;
  });
}

void IndexThread::PutUnlogged(std::string key, std::string value, bool durable) {
  AddTask([this, key = std::move(key), value = std::move(value), durable]() -> absl::Status {
    if (!works_) return absl::OkStatus();
    RETURN_IF_ERROR(index_->PutUnlogged(key, value));
    return durable ? WriteCheckpoint() : absl::OkStatus();
  });
}

void IndexThread::RemoveRange(std::string from, std::string to) {
  AddTask([this, from = std::move(from), to = std::move(to)] {
    return works_ ? index_->RemoveRange(from, to) : absl::OkStatus();
  });
}

bool IndexThread::HasWork() const {
  if (queue_.empty()) return stopping_;
  // A start reads what no checkpoint covers, so that is little, however large bodies are.
  return stopping_ || hurry_ || queued_bytes_ >= kBatchBytes || queued_log_bytes_ >= checkpoint_bytes_ / 4;
}

void IndexThread::Run() {
  while (true) {
    std::vector<Item> batch;
    uint64_t bytes = 0;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &IndexThread::HasWork));
      while (!queue_.empty() && bytes < kBatchBytes) {
        const bool task = queue_.front().group.number() == 0;
        if (task && !batch.empty()) break;
        bytes += queue_.front().group_bytes;
        queued_log_bytes_ -= queue_.front().log_bytes;
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
        if (task) break;
      }
      queued_bytes_ -= bytes;
      if (queue_.empty()) hurry_ = false;
    }
    if (batch.empty()) break;
    const bool task = batch.front().group.number() == 0;
    absl::Status status = task ? batch.front().task() : ApplyBatch(batch);
    while (!status.ok()) {
      if (absl::IsDataLoss(status)) {
        Leave(status);
        break;
      }
      Reopen(status);
      if (task || !works_) break;
      status = ApplyBatch(batch);
    }
    if (works_) backlog_bytes_ -= bytes;
  }
  // So that the next start has nothing to replay.
  if (works_) WriteCheckpoint().IgnoreError();
}

absl::Status IndexThread::ApplyBatch(std::vector<Item>& batch) {
  if (!works_ || batch.empty()) return absl::OkStatus();
  std::vector<const stored::Group*> groups;
  for (const Item& item : batch) groups.push_back(&item.group);
  const Item& last = batch.back();
  const stored::Checkpoint behind = MakeCheckpoint(last.group.number(), last.end, last.group.store_time_s());
  RETURN_IF_ERROR(index_->Apply(groups, &behind));
  reached_ = behind;
  callbacks_.snapshot(index_->Snapshot(behind.group()));
  for (const Item& item : batch) since_checkpoint_ += item.log_bytes;
  batch.clear();
  // With what may be queued then, it is checkpoint_bytes_ in all.
  return since_checkpoint_ >= checkpoint_bytes_ / 4 * 3 ? WriteCheckpoint() : absl::OkStatus();
}

absl::Status IndexThread::WriteCheckpoint() {
  RETURN_IF_ERROR(index_->WriteCheckpoint(reached_));
  checkpointed_group_ = reached_.group();
  since_checkpoint_ = 0;
  ++checkpoints_;
  return absl::OkStatus();
}

void IndexThread::Leave(const absl::Status& cause) {
  works_ = false;
  damaged_ = true;
  callbacks_.log(absl::StrCat(cause.message(),
                              "; nothing more is put into the index, start the store with --rebuild-index"));
}

void IndexThread::Reopen(absl::Status cause) {
  works_ = false;
  callbacks_.snapshot(nullptr);
  callbacks_.log(absl::StrCat("the index is opened again: ", cause.message()));
  while (!works_) {
    // Waits for readers.
    index_->Close();
    ++reopened_;
    cause = index_->Open(/*create=*/false);
    if (cause.ok()) cause = callbacks_.replay(reached_.group());
    if (cause.ok()) {
      works_ = true;
      callbacks_.log("the index works again");
      callbacks_.snapshot(index_->Snapshot(reached_.group()));
      return;
    }
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    stop_.AwaitFor(&mutex_, kRetryAfter, [this] { return stopping_; });
  }
}

}  // namespace restante::embedded
