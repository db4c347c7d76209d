// What is looked after once in a while: the disk, old receipts, segments that
// hold nothing any more, and a log that could not be written.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// What removing a segment must give back to be worth a new one.
constexpr uint64_t kWorthRolling = uint64_t{1} << 20;

// Removing a segment logs again what of the index is current in it. Unless most
// of it was bodies, that would cost as much as it gives back, again and again.
bool WorthRemoving(const stored::SegmentFigures& figures, uint64_t size) {
  return figures.live_bodies() == 0 && figures.body_bytes() >= size / 2;
}

}  // namespace

void EmbeddedEngine::RunMaintenance() {
  while (true) {
    disk_.Measure().IgnoreError();
    std::vector<std::string> lines;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      TellDisk(&lines);
      try_repair_ = !read_only_.ok();
      roll_ = NewestSegmentIsDead();
    }
    for (const std::string& line : lines) LogLine(LogLevel::kWarning, line);
    ExpireReceipts();
    RemoveDeadSegments();
    absl::MutexLock lock(&mutex_);
    if (stop_.AwaitFor(&mutex_, options_.maintenance_interval, [this] { return stopping_; })) return;
  }
}

void EmbeddedEngine::ExpireReceipts() {
  // Those of the bucket before may be younger than the lifetime.
  const uint64_t bucket = ReceiptBucket();
  if (bucket < 2 || expired_bucket_ == bucket) return;
  expired_bucket_ = bucket;
  index_thread_->RemoveRange(ReceiptBucketKey(0), ReceiptBucketKey(bucket - 1));
}

void EmbeddedEngine::RemoveBodyFiles(std::vector<uint64_t> bodies) {
  // Durable is that nobody holds them. A crash before this leaves files that no
  // location names, which the next start removes.
  for (const uint64_t body : bodies) {
    const std::string path = JoinPath(directory_.bodies(), BodyFileName(body));
    open_files_.Forget(path);
    files_->Remove(path).IgnoreError();
  }
}

bool EmbeddedEngine::NewestSegmentIsDead() const {
  const KeyTable::Found found = keys_.Newest(SegmentKey(log_end_.segment));
  stored::SegmentFigures figures;
  return found.value != nullptr && figures.ParseFromString(*found.value) &&
         figures.body_bytes() >= kWorthRolling && WorthRemoving(figures, log_end_.offset);
}

void EmbeddedEngine::RemoveDeadSegments() {
  std::vector<std::pair<uint64_t, stored::SegmentFigures>> dead;
  {
    absl::MutexLock lock(&mutex_);
    if (!read_only_.ok()) return;
    keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
      stored::SegmentFigures figures;
      const uint64_t segment = NumberOfKey(key);
      // The newest is being written. One whose figures are about to change holds
      // something, or is looked at again.
      if (value != nullptr && segment < log_end_.segment && figures.ParseFromString(*value) &&
          figures.live_bodies() == 0) {
        dead.emplace_back(segment, std::move(figures));
      }
      return true;
    });
  }
  for (const auto& [segment, figures] : dead) {
    uint64_t carried = 0;
    const absl::StatusOr<SegmentInfo> info =
        ReadSegmentInfo(*files_, directory_.segments(), segment, directory_.store());
    if (info.ok() && !WorthRemoving(figures, info->size)) continue;
    absl::Status status = info.ok() ? CarryForward(segment, &carried) : info.status();
    if (status.ok()) {
      // What was carried is durable, so it is in the index thread's queue, and the
      // checkpoint comes after it: from then on neither recovery nor a rebuilt index
      // needs the segment.
      absl::Notification checkpointed;
      index_thread_->Checkpoint({SegmentKey(segment)}, [&](absl::Status written) {
        status = written;
        checkpointed.Notify();
      });
      checkpointed.WaitForNotification();
    }
    if (!status.ok()) {
      if (!absl::IsCancelled(status)) {
        LogLine(LogLevel::kWarning, absl::StrCat("segment ", segment, " is not removed: ", status.message()));
      }
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      keys_.Remove(SegmentKey(segment));
    }
    const std::string path = JoinPath(directory_.segments(), SegmentName(segment));
    open_files_.Forget(path);
    files_->Remove(path).IgnoreError();
    std::vector<std::string> lines;
    {
      absl::MutexLock lock(&mutex_);
      TellDisk(&lines);
    }
    for (const std::string& line : lines) LogLine(LogLevel::kWarning, line);
  }
}

