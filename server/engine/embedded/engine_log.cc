// The log thread: groups, one append and one sync each, strictly in order.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/group_record.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {

bool EmbeddedEngine::LogHasWork() const {
  return stopping_ || try_repair_ || roll_ ||
         (read_only_.ok() && gathered_.keys.size() > gathered_.unhurried);
}

void EmbeddedEngine::RunLog() {
  while (true) {
    bool repair = false;
    bool roll = false;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &EmbeddedEngine::LogHasWork));
      repair = std::exchange(try_repair_, false) && !read_only_.ok();
      roll = std::exchange(roll_, false) && read_only_.ok();
      if (!repair && !roll && gathered_.keys.empty()) {
        if (stopping_) return;
        continue;
      }
    }
    if (repair) {
      if (BeginSegment().ok()) Repaired();
    } else {
      WriteGroup(roll);
    }
  }
}

stored::SegmentFigures EmbeddedEngine::FiguresOf(uint64_t segment) const {
  stored::SegmentFigures figures;
  const KeyTable::Found found = keys_.Newest(SegmentKey(segment));
  if (found.value != nullptr) figures.ParseFromString(*found.value);
  return figures;
}

EmbeddedEngine::Sealed EmbeddedEngine::Seal(LogPosition at) {
  Sealed sealed;
  // The places of the bodies are known now, and with them the segments' figures.
  std::map<uint64_t, stored::SegmentFigures> figures;
  const auto figures_of = [&](uint64_t segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> auto& {
    const auto it = figures.find(segment);
    return it != figures.end() ? it->second : figures.emplace(segment, FiguresOf(segment)).first->second;
  };
  if (keys_.Newest(SegmentKey(at.segment)).value == nullptr) figures_of(at.segment);
  if (at.segment != log_end_.segment) figures_of(log_end_.segment).set_end(log_end_.offset);
  for (const std::unique_ptr<Staged>& body : gathered_.bodies) {
    if (body->own_file) continue;
    const uint64_t stored_bytes = body->header.stored_bytes();
    stored::SegmentFigures& here = figures_of(at.segment);
    here.set_body_bytes(here.body_bytes() + stored_bytes);
    const std::string key = BodyKey(body->number());
    if (const KeyTable::Found found = keys_.Newest(key); found.value != nullptr) {
      stored::BodyLocation location;
      location.ParseFromString(*found.value);
      if (location.file() != 0) {
        // It moves here.
        stored::SegmentFigures& there = figures_of(location.file());
        there.set_live_bodies(there.live_bodies() - 1);
        there.set_live_bytes(there.live_bytes() - stored_bytes);
      }
      location.set_file(at.segment);
      location.set_offset(at.offset + sealed.bytes);
      Set(key, location.SerializeAsString());
      here.set_live_bodies(here.live_bodies() + 1);
      here.set_live_bytes(here.live_bytes() + stored_bytes);
    }
    sealed.bytes += stored_bytes;
  }
  uint64_t erased = 0;
  for (const std::string& key : gathered_.keys) {
    if (keys_.Newest(key).value == nullptr) erased += key.size();
  }
  if (erased > 0) figures_of(at.segment).set_erased_bytes(figures_of(at.segment).erased_bytes() + erased);
  for (const auto& [segment, value] : figures) Set(SegmentKey(segment), value.SerializeAsString());
  // No number that a durable change uses may be given again.
  std::string next_number;
  PutOrdered64(bodies_->next_number.load(), &next_number);
  if (const KeyTable::Found found = keys_.Newest(kNextNumberKey);
      found.value == nullptr || *found.value != next_number) {
    Set(kNextNumberKey, next_number);
  }
  sealed.gathered = std::exchange(gathered_, Gathered(gathered_.number + 1));
  sealed.group.set_number(sealed.gathered.number);
  sealed.group.set_bytes(sealed.bytes);
  sealed.group.set_store_time_s(StoreTime());
  for (const std::string& key : sealed.gathered.keys) {
    const KeyTable::Found found = keys_.Newest(key);
    if (found.value != nullptr) {
      stored::Put& put = *sealed.group.add_puts();
      put.set_key(key);
      put.set_value(*found.value);
    } else {
      sealed.group.add_erased(key);
    }
  }
  return sealed;
}

uint64_t EmbeddedEngine::SegmentLimit() {
  // A small store has small segments, so that its room comes back in small pieces.
  const uint64_t share = GetCapacity().limit / kSegmentsOfAStore;
  return std::min(options_.segment_bytes, std::max(share, kMinSegmentBytes));
}

void EmbeddedEngine::WriteGroup(bool roll) {
  absl::Status status;
  if (roll || segment_->end().offset >= SegmentLimit()) {
    status = BeginSegment();
    // Where there is no room for another segment there may be some in this one.
    if (absl::IsResourceExhausted(status)) status = absl::OkStatus();
  }
  Sealed sealed;
  {
    absl::MutexLock lock(&mutex_);
    sealed = Seal(segment_->end());
  }
  if (!status.ok()) {
    Fail(std::move(sealed), status);
    return;
  }
  std::vector<absl::string_view> pieces;
  std::string headers;
  for (const std::unique_ptr<Staged>& body : sealed.gathered.bodies) {
    if (body->own_file) continue;
    PutFixed32(body->header.header_crc32c, &headers);
    pieces.push_back(body->encoded_header);
    pieces.insert(pieces.end(), body->blocks.begin(), body->blocks.end());
    pieces.push_back(body->table);
  }
  sealed.group.set_crc32c(Crc32c(headers));
  const GroupRecord record = EncodeGroup(sealed.group, directory_.store(), directory_.format >= 2);
  pieces.push_back(record.header);
  pieces.push_back(record.payload);
  const uint64_t bytes = sealed.bytes + record.stored_bytes();
  {
    absl::MutexLock lock(&mutex_);
    inflight_ = bytes;
  }
  // One append, one sync; then the messages exist. The group record is last, and
  // says what must stand before it, so that a torn group is no group.
  const int64_t begin_us = options_.clock->MonotonicMicros();
  status = segment_->Write(pieces);
  log_bytes_ += bytes;
  if (status.ok()) {
    ++groups_written_;
    group_commits_.Observe(static_cast<double>(sealed.gathered.transactions.size()));
    group_sync_seconds_.Observe(static_cast<double>(options_.clock->MonotonicMicros() - begin_us) * 1e-6);
    Publish(std::move(sealed), segment_->end());
  } else {
    Fail(std::move(sealed), status);
  }
}

void EmbeddedEngine::Publish(Sealed sealed, LogPosition end) {
  std::vector<absl::AnyInvocable<void()>> callbacks;
  bool disk_changed = false;
  const uint64_t number = sealed.gathered.number;
  for (std::unique_ptr<Staged>& body : sealed.gathered.bodies) body->Keep();
  for (const uint64_t body : sealed.gathered.dead_files) {
    remover_.Announce(JoinPath(directory_.bodies(), BodyFileName(body)));
  }
  {
    absl::MutexLock lock(&mutex_);
    inflight_ = 0;
    const uint64_t before = std::exchange(durable_, number);
    log_end_ = end;
    for (const std::string& key : sealed.gathered.keys) {
      if (key[0] != 'h') continue;
      const PartitionId partition = PartitionOfHeadKey(key);
      SumHead(partition, before, number);
      const auto it = unsettled_heads_.find(partition.number);
      if (partition.kind != PartitionId::Kind::kMailbox) {
        TellLedger(partition);
      } else if (it != unsettled_heads_.end()) {
        TellLedger(partition);
        if (it->second <= number) unsettled_heads_.erase(it);
      }
    }
    // In one step: the room is occupied now, and reserved no more.
    disk_changed = TellDisk();
    for (const TransactionId& transaction : sealed.gathered.transactions) EndCommit(transaction, &callbacks);
    if (sealed.gathered.events && events_listener_) callbacks.push_back(events_listener_);
    // First those who wait for the group, then those who settle what was in it.
    std::vector<absl::AnyInvocable<void()>> waiting;
    while (!waiters_.empty() && waiters_.begin()->first <= number) {
      for (Waiter& waiter : waiters_.begin()->second) {
        waiting.push_back([waiter = std::move(waiter)]() mutable { waiter(absl::OkStatus()); });
      }
      waiters_.erase(waiters_.begin());
    }
    for (auto& callback : callbacks) waiting.push_back(std::move(callback));
    callbacks = std::move(waiting);
    unforgotten_.emplace_back(number, std::move(sealed.gathered.keys));
    // In the same step: whoever sees that it is durable may ask for a checkpoint,
    // and that has to come behind it.
    changes_ += static_cast<uint64_t>(sealed.group.puts_size() + sealed.group.erased_size());
    const uint64_t bytes = sealed.bytes + sealed.group.ByteSizeLong();
    index_thread_->Add(std::move(sealed.group), end, bytes);
  }
  Call(std::move(callbacks));
  if (disk_changed) SayDisk();
  if (!sealed.gathered.dead_files.empty()) {
    pool_->Post([this, files = std::move(sealed.gathered.dead_files)] { RemoveBodyFiles(files); });
  }
  // Nobody reads them from memory any more.
  sealed.gathered.bodies.clear();
}

void EmbeddedEngine::Fail(Sealed sealed, const absl::Status& cause) {
  ++failed_groups_;
  const bool full = absl::IsResourceExhausted(cause);
  {
    absl::MutexLock lock(&mutex_);
    read_only_ = cause;
    // Everything that was decided since the last durable group is void: it rests
    // on what failed. Nothing new is decided while read_only_ is set.
    for (const std::string& key : sealed.gathered.keys) keys_.Cut(key, durable_);
    for (const std::string& key : gathered_.keys) keys_.Cut(key, durable_);
    for (const auto* keys : {&sealed.gathered.keys, &gathered_.keys}) {
      for (const std::string& key : *keys) {
        if (key[0] != 'h') continue;
        TellLedger(PartitionOfHeadKey(key));
        TellThresholds(PartitionOfHeadKey(key));
      }
    }
    unsettled_heads_.clear();
    undecided_.push_back(std::move(sealed.gathered));
    undecided_.push_back(std::exchange(gathered_, Gathered(durable_ + 1)));
    for (const Gathered& gathered : undecided_) {
      undecided_ids_.insert(gathered.transactions.begin(), gathered.transactions.end());
    }
  }
  // Either is enough: what was appended is away durably, or a new segment says
  // durably that it does not count.
  const bool cut = segment_->CutBack().ok();
  // A file that only had no room is as good as before; and there may be no room for
  // another one.
  const bool goes_on = (full && cut) || BeginSegment().ok();
  absl::Status verdict;
  if (cut || goes_on) {
    verdict = full ? absl::ResourceExhaustedError(cause.message()) : absl::AbortedError(cause.message());
  } else {
    verdict = absl::UnknownError(cause.message());
  }
  LogLine(LogLevel::kError, absl::StrCat("writing the log: ", cause.message(), "; ",
                                         goes_on ? "what was in flight is refused, the log goes on"
                                                 : (cut ? "what was in flight is refused, read-only"
                                                        : "what was in flight is undecided, read-only")));
  if (full) disk_.Measure().IgnoreError();
  std::vector<absl::AnyInvocable<void()>> callbacks;
  bool disk_changed = false;
  std::vector<Gathered> dropped;
  {
    absl::MutexLock lock(&mutex_);
    inflight_ = 0;
    for (auto& [group, waiters] : waiters_) {
      for (Waiter& waiter : waiters) {
        callbacks.push_back([waiter = std::move(waiter), verdict]() mutable { waiter(verdict); });
      }
    }
    waiters_.clear();
    if (cut || goes_on) {
      dropped = std::exchange(undecided_, {});
      undecided_ids_.clear();
      for (const Gathered& gathered : dropped) {
        for (const TransactionId& transaction : gathered.transactions) EndCommit(transaction, &callbacks);
      }
    } else {
      // Who waits to settle one of these is told that it takes longer.
      for (auto& [transaction, jobs] : settling_) {
        for (auto& job : jobs) callbacks.push_back([this, job] { RunSettle(job); });
      }
      settling_.clear();
    }
    if (goes_on) read_only_ = absl::OkStatus();
    disk_changed = TellDisk();
  }
  Call(std::move(callbacks));
  if (disk_changed) SayDisk();
}

absl::Status EmbeddedEngine::BeginSegment() {
  uint64_t first_group = 0;
  LogPosition end;
  {
    absl::MutexLock lock(&mutex_);
    // (While a group is being sealed in a new segment, it is that group.)
    first_group = durable_ + 1;
    end = log_end_;
  }
  absl::StatusOr<std::unique_ptr<SegmentWriter>> segment =
      SegmentWriter::Begin(*files_, directory_.segments(), end, first_group, directory_.store());
  if (!segment.ok()) return segment.status();
  segment_ = *std::move(segment);
  return absl::OkStatus();
}

void EmbeddedEngine::Repaired() {
  LogLine(LogLevel::kWarning, "the log goes on in a new segment: no longer read-only");
  std::vector<absl::AnyInvocable<void()>> callbacks;
  std::vector<Gathered> dropped;
  {
    absl::MutexLock lock(&mutex_);
    // The new segment says where the log ended: these were not stored.
    dropped = std::exchange(undecided_, {});
    undecided_ids_.clear();
    for (const Gathered& gathered : dropped) {
      for (const TransactionId& transaction : gathered.transactions) EndCommit(transaction, &callbacks);
    }
    read_only_ = absl::OkStatus();
  }
  Call(std::move(callbacks));
}

}  // namespace restante::embedded
