#include "server/engine/embedded/embedded_engine.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/data_dir_check.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

constexpr int kPoolThreads = 4;

// Every octet that is there already, but for the ballast. (Its spare files are empty.)
absl::Status CountDirectory(CountingFiles& files, const std::string& path, const std::string& ballast) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(path));
  for (const std::string& name : names) {
    const std::string child = JoinPath(path, name);
    if (child == ballast || name == "lost+found") continue;
    ASSIGN_OR_RETURN(const bool is_directory, files.IsDirectory(child));
    if (is_directory) {
      RETURN_IF_ERROR(CountDirectory(files, child, ballast));
    } else {
      ASSIGN_OR_RETURN(const uint64_t size, files.SizeOf(child));
      files.Add(static_cast<int64_t>(size));
    }
  }
  return absl::OkStatus();
}

// A small disk gets an index of small pieces (DiskRoom).
size_t IndexBuffer(Files& files, const std::string& path) {
  const absl::StatusOr<Files::Space> space = files.SpaceAt(path);
  if (!space.ok()) return Index::kLargestBuffer;
  return std::clamp<uint64_t>(space->total / 1024, Index::kSmallestBuffer, Index::kLargestBuffer);
}

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Engine>> Open(Options options) {
  return EmbeddedEngine::Open(std::move(options));
}

absl::StatusOr<std::unique_ptr<engine::Engine>> EmbeddedEngine::Open(Options options) {
  ASSIGN_OR_RETURN(DataDir directory,
                   OpenDataDir(*options.files, options.data_dir, options.create, options.restoring));
  const std::string path = directory.path;
  const std::string warning = directory.warning;
  // What cannot be opened stays as it is. (A rebuild looks for itself.)
  if (!options.rebuild_index) {
    RETURN_IF_ERROR(AsRefusal(CheckStore(*options.files, directory), path));
  }
  RETURN_IF_ERROR(ClaimDataDir(*options.files, directory));
  auto files = std::make_shared<CountingFiles>(options.files);
  if (absl::Status counted = CountDirectory(*files, path, directory.ballast()); !counted.ok()) {
    return AsRefusal(counted, path);
  }
  auto engine =
      absl::WrapUnique(new EmbeddedEngine(std::move(options), std::move(directory), std::move(files)));
  RETURN_IF_ERROR(AsRefusal(engine->Recover(), path));
  engine->Start();
  RETURN_IF_ERROR(AsRefusal(engine->Upgrade(), path));
  if (!warning.empty()) engine->LogLine(LogLevel::kWarning, warning);
  return engine;
}

EmbeddedEngine::EmbeddedEngine(Options options, DataDir directory, std::shared_ptr<CountingFiles> counted)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      counted_(std::move(counted)),
      ballast_(std::make_shared<Ballast>(options_.files, directory_.ballast(), directory_.spares())),
      files_(std::make_shared<BallastedFiles>(counted_, ballast_, Ballast::Share::kThreeQuarters)),
      index_files_(counted_, ballast_, Ballast::Share::kAll),
      pool_(std::make_shared<ThreadPool>(kPoolThreads)),
      bodies_(std::make_shared<BodyShared>()),
      open_files_(files_.get()),
      remover_(files_.get()),
      disk_(counted_, ballast_, directory_.path,
            {.max_disk = options_.max_disk, .reserve = options_.disk_reserve, .ballast = options_.ballast}),
      index_(&index_files_, directory_.index(), IndexBuffer(*counted_, directory_.path)),
      thresholds_(options_.rules),
      ledger_(options_.rules, options_.clock) {
  bodies_->files = std::make_shared<BallastedFiles>(counted_, ballast_, Ballast::Share::kHalf);
  bodies_->pool = pool_;
  bodies_->directory = directory_.bodies();
  bodies_->store = directory_.store();
  bodies_->memory_limit = options_.body_memory;
  bodies_->own_file_bytes = options_.own_file_bytes;
}

