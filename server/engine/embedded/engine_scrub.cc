#include "server/engine/embedded/engine_scrub.h"

#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_reader.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/merged_scan.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// The longest that nobody is told anything, or asked whether to go on.
constexpr absl::Duration kTick = absl::Milliseconds(200);

absl::Status GivenUp() { return absl::CancelledError("the scrub was given up"); }

int64_t NowUs() { return Clock::System()->MonotonicMicros(); }

}  // namespace

// --- pace and report -------------------------------------------------------------

bool EmbeddedEngine::Scrubbing::Tell() {
  engine::UpkeepProgress now = progress_;
  progress_.damages.clear();
  return order_.report(std::move(now));
}

bool EmbeddedEngine::Scrubbing::Wait(absl::Duration time) {
  absl::MutexLock lock(&engine_.mutex_);
  return !engine_.stop_.AwaitFor(&engine_.mutex_, time, [this] { return engine_.stopping_; });
}

bool EmbeddedEngine::Scrubbing::Reading(uint64_t octets) {
  while (true) {
    if (!Tell()) return false;
    const int64_t left_us = ready_us_ - NowUs();
    if (left_us <= 0) break;
    if (!Wait(std::min(absl::Microseconds(left_us), kTick))) return false;
  }
  progress_.done_bytes += octets;
  progress_.total_bytes = std::max(progress_.total_bytes, progress_.done_bytes);
  if (order_.bytes_per_second > 0) {
    const double seconds = static_cast<double>(octets) / static_cast<double>(order_.bytes_per_second);
    ready_us_ = std::max(ready_us_, NowUs()) + static_cast<int64_t>(seconds * 1e6);
  }
  return true;
}

// --- the whole -------------------------------------------------------------------

absl::Status EmbeddedEngine::Scrubbing::Run() {
  const auto size_of = [&](const std::string& directory, const std::string& name) {
    return engine_.files_->SizeOf(JoinPath(directory, name)).value_or(0);
  };
  const DataDir& directory = engine_.directory_;
  ASSIGN_OR_RETURN(const std::vector<std::string> index, engine_.files_->List(directory.index()));
  for (const std::string& name : index) progress_.total_bytes += size_of(directory.index(), name);
  ASSIGN_OR_RETURN(const std::vector<uint64_t> segments, ListSegments());
  for (const uint64_t segment : segments) {
    const uint64_t size = size_of(directory.segments(), SegmentName(segment));
    progress_.total_bytes += size;
    if (order_.from.part > ScrubPlace::kSegments ||
        (order_.from.part == ScrubPlace::kSegments && segment <= order_.from.after)) {
      progress_.done_bytes += size;
    }
  }
  std::vector<LiveBody> files;
  RETURN_IF_ERROR(VisitIndex("b", AfterPrefix("b"), [&](absl::string_view key, absl::string_view value) {
    LiveBody body{.id = NumberOfKey(key), .location = {}};
    if (!body.location.ParseFromArray(value.data(), static_cast<int>(value.size())) ||
        !body.location.own_file()) {
      return;
    }
    progress_.total_bytes += body.location.stored_bytes();
    files.push_back(std::move(body));
  }));

  if (order_.from.part == ScrubPlace::kIndex) {
    CheckFormat();
    RETURN_IF_ERROR(ScrubIndex());
    order_.reached({.part = ScrubPlace::kSegments, .after = 0});
  }
  if (order_.from.part <= ScrubPlace::kSegments) {
    for (const uint64_t segment : segments) {
      if (order_.from.part == ScrubPlace::kSegments && segment <= order_.from.after) continue;
      RETURN_IF_ERROR(ScrubSegment(segment));
      if (!Tell()) return GivenUp();
      order_.reached({.part = ScrubPlace::kSegments, .after = segment});
    }
  }
  for (const LiveBody& body : files) {
    if (order_.from.part == ScrubPlace::kBodyFiles && body.id <= order_.from.after) {
      progress_.done_bytes += body.location.stored_bytes();
      continue;
    }
    RETURN_IF_ERROR(ScrubBodyFile(body));
    if (!Tell()) return GivenUp();
    order_.reached({.part = ScrubPlace::kBodyFiles, .after = body.id});
  }
  progress_.total_bytes = progress_.done_bytes;
  return Tell() ? absl::OkStatus() : GivenUp();
}

