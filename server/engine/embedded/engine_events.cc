// Events: what operators should know of, written in the group of what happened.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/merged_scan.h"

namespace restante::embedded {
namespace {

// Crossings in one group at most, where they need not be in the same one.
constexpr size_t kRecordedAtOnce = 1000;
// Events that are looked at at once for their age.
constexpr uint64_t kExpiredAtOnce = 1000;

}  // namespace

stored::EventsHead EmbeddedEngine::EventsAsOf(uint64_t group) const {
  stored::EventsHead head;
  const KeyTable::Found found = keys_.AsOf(kEventsKey, group);
  if (found.value != nullptr) head.ParseFromString(*found.value);
  head.set_next(std::max<uint64_t>(1, head.next()));
  head.set_oldest(std::clamp<uint64_t>(head.oldest(), 1, head.next()));
  return head;
}

void EmbeddedEngine::TellThresholds(PartitionId partition) {
  if (partition.kind == PartitionId::Kind::kDirectory) return;
  const bool mailbox = partition.kind == PartitionId::Kind::kMailbox;
  const KeyTable::Found found = keys_.Newest(HeadKey(partition));
  stored::Head head;
  if (found.value == nullptr || !head.ParseFromString(*found.value)) {
    if (mailbox) thresholds_.EraseMailbox(partition.number);
    if (!mailbox) thresholds_.EraseDomain(partition.number);
    return;
  }
  if (mailbox) thresholds_.PutMailbox(partition.number, head.mailbox());
  if (!mailbox) thresholds_.PutDomain(partition.number, head.domain());
}

void EmbeddedEngine::RecordCrossings(PartitionId changed) {
  const std::vector<engine::Crossing> crossings = thresholds_.Crossed(changed);
  if (!crossings.empty()) Record(crossings);
}

void EmbeddedEngine::Record(const std::vector<engine::Crossing>& crossings) {
  for (const engine::Crossing& crossing : crossings) {
    const std::string key = HeadKey(crossing.partition);
    const KeyTable::Found found = keys_.Newest(key);
    stored::Head head;
    if (found.value == nullptr || !head.ParseFromString(*found.value)) continue;
    stored::Event event = crossing.Apply(&head);
    // Usage and limits stay: the ledger has nothing to learn.
    Set(key, head.SerializeAsString());
    TellThresholds(crossing.partition);
    AddEvent(std::move(event));
  }
}

void EmbeddedEngine::RecordMissed() {
  std::vector<engine::Crossing> crossings;
  {
    absl::MutexLock lock(&mutex_);
    crossings = thresholds_.AllCrossed();
  }
  for (size_t at = 0; at < crossings.size(); at += kRecordedAtOnce) {
    absl::Notification written;
    {
      absl::MutexLock lock(&mutex_);
      // (What is not recorded now the next change finds, or the next start.)
      if (!Writable().ok()) return;
      const auto begin = crossings.begin() + static_cast<ptrdiff_t>(at);
      Record({begin, begin + static_cast<ptrdiff_t>(std::min(kRecordedAtOnce, crossings.size() - at))});
      if (gathered_.keys.empty()) continue;
      WhenDurable(gathered_.number, [&](const absl::Status&) { written.Notify(); });
    }
    written.WaitForNotification();
  }
}

void EmbeddedEngine::RecordDisk() {
  // Not while the store is opened, nor while nothing can be written: it is looked at
  // again within a second.
  if (index_thread_ == nullptr || !Writable().ok()) return;
  const engine::Capacity capacity = ledger_.capacity();
  if (capacity.full == EventsAsOf(gathered_.number).disk_full()) return;
  stored::Event event;
  stored::DiskEvent& disk = *event.mutable_disk();
  disk.set_full(capacity.full);
  disk.set_used_bytes(capacity.used);
  disk.set_limit_bytes(capacity.limit);
  AddEvent(std::move(event));
}

void EmbeddedEngine::AddEvent(stored::Event event) {
  stored::EventsHead head = EventsAsOf(gathered_.number);
  event.set_sequence(head.next());
  event.set_time_us(options_.clock->WallMicros());
  event.set_store_time_s(StoreTime());
  head.set_next(head.next() + 1);
  if (event.has_disk()) head.set_disk_full(event.disk().full());
  Set(EventKey(event.sequence()), event.SerializeAsString());
  Set(kEventsKey, head.SerializeAsString());
  gathered_.events = true;
}

void EmbeddedEngine::OnEvents(std::function<void()> listener) {
  absl::MutexLock lock(&mutex_);
  events_listener_ = std::move(listener);
}

void EmbeddedEngine::ReadEvents(uint64_t after, size_t limit, Done<absl::StatusOr<engine::EventPage>> done) {
  engine::EventPage page;
  std::string from, to;
  MergedScan::Newer newer;
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    const stored::EventsHead head = EventsAsOf(durable_);
    page.oldest = head.oldest();
    page.next = head.next();
    const uint64_t first = after < head.oldest() ? head.oldest() : after + 1;
    if (limit > 0 && after < head.next() - 1 && first < head.next()) {
      from = EventKey(first);
      to = EventKey(head.next());
      newer = MergedScan::Collect(keys_, from, to, durable_);
      snapshot = snapshot_;
    }
  }
  if (from.empty()) {
    done(std::move(page));
    return;
  }
  if (!snapshot) {
    done(absl::UnavailableError("the index is being opened again"));
    return;
  }
  pool_->Post([from, to, limit, page = std::move(page), newer = std::move(newer),
               snapshot = std::move(snapshot), done = std::move(done)]() mutable {
    absl::Status damaged;
    absl::Status status =
        MergedScan::Visit(*snapshot, newer, from, to, [&](absl::string_view key, absl::string_view value) {
          stored::Event& event = page.events.emplace_back();
          if (!event.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
            damaged = absl::DataLossError(absl::StrCat("event ", NumberOfKey(key), ": damaged"));
          }
          return damaged.ok() && page.events.size() < limit;
        });
    snapshot.reset();
    status.Update(damaged);
    if (status.ok()) {
      done(std::move(page));
    } else {
      done(status);
    }
  });
}