absl::Status EmbeddedEngine::Recover() {
  const int64_t began_us = options_.clock->MonotonicMicros();
  RETURN_IF_ERROR(SettleLog(*files_, directory_));
  if (options_.rebuild_index) {
    ASSIGN_OR_RETURN(Rebuilt rebuilt, RebuildIndex(*files_, directory_));
    LogLine(LogLevel::kWarning,
            absl::StrCat("the index was made again from ", rebuilt.groups, " groups in ", rebuilt.segments,
                         " segments; groups with a damaged body: ", rebuilt.damaged_groups));
    corrections_ = std::move(rebuilt.corrections);
  }
  RETURN_IF_ERROR(OpenIndex(index_));
  ASSIGN_OR_RETURN(recovered_, ReplayLog(*files_, directory_.segments(), directory_.store(), index_,
                                         /*last_group=*/std::nullopt));
  if (recovered_.damaged_groups > 0) {
    LogLine(LogLevel::kError, absl::StrCat("the log has ", recovered_.damaged_groups,
                                           " groups with a damaged body; `restante store scrub` names the "
                                           "messages"));
  }
  store_time_base_ = recovered_.store_time_s;
  opened_us_ = options_.clock->MonotonicMicros();
  {
    absl::MutexLock lock(&mutex_);
    durable_ = recovered_.last_group;
    log_end_ = recovered_.end;
    gathered_.number = durable_ + 1;
    snapshot_ = index_.Snapshot(durable_);
  }
  RETURN_IF_ERROR(LoadPinned());
  RETURN_IF_ERROR(CheckSegments());
  if (!options_.rebuild_index) RETURN_IF_ERROR(FindUnlogged());
  RETURN_IF_ERROR(RemoveLeftovers());
  ASSIGN_OR_RETURN(segment_, SegmentWriter::GoOn(*files_, directory_.segments(), recovered_.end));
  RETURN_IF_ERROR(disk_.Measure());
  RestoreBallast();
  recovery_micros_ = options_.clock->MonotonicMicros() - began_us;
  return absl::OkStatus();
}

absl::Status EmbeddedEngine::LoadPinned() {
  absl::MutexLock lock(&mutex_);
  absl::Status damaged;
  const auto load = [&](absl::string_view key, absl::string_view stored)
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                          const std::optional<GroupedValue> value = SplitGroup(stored);
                          if (!value) {
                            damaged = absl::DataLossError("index: a value without its group");
                            return false;
                          }
                          keys_.Put(key, std::string(value->value), value->group);
                          return true;
                        };
  const std::string directory = PartitionKey(PartitionId::Directory(), "");
  const std::pair<std::string, std::string> ranges[] = {{"h", AfterPrefix("h")},
                                                        {directory, AfterPrefix(directory)},
                                                        {"n", AfterPrefix("n")},
                                                        {"v", AfterPrefix("v")},
                                                        {"s", AfterPrefix("s")}};
  for (const auto& [from, to] : ranges) {
    RETURN_IF_ERROR(snapshot_->Visit(from, to, load));
    RETURN_IF_ERROR(damaged);
  }
  const KeyTable::Found next = keys_.Newest(kNextNumberKey);
  if (next.value != nullptr && next.value->size() == 8) bodies_->next_number = GetOrdered64(*next.value, 0);
  TellAll();
  return absl::OkStatus();
}

absl::Status EmbeddedEngine::CheckSegments() {
  absl::MutexLock lock(&mutex_);
  absl::Status missing;
  keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string*) {
    const std::string path = JoinPath(directory_.segments(), SegmentName(NumberOfKey(key)));
    if (absl::StatusOr<uint64_t> size = files_->SizeOf(path); !size.ok()) {
      missing =
          absl::IsNotFound(size.status())
              ? absl::DataLossError(absl::StrCat(path, ": segment is missing, restore it from a backup"))
              : size.status();
    }
    return missing.ok();
  });
  return missing;
}

