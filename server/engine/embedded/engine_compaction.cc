// The compaction thread: which segments hold too little that lives, and when they
// are emptied (engine_emptying.cc). FORMAT.md, "Compaction".
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// Fewer are not worth counting again.
constexpr uint64_t kFewChanges = 5'000;
constexpr uint64_t kFewKeyBytes = uint64_t{64} << 10;
// LevelDB lags behind what was erased; this much is no matter.
constexpr uint64_t kIndexSlack = uint64_t{8} << 20;
// Of a key and its value in a group record.
constexpr uint64_t kFraming = 8;
// While keys are counted, others get the disk and the processor, too.
constexpr uint64_t kBreatheEvery = 4096;

// By command: all that is dead but crumbs.
constexpr CompactionRules kThorough{.dead_share = 0.02, .newest_dead_bytes = 64 << 10, .erased_share = 0.01};

}  // namespace

void EmbeddedEngine::Compact(engine::UpkeepReport report, Done<absl::Status> done) {
  absl::Status refused;
  {
    absl::MutexLock lock(&mutex_);
    refused = Writable();
    if (refused.ok()) compact_jobs_.push_back({std::move(report), std::move(done)});
  }
  stop_.Changed();
  if (!refused.ok()) done(refused);
}

bool EmbeddedEngine::CompactionHasWork() const { return stopping_ || !compact_jobs_.empty(); }

void EmbeddedEngine::RunCompaction() {
  while (true) {
    std::vector<CompactJob> jobs;
    {
      absl::MutexLock lock(&mutex_);
      stop_.AwaitFor(&mutex_, options_.maintenance_interval,
                     [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return CompactionHasWork(); });
      jobs = std::exchange(compact_jobs_, {});
      if (stopping_ && jobs.empty()) return;
    }
    if (jobs.empty()) {
      if (options_.compaction_bytes_per_second != 0) {
        const absl::Status status =
            CompactByRules(CompactionRules(), [](uint64_t, uint64_t) { return true; });
        // (That the disk is full was said, and so was what is as it was before.)
        if (!status.ok() && !absl::IsCancelled(status) && !absl::IsResourceExhausted(status) &&
            status != compaction_trouble_) {
          LogLine(LogLevel::kWarning, absl::StrCat("compaction: ", status.message()));
        }
        compaction_trouble_ = status;
      }
      continue;
    }
    for (CompactJob& job : jobs) {
      const auto report = [&](uint64_t done_bytes, uint64_t total_bytes) {
        return job.report({.done_bytes = done_bytes, .total_bytes = total_bytes, .damages = {}});
      };
      counted_changes_ = UINT64_MAX;  // Know all that is dead.
      CallOne(std::move(job.done), CompactByRules(kThorough, report));
    }
  }
}

absl::Status EmbeddedEngine::CompactByRules(CompactionRules rules, const CompactReport& report) {
  const bool thorough = rules.dead_share < CompactionRules().dead_share;
  uint64_t reclaimed = 0, total = 0, last = UINT64_MAX;
  if (CountIsDue()) RETURN_IF_ERROR(CountKeys());
  for (bool first = true;; first = false) {
    std::vector<SegmentUse> uses;
    {
      absl::MutexLock lock(&mutex_);
      RETURN_IF_ERROR(Writable());
      if (!thorough && !compact_jobs_.empty()) return absl::OkStatus();
      uses = SegmentUses();
    }
    if (first) {
      for (size_t i = 0; i < uses.size(); ++i) total += DeadBytes(uses[i], i == 0);
      if (thorough && !uses.empty()) last = uses.back().number;
    }
    // A command ends, however much is deleted meanwhile.
    while (!uses.empty() && uses.back().number > last) uses.pop_back();
    if (!report(reclaimed, total)) return absl::CancelledError("compaction was given up");
    // The reserve is for this, the ballast is not.
    rules.room = disk_.free_bytes();
    const std::optional<uint64_t> segment = ChooseSegment(uses, rules);
    if (!segment) break;
    const auto use =
        std::find_if(uses.begin(), uses.end(), [&](const SegmentUse& u) { return u.number == *segment; });
    if (use->newest) {
      RETURN_IF_ERROR(LeaveNewestSegment());
      continue;
    }
    uint64_t carried = 0;
    absl::Status status = EmptySegment(*segment, !thorough, &carried);
    if (status.ok()) status = DropSegment(*segment);
    if (!status.ok()) {
      if (absl::IsCancelled(status) || absl::IsUnavailable(status)) return status;
      // Not again before the next start: it is damaged, or cannot be read.
      stuck_segments_.insert(*segment);
      LogLine(LogLevel::kWarning, absl::StrCat("segment ", *segment, " is not removed: ", status.message()));
      continue;
    }
    reclaimed += use->size > carried ? use->size - carried : 0;
    ++compacted_segments_;
  }
  if (!thorough && !IndexIsStale()) return absl::OkStatus();
  return IndexDiskBytes() <= disk_.free_bytes() ? CompactIndex() : absl::OkStatus();
}

// --- what lives where -----------------------------------------------------------