void EmbeddedEngine::Scrubbing::CheckFormat() {
  const std::string path = JoinPath(engine_.directory_.path, "FORMAT");
  const std::string right = FormatText(engine_.directory_);
  if (const absl::StatusOr<std::string> text = ReadWholeFile(*engine_.files_, path);
      !text.ok() || *text != right) {
    Found({.file = path,
           .offset = 0,
           .problem =
               absl::StrCat("does not say what it must, and the next start needs it: ", absl::CEscape(right)),
           .messages = {}});
  }
}

// --- what the index says now --------------------------------------------------------

absl::StatusOr<EmbeddedEngine::SnapshotPtr> EmbeddedEngine::Scrubbing::AwaitSnapshot(
    absl::FunctionRef<void()> at_that_moment) {
  while (true) {
    {
      absl::MutexLock lock(&engine_.mutex_);
      if (engine_.snapshot_) {
        at_that_moment();
        return engine_.snapshot_;
      }
    }
    // The index is being opened again.
    if (!Wait(kTick) || !Tell()) return GivenUp();
  }
}

absl::Status EmbeddedEngine::Scrubbing::VisitIndex(
    const std::string& from, const std::string& to,
    absl::FunctionRef<void(absl::string_view key, absl::string_view value)> visit) {
  MergedScan::Newer newer;
  ASSIGN_OR_RETURN(const SnapshotPtr snapshot,
                   AwaitSnapshot([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(engine_.mutex_) {
                     newer = MergedScan::Collect(engine_.keys_, from, to, engine_.durable_);
                   }));
  // What is damaged there is found by reading the index's files.
  MergedScan::Visit(*snapshot, newer, from, to, [&](absl::string_view key, absl::string_view value) {
    visit(key, value);
    return true;
  }).IgnoreError();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EmbeddedEngine::Scrubbing::LiveBody>> EmbeddedEngine::Scrubbing::BodiesIn(
    uint64_t segment) {
  std::vector<LiveBody> bodies;
  RETURN_IF_ERROR(VisitIndex("b", AfterPrefix("b"), [&](absl::string_view key, absl::string_view value) {
    LiveBody body{.id = NumberOfKey(key), .location = {}};
    if (body.location.ParseFromArray(value.data(), static_cast<int>(value.size())) &&
        !body.location.own_file() && body.location.file() == segment) {
      bodies.push_back(std::move(body));
    }
  }));
  std::sort(bodies.begin(), bodies.end(),
            [](const LiveBody& a, const LiveBody& b) { return a.location.offset() < b.location.offset(); });
  return bodies;
}

absl::Status EmbeddedEngine::Scrubbing::FindHolders(Holders* holders) {
  if (holders->empty()) return absl::OkStatus();
  return VisitIndex(PartitionKey(PartitionId::Mailbox(0), ""), AfterPrefix("k"),
                    [&](absl::string_view key, absl::string_view value) {
                      const std::optional<uint64_t> uid =
                          engine::EntryUid(std::string(key.substr(kPartitionPrefixBytes)));
                      stored::Entry entry;
                      if (!uid || !entry.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
                      const auto it = holders->find(entry.body());
                      if (it != holders->end()) it->second.emplace_back(GetOrdered64(key, 2), *uid);
                    });
}

bool EmbeddedEngine::Scrubbing::StillThere(const LiveBody& body) {
  const absl::StatusOr<stored::BodyLocation> now = engine_.Locate(body.id);
  if (!now.ok()) return !absl::IsNotFound(now.status());
  return now->own_file() == body.location.own_file() && now->file() == body.location.file() &&
         now->offset() == body.location.offset();
}

// --- segments ---------------------------------------------------------------------

absl::StatusOr<std::vector<uint64_t>> EmbeddedEngine::Scrubbing::ListSegments() {
  std::set<uint64_t> segments;
  absl::MutexLock lock(&engine_.mutex_);
  engine_.keys_.Visit("s", AfterPrefix("s"), engine_.durable_,
                      [&](const std::string& key, const std::string* value) {
                        if (value != nullptr) segments.insert(NumberOfKey(key));
                        return true;
                      });
  segments.insert(engine_.log_end_.segment);
  return std::vector<uint64_t>(segments.begin(), segments.end());
}

uint64_t EmbeddedEngine::Scrubbing::EndOf(uint64_t segment) {
  stored::SegmentFigures figures;
  {
    absl::MutexLock lock(&engine_.mutex_);
    if (segment == engine_.log_end_.segment) return engine_.log_end_.offset;
    const KeyTable::Found found = engine_.keys_.AsOf(SegmentKey(segment), engine_.durable_);
    if (found.value == nullptr || !figures.ParseFromString(*found.value)) return 0;
  }
  if (figures.end() != 0) return figures.end();
  // Of format 1, and not brought up to date yet.
  const absl::StatusOr<SegmentInfo> next = ReadSegmentInfo(*engine_.files_, engine_.directory_.segments(),
                                                           segment + 1, engine_.directory_.store());
  return next.ok() ? next->start.previous_end : 0;
}

// What a walk through a segment finds, and what the index tells it when it is lost.
class EmbeddedEngine::Scrubbing::SegmentFindings : public SegmentVisitor {
 public:
  SegmentFindings(Scrubbing* scrub, uint64_t segment) : scrub_(*scrub), segment_(segment) {}

  void Damaged(SegmentDamage damage) override { damages.push_back(std::move(damage)); }
  bool Reading(uint64_t octets) override { return scrub_.Reading(octets); }
  std::optional<Place> Known(uint64_t at) override {
    if (!live_) live_ = scrub_.BodiesIn(segment_).value_or(std::vector<LiveBody>());
    const auto it = std::partition_point(live_->begin(), live_->end(),
                                         [at](const LiveBody& body) { return body.end() <= at; });
    if (it == live_->end()) return std::nullopt;
    return Place{.offset = it->location.offset(), .end = it->end()};
  }

  std::vector<SegmentDamage> damages;

 private:
  Scrubbing& scrub_;
  const uint64_t segment_;
  std::optional<std::vector<LiveBody>> live_;
};

absl::Status EmbeddedEngine::Scrubbing::ScrubSegment(uint64_t segment) {
  const uint64_t end = EndOf(segment);
  if (end == 0) return absl::OkStatus();
  const std::string path = JoinPath(engine_.directory_.segments(), SegmentName(segment));
  const absl::StatusOr<std::unique_ptr<File>> file = engine_.files_->Open(path, Files::Mode::kRead);
  if (!file.ok()) {
    return JudgeSegment(
        segment, path, nullptr,
        {{.offset = 0, .end = end, .header = {}, .problem = std::string(file.status().message())}});
  }
  // What the system remembers of a file is not what is on the disk.
  (*file)->DropCached();
  SegmentFindings findings(this, segment);
  RETURN_IF_ERROR(
      ScanSegment(**file, segment, end, engine_.directory_.store(), ScanBodies::kVerify, findings));
  return JudgeSegment(segment, path, file->get(), findings.damages);
}

absl::Status EmbeddedEngine::Scrubbing::JudgeSegment(uint64_t segment, const std::string& path,
                                                     const File* file,
                                                     const std::vector<SegmentDamage>& damages) {
  if (damages.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<LiveBody> live, BodiesIn(segment));
  struct Lost {
    const LiveBody* body;
    uint64_t offset;
    std::string problem;
  };
  std::vector<std::vector<Lost>> lost(damages.size());
  Holders holders;
  for (size_t i = 0; i < damages.size(); ++i) {
    auto body = std::partition_point(live.begin(), live.end(),
                                     [&](const LiveBody& b) { return b.end() <= damages[i].offset; });
    for (; body != live.end() && body->location.offset() < damages[i].end; ++body) {
      std::vector<PayloadDamage> parts = {{damages[i].offset, damages[i].problem}};
      if (file != nullptr) {
        const BodyReader reader(*file, body->id, body->location, engine_.directory_.store());
        parts = reader.Check([](uint64_t) { return true; });
      }
      if (parts.empty()) continue;
      lost[i].push_back({&*body, parts[0].offset, parts[0].problem});
      holders[body->id];
    }
  }
  RETURN_IF_ERROR(FindHolders(&holders));
  // While this was found out, the segment may have gone, and a body may have moved.
  if (EndOf(segment) == 0) return absl::OkStatus();
  for (size_t i = 0; i < damages.size(); ++i) {
    bool needed = false;
    for (const Lost& body : lost[i]) {
      if (!StillThere(*body.body)) continue;
      needed = true;
      Found({.file = path,
             .offset = body.offset,
             .problem = absl::StrCat("body ", body.body->id, ": ", body.problem),
             .messages = std::move(holders[body.body->id])});
    }
    if (needed) continue;
    const bool dead_body = damages[i].header && damages[i].header->kind == RecordKind::kBody;
    Found({.file = path,
           .offset = damages[i].offset,
           .problem = absl::StrCat(damages[i].problem,
                                   dead_body ? "; no message holds it any more"
                                             : "; no message needs it, but an index made anew from the log "
                                               "would lack what it says"),
           .messages = {}});
  }
  return absl::OkStatus();
}

// --- body files -------------------------------------------------------------------

absl::Status EmbeddedEngine::Scrubbing::ScrubBodyFile(const LiveBody& body) {
  const std::string path = PathOf(engine_.directory_, body.location);
  std::vector<PayloadDamage> damages;
  const absl::StatusOr<std::unique_ptr<File>> file = engine_.files_->Open(path, Files::Mode::kRead);
  if (!file.ok()) {
    damages.push_back({0, std::string(file.status().message())});
  } else {
    bool go_on = true;
    damages =
        BodyReader(**file, body.id, body.location, engine_.directory_.store()).Check([&](uint64_t octets) {
          return go_on = go_on && Reading(octets);
        });
    if (!go_on) return GivenUp();
    const uint64_t end = body.location.offset() + kHeaderBytes;
    if (const absl::StatusOr<uint64_t> size = (*file)->Size(); damages.empty() && size.ok() && *size > end) {
      damages.push_back({end, absl::StrCat(*size - end, " bytes behind the end")});
    }
  }
  if (damages.empty()) return absl::OkStatus();
  Holders holders;
  holders[body.id];
  RETURN_IF_ERROR(FindHolders(&holders));
  if (!StillThere(body)) return absl::OkStatus();
  for (const PayloadDamage& damage : damages) {
    Found({.file = path,
           .offset = damage.offset,
           .problem = absl::StrCat("body ", body.id, ": ", damage.problem),
           .messages = holders[body.id]});
  }
  return absl::OkStatus();
}

// --- the port ---------------------------------------------------------------------

void EmbeddedEngine::StartScrubs() {
  ScrubThread::Callbacks callbacks;
  callbacks.scrub = [this](const ScrubOrder& order) { return Scrubbing(this, order).Run(); };
  callbacks.store_time_s = [this] { return StoreTime(); };
  callbacks.wall_us = [this] { return options_.clock->WallMicros(); };
  // What it has found is not lost; how far it came may be.
  callbacks.save = [this, damages = uint64_t{0}](const stored::ScrubRecord& record) mutable {
    const bool durable = record.so_far().damages() > damages;
    damages = record.so_far().damages();
    index_thread_->PutUnlogged(std::string(kScrubKey), record.SerializeAsString(), durable);
  };
  callbacks.found = [this](const engine::Damage& damage) { LogDamage(damage); };
  callbacks.ended = [this](const engine::ScrubResult& result) {
    LogLine(result.damages > 0 ? LogLevel::kError : LogLevel::kInfo,
            absl::StrCat("scrub: ", result.bytes, " bytes read in ", result.duration_us / 1'000'000, " s, ",
                         result.damages, " damages found"));
  };
  // One that was never scrubbed, or lost its record, begins anew.
  stored::ScrubRecord record;
  SnapshotPtr snapshot;
  {
    absl::MutexLock lock(&mutex_);
    snapshot = snapshot_;
  }
  if (snapshot) {
    const absl::StatusOr<std::optional<std::string>> saved = snapshot->Get(kScrubKey);
    if (saved.ok() && *saved && !record.ParseFromString(**saved)) record.Clear();
  }
  scrub_thread_ =
      std::make_unique<ScrubThread>(ScrubThread::Options{.interval = options_.scrub_interval,
                                                         .bytes_per_second = options_.scrub_bytes_per_second,
                                                         .poll = options_.maintenance_interval},
                                    std::move(record), std::move(callbacks));
}

void EmbeddedEngine::Scrub(uint64_t bytes_per_second, engine::UpkeepReport report, Done<absl::Status> done) {
  scrub_thread_->Scrub(bytes_per_second, std::move(report), std::move(done));
}

std::optional<engine::ScrubResult> EmbeddedEngine::LastScrub() { return scrub_thread_->Last(); }

void EmbeddedEngine::LogDamage(const engine::Damage& damage) const {
  std::vector<std::string> messages;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [mailbox, uid] : damage.messages) {
      if (messages.size() == 10) break;
      stored::Head head;
      const KeyTable::Found found = keys_.AsOf(HeadKey(PartitionId::Mailbox(mailbox)), durable_);
      if (found.value != nullptr) head.ParseFromString(*found.value);
      messages.push_back(absl::StrCat(head.mailbox().address(), " UID ", uid));
    }
  }
  std::string text = absl::StrCat(damage.file, ": damaged at ", damage.offset, ": ", damage.problem);
  if (!messages.empty()) {
    absl::StrAppend(&text, "; ", damage.messages.size(),
                    " messages cannot be read: ", absl::StrJoin(messages, ", "),
                    damage.messages.size() > messages.size() ? ", ..." : "");
  }
  LogLine(LogLevel::kError, text);
}

}  // namespace restante::embedded