absl::Status EmbeddedEngine::FindUnlogged() {
  absl::MutexLock lock(&mutex_);
  const bool upgrade = directory_.format < 2;
  absl::Status status;
  std::set<uint64_t> known;
  keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
    const uint64_t segment = NumberOfKey(key);
    known.insert(segment);
    stored::SegmentFigures figures;
    if (segment >= log_end_.segment || !figures.ParseFromString(*value)) return true;
    // In the present format only the one before the newest, if the last process
    // began that and had no group to put into it.
    if (!upgrade && figures.end() != 0) return true;
    // Its successor says where it ends. In format 1, if that is gone it was cut there.
    const absl::StatusOr<SegmentInfo> next =
        ReadSegmentInfo(*files_, directory_.segments(), segment + 1, directory_.store());
    if (next.ok()) {
      figures.set_end(next->start.previous_end);
    } else if (!absl::IsNotFound(next.status())) {
      status = next.status();
    } else if (!upgrade) {
      return true;
    } else {
      const absl::StatusOr<uint64_t> size =
          files_->SizeOf(JoinPath(directory_.segments(), SegmentName(segment)));
      status = size.status();
      if (size.ok()) figures.set_end(*size);
    }
    if (!status.ok()) return false;
    corrections_.emplace_back(key, figures.SerializeAsString());
    return true;
  });
  RETURN_IF_ERROR(status);
  for (uint64_t segment = 1; upgrade && segment < log_end_.segment; ++segment) {
    if (!known.contains(segment)) corrections_.emplace_back(SegmentKey(segment), std::nullopt);
  }
  return absl::OkStatus();
}

absl::Status EmbeddedEngine::Upgrade() {
  if (!corrections_.empty()) {
    absl::Notification durable;
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      for (auto& [key, value] : corrections_) Set(key, std::move(value));
      WhenDurable(gathered_.number, [&](const absl::Status& written) {
        status = written;
        durable.Notify();
      });
    }
    durable.WaitForNotification();
    RETURN_IF_ERROR(status);
    corrections_.clear();
  }
  if (directory_.format < kFormatVersion) RETURN_IF_ERROR(WriteFormat(*files_, directory_, kFormatVersion));
  RecordMissed();
  compaction_thread_ = std::thread([this] { RunCompaction(); });
  StartScrubs();
  return absl::OkStatus();
}

absl::Status EmbeddedEngine::RemoveLeftovers() {
  SnapshotPtr snapshot;
  absl::flat_hash_set<uint64_t> segments;
  {
    absl::MutexLock lock(&mutex_);
    snapshot = snapshot_;
    keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string*) {
      segments.insert(NumberOfKey(key));
      return true;
    });
  }
  // A segment that the index has let go, and whose removal a crash cut off. (The
  // newest may hold no group yet, and so not be known.)
  bool checkpointed = recovered_.groups == 0;
  ASSIGN_OR_RETURN(const std::vector<std::string> logs, files_->List(directory_.segments()));
  for (const std::string& name : logs) {
    const uint64_t segment = SegmentOfName(name);
    if (segment == 0 || segment >= recovered_.end.segment || segments.contains(segment)) continue;
    // It may go when a checkpoint is behind it. (If that cannot be written, everything is
    // as before, and the next start removes it.)
    checkpointed = checkpointed || index_.WriteCheckpoint(RecoveredTo()).ok();
    ASSIGN_OR_RETURN(const stored::Checkpoint checkpoint, index_.ReadCheckpoint());
    if (!checkpointed || segment >= checkpoint.segment()) continue;
    RETURN_IF_ERROR(files_->Remove(JoinPath(directory_.segments(), name)));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(directory_.bodies()));
  for (const std::string& name : names) {
    const uint64_t body = BodyOfFileName(name);
    if (body != 0) {
      // A number that no durable change has used is given again: a body in the log
      // may have that of a file whose removal did not last.
      ASSIGN_OR_RETURN(const std::optional<std::string> value, snapshot->Get(BodyKey(body)));
      const std::optional<GroupedValue> split = value ? SplitGroup(*value) : std::nullopt;
      stored::BodyLocation location;
      if (value &&
          (!split || !location.ParseFromArray(split->value.data(), static_cast<int>(split->value.size())))) {
        return absl::DataLossError(absl::StrCat("body ", body, ": damaged location"));
      }
      if (location.own_file()) {
        ASSIGN_OR_RETURN(const uint64_t size, files_->SizeOf(JoinPath(directory_.bodies(), name)));
        bodies_->kept_file_bytes += size;
        continue;
      }
    } else if (BodyOfPartName(name) == 0) {
      continue;
    }
    RETURN_IF_ERROR(files_->Remove(JoinPath(directory_.bodies(), name)));
  }
  return absl::OkStatus();
}