absl::Status EmbeddedEngine::CarryForward(uint64_t segment, uint64_t* last_group) {
  ASSIGN_OR_RETURN(const SegmentInfo info,
                   ReadSegmentInfo(*files_, directory_.segments(), segment, directory_.store()));
  ASSIGN_OR_RETURN(const SegmentInfo next,
                   ReadSegmentInfo(*files_, directory_.segments(), segment + 1, directory_.store()));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(directory_.segments()));
  uint64_t oldest = segment;
  for (const std::string& name : names) {
    if (const uint64_t number = SegmentOfName(name); number != 0) oldest = std::min(oldest, number);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                   files_->Open(JoinPath(directory_.segments(), SegmentName(segment)), Files::Mode::kRead));
  SegmentReader reader(std::move(file), kSegmentRecordBytes, next.start.previous_end, info.first_group,
                       directory_.store());
  reader.set_verify_bodies(false);
  const uint64_t bucket = ReceiptBucket();
  constexpr size_t kBatch = 1000;
  std::vector<std::pair<std::string, uint64_t>> keys;
  while (true) {
    absl::StatusOr<stored::Group> group = reader.Next();
    if (!group.ok() && !absl::IsOutOfRange(group.status())) return group.status();
    if (group.ok()) {
      for (const stored::Put& put : group->puts()) {
        // Figures and the next number are derived; of old receipts nobody asks.
        const char kind = put.key().empty() ? 's' : put.key()[0];
        if (kind == 's' || kind == 'n') continue;
        if (kind == 'r' && NumberOfKey(put.key()) + 1 < bucket) continue;
        keys.emplace_back(put.key(), group->number());
      }
      if (oldest < segment) {
        for (const std::string& key : group->erased()) keys.emplace_back(key, 0);
      }
    }
    if (keys.size() >= kBatch || !group.ok()) {
      RETURN_IF_ERROR(CarryKeys(keys, last_group));
      keys.clear();
    }
    if (!group.ok()) return absl::OkStatus();
  }
}

// `keys` with the group that put them; 0: erased. What is still so is logged again.
absl::Status EmbeddedEngine::CarryKeys(const std::vector<std::pair<std::string, uint64_t>>& keys,
                                       uint64_t* last_group) {
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Writable());
    snapshot = BeginFetch();
    if (!snapshot) return absl::UnavailableError("the index is being opened again");
  }
  absl::Status status;
  std::vector<std::optional<std::string>> found;
  for (const auto& [key, group] : keys) {
    absl::StatusOr<std::optional<std::string>> value = snapshot->Get(key);
    status.Update(value.status());
    if (!value.ok()) break;
    found.push_back(*std::move(value));
  }
  absl::Notification durable;
  bool wait = false;
  {
    absl::MutexLock lock(&mutex_);
    EndFetch(snapshot->group());
    if (status.ok()) status = Writable();
    for (size_t i = 0; status.ok() && i < keys.size(); ++i) {
      const auto& [key, group] = keys[i];
      const KeyTable::Found newest = keys_.Newest(key);
      std::optional<GroupedValue> stored;
      if (found[i]) stored = SplitGroup(*found[i]);
      // Newer in memory, and so in a later segment; or this very version.
      std::optional<std::string> value;
      uint64_t version = 0;
      if (newest.known) {
        if (newest.value != nullptr) value = *newest.value;
        version = newest.value != nullptr ? newest.group : 0;
      } else if (stored) {
        value = std::string(stored->value);
        version = stored->group;
      }
      if (version != group) continue;
      Set(key, value);
      wait = true;
    }
    if (wait) {
      *last_group = gathered_.number;
      WhenDurable(gathered_.number, [&](const absl::Status& written) {
        status = written;
        durable.Notify();
      });
    }
  }
  snapshot.reset();
  if (wait) durable.WaitForNotification();
  return status;
}

}  // namespace restante::embedded