void EmbeddedEngine::ExpireEvents() {
  stored::EventsHead head;
  MergedScan::Newer newer;
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    head = EventsAsOf(durable_);
    const bool too_many = head.next() - head.oldest() > options_.max_events;
    const bool known = oldest_event_ == head.oldest();
    if (head.oldest() == head.next()) return;
    if (!too_many && known && StoreTime() < oldest_event_s_ + options_.event_retention_seconds) return;
    snapshot = snapshot_;
    newer = MergedScan::Collect(keys_, EventKey(head.oldest()), EventKey(head.next()), durable_);
  }
  if (!snapshot) return;
  const uint64_t now = StoreTime();
  // The first that is kept. (One that cannot be read goes like an old one.)
  uint64_t keep = head.oldest();
  const absl::Status read =
      MergedScan::Visit(*snapshot, newer, EventKey(head.oldest()), EventKey(head.next()),
                        [&](absl::string_view key, absl::string_view value) {
                          stored::Event event;
                          event.ParseFromArray(value.data(), static_cast<int>(value.size()));
                          keep = NumberOfKey(key);
                          oldest_event_ = keep;
                          oldest_event_s_ = event.store_time_s();
                          if (head.next() - keep <= options_.max_events &&
                              now < oldest_event_s_ + options_.event_retention_seconds) {
                            return false;
                          }
                          ++keep;
                          return keep - head.oldest() < kExpiredAtOnce;
                        });
  if (!read.ok() || keep == head.oldest()) return;
  absl::MutexLock lock(&mutex_);
  if (!Writable().ok()) return;
  for (uint64_t sequence = head.oldest(); sequence < keep; ++sequence) EraseUnhurried(EventKey(sequence));
  head = EventsAsOf(gathered_.number);
  head.set_oldest(keep);
  SetUnhurried(kEventsKey, head.SerializeAsString());
}

}  // namespace restante::embedded