stored::Checkpoint EmbeddedEngine::RecoveredTo() const {
  return MakeCheckpoint(recovered_.last_group, recovered_.end, recovered_.store_time_s);
}

void EmbeddedEngine::Start() {
  IndexThread::Callbacks callbacks;
  callbacks.snapshot = [this](SnapshotPtr snapshot) {
    SnapshotPtr old;  // Let go outside the lock.
    absl::MutexLock lock(&mutex_);
    old = std::exchange(snapshot_, std::move(snapshot));
    if (!snapshot_) return;
    uint64_t group = snapshot_->group();
    if (!fetches_.empty()) group = std::min(group, *fetches_.begin());
    while (!unforgotten_.empty() && unforgotten_.front().first <= group) {
      for (const std::string& key : unforgotten_.front().second) keys_.Forget(key, group);
      unforgotten_.pop_front();
    }
  };
  callbacks.replay = [this](uint64_t last_group) {
    return ReplayLog(*files_, directory_.segments(), directory_.store(), index_, last_group).status();
  };
  callbacks.log = [this](const std::string& line) { LogLine(LogLevel::kError, line); };
  SnapshotPtr as_recovered;
  {
    absl::MutexLock lock(&mutex_);
    as_recovered = snapshot_;
  }
  // From here on the index is that thread's, which may have to reopen it at any moment.
  index_thread_ =
      std::make_unique<IndexThread>(&index_, recovered_, options_.checkpoint_bytes, std::move(callbacks));
  // What was replayed is not replayed again.
  if (recovered_.groups > 0) index_thread_->Checkpoint([](const absl::Status&) {});
  // Mail is refused from now on, not from the next look at the disk on. (Not here:
  // whoever needed it may hold LevelDB's lock.)
  ballast_->WhenGivenUp([this] {
    pool_->Post([this] {
      disk_.Measure().IgnoreError();
      DiskMeasured();
    });
  });
  // Until that is done, LevelDB is asked.
  pool_->Post([this, snapshot = std::move(as_recovered), steps = 0]() mutable {
    const auto go_on = [&] {
      if (++steps % 1024 != 0) return true;
      absl::MutexLock lock(&mutex_);
      return !stopping_;
    };
    // What cannot be read is for LevelDB to say.
    snapshot->FindReceipts(&index_.receipts(), go_on).IgnoreError();
    snapshot.reset();
  });
  swept_period_ = SweepPeriod();
  log_thread_ = std::thread([this] { RunLog(); });
  maintenance_thread_ = std::thread([this] { RunMaintenance(); });
}

EmbeddedEngine::~EmbeddedEngine() {
  {
    absl::MutexLock lock(&mutex_);
    // What was handed over before is logged; that takes the pool and not the disk.
    mutex_.Await(absl::Condition(
        +[](absl::flat_hash_set<TransactionId>* handed_over) { return handed_over->empty(); },
        &handed_over_));
    stopping_ = true;
  }
  stop_.Changed();
  scrub_thread_.reset();
  backup_thread_.Stop();
  if (log_thread_.joinable()) {
    maintenance_thread_.join();
    if (compaction_thread_.joinable()) compaction_thread_.join();
    log_thread_.join();
  }
  ballast_->WhenGivenUp(nullptr);
  // What waits for a group was told by the log thread; reads end by themselves.
  pool_->Stop();
  callbacks_.Stop();
  {
    absl::MutexLock lock(&mutex_);
    // The next start decides about these; their files must be there if it finds them.
    for (Gathered& gathered : undecided_) {
      for (std::unique_ptr<Staged>& body : gathered.bodies) body->Keep();
    }
  }
  index_thread_.reset();
  absl::MutexLock lock(&mutex_);
  undecided_.clear();
  snapshot_.reset();
}

uint64_t EmbeddedEngine::StoreTime() const {
  return store_time_base_ + static_cast<uint64_t>(options_.clock->MonotonicMicros() - opened_us_) / 1'000'000;
}

void EmbeddedEngine::LogLine(LogLevel level, const std::string& text) const {
  if (options_.log) {
    options_.log(level, text);
  } else {
    Log(level, text, {{"data_dir", directory_.path}});
  }
}