std::vector<SegmentUse> EmbeddedEngine::SegmentUses() const {
  std::vector<SegmentUse> uses;
  keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
    SegmentUse use;
    use.number = NumberOfKey(key);
    stored::SegmentFigures figures;
    if (value == nullptr || !figures.ParseFromString(*value)) return true;
    use.newest = use.number >= log_end_.segment;
    const uint64_t end = use.newest ? log_end_.offset : figures.end();
    use.stuck = stuck_segments_.contains(use.number) || end < kSegmentRecordBytes;
    use.size = end - std::min<uint64_t>(end, kSegmentRecordBytes);
    use.body_bytes = figures.body_bytes();
    use.live_bytes = figures.live_bytes();
    use.erased_bytes = figures.erased_bytes();
    if (const auto it = live_key_bytes_.find(use.number); it != live_key_bytes_.end()) {
      use.live_key_bytes = it->second;
    }
    uses.push_back(use);
    return true;
  });
  return uses;
}

// Counting reads all keys, so it waits until enough was changed, or has come to
// segments that were not counted yet, to be worth that.
bool EmbeddedEngine::CountIsDue() const {
  if (counted_changes_ == UINT64_MAX) return true;
  if (changes_ - counted_changes_ > std::max(kFewChanges, counted_keys_ / 2)) return true;
  uint64_t uncounted = 0;
  absl::MutexLock lock(&mutex_);
  for (const SegmentUse& use : SegmentUses()) {
    if (!use.newest && !use.live_key_bytes) uncounted += use.size - std::min(use.size, use.body_bytes);
  }
  return uncounted > std::max(kFewKeyBytes, counted_bytes_ / 2);
}

// Every value in the index says which group wrote it, and with that which segment
// has to keep it.
absl::Status EmbeddedEngine::CountKeys() {
  SnapshotPtr snapshot;
  std::vector<uint64_t> segments;
  const uint64_t changes = changes_;
  {
    absl::MutexLock lock(&mutex_);
    snapshot = snapshot_;
    keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
      if (value != nullptr && NumberOfKey(key) < log_end_.segment) segments.push_back(NumberOfKey(key));
      return true;
    });
  }
  if (!snapshot) return absl::UnavailableError("the index is being opened again");
  std::map<uint64_t, uint64_t> by_first_group;  // Closed segments.
  std::map<uint64_t, uint64_t> live;
  for (const uint64_t segment : segments) {
    auto it = first_groups_.find(segment);
    if (it == first_groups_.end()) {
      const absl::StatusOr<SegmentInfo> info =
          ReadSegmentInfo(*files_, directory_.segments(), segment, directory_.store());
      if (!info.ok()) continue;  // Damaged: not known, and so left alone.
      it = first_groups_.emplace(segment, info->first_group).first;
    }
    by_first_group[it->second] = segment;
    live[segment] = 0;
  }
  const uint64_t bucket = ReceiptBucket();
  uint64_t keys = 0, bytes = 0;
  absl::Status stopped;
  const auto count = [&](absl::string_view key, absl::string_view stored_value) {
    if (++keys % kBreatheEvery == 0) {
      absl::MutexLock lock(&mutex_);
      if (stop_.AwaitFor(&mutex_, absl::Milliseconds(1), [this] { return stopping_; })) {
        stopped = absl::CancelledError("the store is being closed");
        return false;
      }
    }
    bytes += key.size() + stored_value.size();
    if (key[0] == 'r' && NumberOfKey(key) + 1 < bucket) return true;
    const std::optional<GroupedValue> value = SplitGroup(stored_value);
    if (!value) return true;
    auto it = by_first_group.upper_bound(value->group);
    if (it != by_first_group.begin())
      live[std::prev(it)->second] += key.size() + value->value.size() + kFraming;
    return true;
  };
  // All that is logged: not the markers and the checkpoint.
  const std::pair<std::string, std::string> ranges[] = {{"b", "g"}, {"h", "m"}, {"n", ""}};
  for (const auto& [from, to] : ranges) {
    // What cannot be read is not counted: then a segment is tried in vain, once.
    const absl::Status visited = snapshot->Visit(from, to, count);
    if (!absl::IsDataLoss(visited)) RETURN_IF_ERROR(visited);
    RETURN_IF_ERROR(stopped);
  }
  live_key_bytes_ = std::move(live);
  counted_keys_ = keys;
  counted_bytes_ = bytes;
  counted_changes_ = changes;
  return absl::OkStatus();
}

// --- the index ----------------------------------------------------------------------

uint64_t EmbeddedEngine::IndexDiskBytes() const {
  const absl::StatusOr<std::vector<std::string>> names = files_->List(directory_.index());
  uint64_t bytes = 0;
  if (!names.ok()) return 0;
  for (const std::string& name : *names) {
    if (const auto size = files_->SizeOf(JoinPath(directory_.index(), name)); size.ok()) bytes += *size;
  }
  return bytes;
}

// LevelDB compresses: an index that takes more than its content is mostly not it.
bool EmbeddedEngine::IndexIsStale() {
  if (counted_changes_ == index_compacted_at_) return false;  // Not twice for one count.
  return counted_changes_ != UINT64_MAX && IndexDiskBytes() > counted_bytes_ + kIndexSlack;
}

absl::Status EmbeddedEngine::CompactIndex() {
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    snapshot = snapshot_;
  }
  if (!snapshot) return absl::UnavailableError("the index is being opened again");
  index_compacted_at_ = counted_changes_;
  const absl::Status compacted = snapshot->CompactIndex([this] {
    absl::MutexLock lock(&mutex_);
    return !stopping_;
  });
  // If LevelDB has met damage, or a disk that fails, the index thread is told so, too.
  return absl::IsCancelled(compacted) ? compacted : absl::OkStatus();
}

}  // namespace restante::embedded
