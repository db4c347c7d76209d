// A backup of one moment: what it consists of is decided here, backup.cc gets it
// there.
//
// The moment is a durable group. Everything that the log needs up to it is kept
// from being removed *before* the moment is chosen: a file whose removal was under
// way then had been let go by an earlier group, and does not belong to it.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/backup_directory.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/merged_scan.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

constexpr absl::Duration kPauseSlice = absl::Milliseconds(100);

}  // namespace

void EmbeddedEngine::Backup(engine::BackupOptions options, engine::UpkeepReport report,
                            Done<absl::StatusOr<engine::BackupSummary>> done) {
  std::string& path = options.directory;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  {
    absl::MutexLock lock(&mutex_);
    if (!backing_up_) {
      backing_up_ = true;
      backup_thread_.Post(
          [this, options = std::move(options), report = std::move(report), done = std::move(done)]() mutable {
            absl::StatusOr<engine::BackupSummary> summary = RunBackup(options, report);
            {
              absl::MutexLock inner(&mutex_);
              backing_up_ = false;
            }
            done(std::move(summary));
          });
      return;
    }
  }
  CallOne<absl::StatusOr<engine::BackupSummary>>(
      std::move(done), absl::FailedPreconditionError("a backup is running already; it has to end first"));
}

absl::StatusOr<engine::BackupSummary> EmbeddedEngine::RunBackup(const engine::BackupOptions& options,
                                                                const engine::UpkeepReport& report) {
  Files& files = *options_.files;  // What is in the backup is not what the store occupies.
  ASSIGN_OR_RETURN(const std::optional<BackupManifest> earlier,
                   PrepareBackup(files, options.directory, directory_.path, directory_.store_id));
  const std::unique_ptr<FileRemover::Hold> hold = remover_.HoldAll();
  ASSIGN_OR_RETURN(BackupPlan plan, PlanBackup());

  engine::UpkeepProgress progress;
  for (const BackupSource& source : plan.sources) progress.total_bytes += source.bytes;
  const auto tell = [&](engine::UpkeepProgress now) -> absl::Status {
    if (!report(std::move(now))) return absl::CancelledError("the backup was given up");
    absl::MutexLock lock(&mutex_);
    return stopping_ ? absl::CancelledError("the store is being closed") : absl::OkStatus();
  };
  BackupObserver observer;
  observer.progress = [&](uint64_t done, uint64_t read, std::vector<engine::Damage> damages) -> absl::Status {
    progress.done_bytes += done;
    engine::UpkeepProgress now = progress;
    now.damages = std::move(damages);
    RETURN_IF_ERROR(tell(std::move(now)));
    if (options.bytes_per_second == 0) return absl::OkStatus();
    // Whoever has gone meanwhile is noticed soon.
    absl::Duration pause =
        absl::Seconds(static_cast<double>(read) / static_cast<double>(options.bytes_per_second));
    for (; pause > absl::ZeroDuration(); pause -= kPauseSlice) {
      {
        absl::MutexLock lock(&mutex_);
        stop_.AwaitFor(&mutex_, std::min(pause, kPauseSlice), [this] { return stopping_; });
      }
      RETURN_IF_ERROR(tell(progress));
    }
    return absl::OkStatus();
  };
  observer.needs = [&](absl::flat_hash_set<std::string> paths) { hold->Narrow(std::move(paths)); };
  observer.let_go = [&](const std::string& path) { hold->LetGo(path); };
  return WriteBackup(files, options.directory, std::move(plan), earlier, options.verify_kept, observer);
}

absl::StatusOr<BackupPlan> EmbeddedEngine::PlanBackup() {
  BackupPlan plan;
  SnapshotPtr snapshot;
  MergedScan::Newer newer;
  LogPosition end;
  std::map<uint64_t, stored::SegmentFigures> segments;
  {
    absl::MutexLock lock(&mutex_);
    if (!snapshot_) return absl::UnavailableError("the index is being opened again; try again");
    snapshot = snapshot_;
    newer = MergedScan::Collect(keys_, "b", AfterPrefix("b"), durable_);
    end = log_end_;
    plan.manifest.group = durable_;
    keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
      if (value != nullptr && NumberOfKey(key) < end.segment) {
        segments[NumberOfKey(key)].ParseFromString(*value);
      }
      return true;
    });
  }
  plan.manifest.format = directory_.format;
  plan.manifest.store_id = directory_.store_id;
  plan.manifest.wall_us = options_.clock->WallMicros();

  segments[end.segment];
  for (const auto& [segment, figures] : segments) {
    ASSIGN_OR_RETURN(const SegmentInfo info,
                     ReadSegmentInfo(*options_.files, directory_.segments(), segment, directory_.store()));
    BackupSource source{.name = BackupNameOfSegment(segment),
                        .path = JoinPath(directory_.segments(), SegmentName(segment)),
                        .bytes = figures.end(),
                        .first_group = info.first_group};
    if (segment == end.segment) {
      source.bytes = end.offset;
      source.name = BackupNameOfNewestSegment(segment, end.offset);
      source.grows = true;
    }
    plan.sources.push_back(std::move(source));
  }

  absl::Status damaged;
  RETURN_IF_ERROR(MergedScan::Visit(
      *snapshot, newer, "b", AfterPrefix("b"), [&](absl::string_view key, absl::string_view value) {
        ++plan.manifest.bodies;
        stored::BodyLocation location;
        if (!location.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
          damaged = absl::DataLossError(absl::StrCat("body ", NumberOfKey(key), ": damaged location"));
          return false;
        }
        if (!location.own_file()) return true;
        const uint64_t file = location.file();
        plan.sources.push_back({.name = BackupNameOfBody(file),
                                .path = JoinPath(directory_.bodies(), BodyFileName(file)),
                                .bytes = location.stored_bytes(),
                                .body = NumberOfKey(key),
                                .location = location});
        return true;
      }));
  RETURN_IF_ERROR(damaged);
  std::sort(plan.sources.begin(), plan.sources.end(),
            [](const BackupSource& a, const BackupSource& b) { return a.name < b.name; });
  return plan;
}

}  // namespace restante::embedded