void EmbeddedEngine::Call(std::vector<absl::AnyInvocable<void()>> callbacks) {
  if (callbacks.empty()) return;
  callbacks_.Post([callbacks = std::move(callbacks)]() mutable {
    for (auto& callback : callbacks) callback();
  });
}

engine::Capacity EmbeddedEngine::GetCapacity() {
  absl::MutexLock lock(&mutex_);
  engine::Capacity capacity = ledger_.capacity();
  // The log has no room: that is a full disk, not a broken one.
  if (absl::IsResourceExhausted(read_only_)) {
    capacity.full = true;
    capacity.available = 0;
  } else {
    capacity.read_only = !read_only_.ok();
  }
  return capacity;
}

bool EmbeddedEngine::HasDomains() {
  absl::MutexLock lock(&mutex_);
  bool found = false;
  const std::string from = HeadKey(PartitionId::Domain(0));
  keys_.Visit(from, HeadKey(PartitionId::Mailbox(0)), durable_,
              [&](const std::string&, const std::string* value) {
                found = value != nullptr;
                return !found;
              });
  return found;
}

std::map<std::string, Histogram::Values> EmbeddedEngine::Histograms() {
  return {{"group_commits", group_commits_.Read()}, {"group_sync_seconds", group_sync_seconds_.Read()}};
}

std::map<std::string, uint64_t> EmbeddedEngine::Figures() {
  std::map<std::string, uint64_t> figures;
  figures["recovery_log_bytes"] = recovered_.log_bytes;
  figures["recovery_groups"] = recovered_.groups;
  figures["recovery_micros"] = static_cast<uint64_t>(recovery_micros_);
  figures["groups"] = groups_written_;
  figures["failed_groups"] = failed_groups_;
  figures["commits"] = commits_;
  figures["log_written_bytes"] = log_bytes_;
  figures["index_backlog_bytes"] = index_thread_->backlog_bytes();
  figures["index_checkpoints"] = index_thread_->checkpoints();
  figures["index_damaged"] = index_thread_->damaged();
  figures["index_reopened"] = index_thread_->reopened();
  figures["disk_used_bytes"] = counted_->bytes();
  figures["disk_free_bytes"] = disk_.free_bytes();
  figures["index_disk_bytes"] = IndexDiskBytes();
  figures["compacted_segments"] = compacted_segments_;
  figures["compacted_bytes"] = compacted_bytes_;
  figures["ballast_bytes"] = ballast_->held().bytes;
  figures["spare_files"] = ballast_->held().files;
  figures["body_memory_bytes"] = bodies_->memory;
  figures["store_time_seconds"] = StoreTime();
  const ScrubThread::Figures scrub = scrub_thread_->figures();
  figures["scrub_running"] = scrub.running;
  figures["scrub_bytes"] = scrub.bytes;
  figures["scrubs"] = scrub.ended;
  figures["scrub_damages"] = scrub.damages;
  figures["waiting_jobs"] = pool_->waiting();
  figures["waiting_callbacks"] = callbacks_.waiting();
  absl::MutexLock lock(&mutex_);
  uint64_t waiting_changes = 0;
  for (const auto& [group, waiters] : waiters_) waiting_changes += waiters.size();
  figures["waiting_changes"] = waiting_changes;
  figures["open_transactions"] = ledger_.open_transactions() + opening_.size();
  figures["keys_in_memory"] = keys_.size();
  figures["durable_group"] = durable_;
  figures["segment"] = log_end_.segment;
  // What is stored and what of it lives: the space that compaction can give back.
  uint64_t segments = 0, log_bytes = 0, live_bytes = 0;
  keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
    stored::SegmentFigures of;
    if (value == nullptr || !of.ParseFromString(*value)) return true;
    ++segments;
    log_bytes += NumberOfKey(key) >= log_end_.segment ? log_end_.offset : of.end();
    live_bytes += of.live_bytes();
    return true;
  });
  figures["segments"] = segments;
  figures["segments_bytes"] = log_bytes;
  figures["segments_live_body_bytes"] = live_bytes;
  figures["body_files_bytes"] = bodies_->kept_file_bytes;
  uint64_t logical = 0;
  for (const auto& [domain, sums] : sums_) logical += sums.used_bytes;
  figures["logical_bytes"] = logical;
  return figures;
}

}  // namespace restante::embedded
