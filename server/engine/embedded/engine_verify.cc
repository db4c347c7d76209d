// Whether bodies, references, files and figures agree, at one moment, while mail
// flows on.
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_reader.h"
#include "server/engine/embedded/engine_impl.h"
#include "server/engine/embedded/engine_repair.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/merged_scan.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kProgressEvery = 1000;

}  // namespace

struct EmbeddedEngine::VerifyJob {
  SnapshotPtr snapshot;
  MergedScan::Newer entries, bodies;
  std::map<uint64_t, stored::SegmentFigures> segments;
  // Body files that were there, and those no entry's yet.
  std::vector<std::string> files;
  std::set<uint64_t> pending;
  std::function<void(uint64_t)> progress;
};

void EmbeddedEngine::VerifyBodies(std::function<void(uint64_t)> progress,
                                  Done<absl::StatusOr<std::vector<std::string>>> done) {
  pool_->Post([this, progress = std::move(progress), done = std::move(done)]() mutable {
    absl::StatusOr<engine::Repairs> found = VerifyNow(/*repair=*/false, std::move(progress));
    if (found.ok()) {
      done(std::move(found->problems));
    } else {
      done(found.status());
    }
  });
}

void EmbeddedEngine::RepairBodies(std::function<void(uint64_t)> progress,
                                  Done<absl::StatusOr<engine::Repairs>> done) {
  pool_->Post([this, progress = std::move(progress), done = std::move(done)]() mutable {
    done(VerifyNow(/*repair=*/true, std::move(progress)));
  });
}

absl::StatusOr<engine::Repairs> EmbeddedEngine::VerifyNow(bool repair,
                                                          std::function<void(uint64_t)> progress) {
  VerifyJob job;
  job.progress = std::move(progress);
  // Files before index: a file that comes after this is not looked for, and one
  // that is here was pending, or is known to the index below.
  {
    absl::MutexLock lock(&bodies_->mutex);
    job.pending = bodies_->pending_files;
  }
  ASSIGN_OR_RETURN(job.files, files_->List(directory_.bodies()));
  {
    absl::MutexLock lock(&bodies_->mutex);
    job.pending.insert(bodies_->pending_files.begin(), bodies_->pending_files.end());
  }
  {
    absl::MutexLock lock(&mutex_);
    job.snapshot = snapshot_;
    const std::string from = PartitionKey(PartitionId::Mailbox(0), "");
    job.entries = MergedScan::Collect(keys_, from, AfterPrefix("k"), durable_);
    job.bodies = MergedScan::Collect(keys_, "b", AfterPrefix("b"), durable_);
    keys_.Visit("s", AfterPrefix("s"), durable_, [&](const std::string& key, const std::string* value) {
      if (value != nullptr) job.segments[NumberOfKey(key)].ParseFromString(*value);
      return true;
    });
  }
  if (!job.snapshot) return absl::UnavailableError("the index is being opened again");
  std::vector<Repair> repairs;
  ASSIGN_OR_RETURN(engine::Repairs found, Verify(job, &repairs));
  job.snapshot.reset();
  if (!repair) return found;
  for (std::string& problem : found.problems) problem += engine::kNotSetRight;
  for (const size_t problem : SetRight(repairs)) {
    std::string& text = found.problems[problem];
    text.replace(text.size() - std::strlen(engine::kNotSetRight), std::string::npos, engine::kSetRight);
    ++found.repaired;
  }
  return found;
}

absl::StatusOr<engine::Repairs> EmbeddedEngine::Verify(VerifyJob& job, std::vector<Repair>* repairs) {
  engine::Repairs found;
  std::vector<std::string>& problems = found.problems;
  absl::flat_hash_map<uint64_t, uint64_t> references;
  const std::string from = PartitionKey(PartitionId::Mailbox(0), "");
  RETURN_IF_ERROR(MergedScan::Visit(
      *job.snapshot, job.entries, from, AfterPrefix("k"),
      [&](absl::string_view key, absl::string_view value) {
        const std::string inner(key.substr(kPartitionPrefixBytes));
        if (!engine::EntryUid(inner)) return true;
        stored::Entry entry;
        if (!entry.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
          problems.push_back(absl::StrCat("mailbox partition ", GetOrdered64(key, 2), ", UID ",
                                          *engine::EntryUid(inner), ": damaged entry"));
          return true;
        }
        ++references[entry.body()];
        return true;
      }));
  uint64_t checked = 0;
  std::map<uint64_t, stored::SegmentFigures> counted;
  absl::flat_hash_set<uint64_t> named;
  RETURN_IF_ERROR(MergedScan::Visit(
      *job.snapshot, job.bodies, "b", AfterPrefix("b"), [&](absl::string_view key, absl::string_view value) {
        const uint64_t body = NumberOfKey(key);
        stored::BodyLocation location;
        if (!location.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
          problems.push_back(absl::StrCat("body ", body, ": damaged location"));
          return true;
        }
        const auto it = references.find(body);
        const uint64_t held = it == references.end() ? 0 : it->second;
        if (it != references.end()) references.erase(it);
        if (held != location.references() || held == 0) {
          repairs->push_back({.problem = problems.size(),
                              .kind = Repair::kReferences,
                              .number = body,
                              .references = static_cast<int64_t>(held) - location.references()});
          problems.push_back(absl::StrCat("body ", body, ": ", location.references(), " references counted, ",
                                          held, " entries hold it"));
        }
        if (location.own_file()) {
          named.insert(location.file());
        } else {
          stored::SegmentFigures& figures = counted[location.file()];
          figures.set_live_bodies(figures.live_bodies() + 1);
          figures.set_live_bytes(figures.live_bytes() + location.stored_bytes());
        }
        const std::string path = PathOf(directory_, location);
        const absl::StatusOr<std::shared_ptr<const File>> file = open_files_.Get(path);
        absl::Status status = file.status();
        if (file.ok()) status = BodyReader(**file, body, location, directory_.store()).Header().status();
        // It may have been moved since, or dropped; then it cannot be located any more.
        if (!status.ok()) {
          const absl::StatusOr<LocatedBody> now = OpenLocated(body);
          status = now.status();
          if (now.ok())
            status = BodyReader(*now->file, body, now->location, directory_.store()).Header().status();
        }
        if (!status.ok() && !absl::IsNotFound(status)) {
          problems.push_back(absl::StrCat("body ", body, ": ", path, ": ", status.message()));
        }
        if (++checked % kProgressEvery == 0 && job.progress) job.progress(checked);
        return true;
      }));
  for (const auto& [body, held] : references) {
    problems.push_back(absl::StrCat("body ", body, ": ", held, " entries hold it, it is not in the index"));
  }
  for (const auto& [segment, figures] : counted) job.segments.try_emplace(segment);
  for (const auto& [segment, figures] : job.segments) {
    const stored::SegmentFigures& real = counted[segment];
    if (figures.live_bodies() == real.live_bodies() && figures.live_bytes() == real.live_bytes()) continue;
    repairs->push_back({.problem = problems.size(),
                        .kind = Repair::kFigures,
                        .number = segment,
                        .live_bodies = static_cast<int64_t>(real.live_bodies() - figures.live_bodies()),
                        .live_bytes = static_cast<int64_t>(real.live_bytes() - figures.live_bytes())});
    problems.push_back(absl::StrCat("segment ", segment, ": figures say ", figures.live_bodies(),
                                    " bodies of ", figures.live_bytes(), " bytes, ", real.live_bodies(),
                                    " of ", real.live_bytes(), " are there"));
  }
  for (const std::string& name : job.files) {
    const uint64_t body = BodyOfFileName(name);
    if (body == 0 || named.contains(body) || job.pending.contains(body)) continue;
    const std::string path = JoinPath(directory_.bodies(), name);
    // On its way, or gone meanwhile? (In this order.)
    if (remover_.Going(path) || absl::IsNotFound(files_->SizeOf(path).status())) continue;
    repairs->push_back({.problem = problems.size(), .kind = Repair::kFile, .number = body});
    problems.push_back(absl::StrCat(path, ": no entry holds it"));
  }
  if (job.progress) job.progress(checked);
  return found;
}

}  // namespace restante::embedded
