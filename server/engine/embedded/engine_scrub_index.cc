// The index's part of a scrub: its files octet by octet, and which messages stand
// in keys that are lost.
#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/engine_scrub.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

constexpr absl::string_view kCurrent = "CURRENT";
constexpr absl::string_view kAnew = "; --rebuild-index makes the index anew from the log";

absl::Status GivenUp() { return absl::CancelledError("the scrub was given up"); }

// Any key of ours.
const KeyRange& AllKeys() {
  static const KeyRange all{"", "\xff"};
  return all;
}

// Collects, of the keys in some ranges, what the log says last: in which group
// they were put.
class LoggedKeys : public SegmentVisitor {
 public:
  LoggedKeys(const std::vector<KeyRange>& ranges, std::function<bool(uint64_t)> reading)
      : reading_(std::move(reading)) {
    // As disjoint ranges, by their beginning.
    std::vector<KeyRange> sorted = ranges;
    std::sort(sorted.begin(), sorted.end(),
              [](const KeyRange& a, const KeyRange& b) { return a.from < b.from; });
    for (const KeyRange& range : sorted) {
      if (!ranges_.empty() && range.from <= ranges_.rbegin()->second) {
        std::string& to = ranges_.rbegin()->second;
        to = std::max(to, range.to);
      } else {
        ranges_[range.from] = range.to;
      }
    }
  }

  void Group(uint64_t, stored::Group group, bool) override {
    for (const stored::Put& put : group.puts()) {
      if (Wanted(put.key())) keys[put.key()] = group.number();
    }
    for (const std::string& key : group.erased()) keys.erase(key);
  }
  bool Reading(uint64_t octets) override { return reading_(octets); }

  std::map<std::string, uint64_t, std::less<>> keys;

 private:
  bool Wanted(const std::string& key) const {
    // Receipts, figures, events and the next number are no message's.
    if (key.empty() || absl::StrContains("rsnev", key[0])) return false;
    auto it = ranges_.upper_bound(key);
    return it != ranges_.begin() && key <= (--it)->second;
  }

  const std::function<bool(uint64_t)> reading_;
  std::map<std::string, std::string> ranges_;
};

}  // namespace

absl::StatusOr<std::string> EmbeddedEngine::Scrubbing::ReadIndexFile(const std::string& name) {
  const std::string path = JoinPath(engine_.directory_.index(), name);
  while (true) {
    std::optional<uint64_t> size = engine_.index_.written().Of(path);
    const bool was_written = size.has_value();
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, engine_.files_->Open(path, Files::Mode::kRead));
    if (!size) {
      ASSIGN_OR_RETURN(size, file->Size());
    }
    if (!Reading(*size)) return GivenUp();
    file->DropCached();
    std::string octets(*size, '\0');
    ASSIGN_OR_RETURN(const size_t read, file->ReadAt(0, octets.size(), octets.data()));
    octets.resize(read);
    // Begun just now: then its end may be in the middle of something.
    if (was_written || !engine_.index_.written().Of(path)) return octets;
  }
}

absl::StatusOr<IndexManifest> EmbeddedEngine::Scrubbing::ReadManifest(std::vector<IndexFinding>* findings) {
  const std::string directory = engine_.directory_.index();
  const auto found = [&](const std::string& name, uint64_t offset, absl::string_view problem) {
    findings->push_back(
        {JoinPath(directory, name), {}, {offset, std::string(problem), AllKeys(), /*whole_table=*/true}});
    IndexManifest none;
    none.damages.push_back(findings->back().damage);
    return none;
  };
  absl::StatusOr<std::string> current = ReadIndexFile(std::string(kCurrent));
  if (absl::IsCancelled(current.status())) return current.status();
  if (!current.ok()) return found(std::string(kCurrent), 0, current.status().message());
  absl::string_view name = *current;
  if (!absl::ConsumeSuffix(&name, "\n") || !absl::StartsWith(name, "MANIFEST-") ||
      absl::StrContains(name, '/') || absl::StrContains(name, '\0')) {
    return found(std::string(kCurrent), 0, "does not name a manifest");
  }
  absl::StatusOr<std::string> octets = ReadIndexFile(std::string(name));
  if (absl::IsCancelled(octets.status())) return octets.status();
  if (!octets.ok()) {
    return found(std::string(kCurrent), 0,
                 absl::StrCat("names a manifest that cannot be read: ", octets.status().message()));
  }
  IndexManifest manifest = ReadIndexManifest(*octets);
  for (const IndexDamage& damage : manifest.damages) {
    findings->push_back({JoinPath(directory, name), {}, damage});
  }
  return manifest;
}

// Reads every file of the index that counts.
absl::Status EmbeddedEngine::Scrubbing::ReadIndexFiles(std::vector<IndexFinding>* findings,
                                                       const PlacedEntryVisitor& visit) {
  const std::string directory = engine_.directory_.index();
  ASSIGN_OR_RETURN(const IndexManifest manifest, ReadManifest(findings));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, engine_.files_->List(directory));
  std::map<uint64_t, IndexManifest::Table> tables = manifest.tables;
  for (const std::string& name : names) {
    absl::string_view digits = name;
    uint64_t number = 0;
    if (absl::ConsumeSuffix(&digits, ".ldb") && absl::SimpleAtoi(digits, &number)) {
      // Without a manifest to believe, every table may count.
      if (!manifest.damages.empty()) tables.try_emplace(number, IndexManifest::Table{0, 0, AllKeys()});
    }
  }
  // Whether a file counts still, or went while we came.
  const auto counts = [&](uint64_t table) -> absl::StatusOr<bool> {
    std::vector<IndexFinding> ignored;
    ASSIGN_OR_RETURN(const IndexManifest now, ReadManifest(&ignored));
    return !now.damages.empty() || now.tables.contains(table);
  };
  for (const auto& [number, table] : tables) {
    const std::string name = IndexTableName(number);
    const IndexPlace place{.level = static_cast<int>(table.level), .number = number};
    const absl::StatusOr<std::string> octets = ReadIndexFile(name);
    if (absl::IsCancelled(octets.status())) return octets.status();
    std::vector<IndexDamage> damages;
    if (!octets.ok()) {
      damages.push_back({0, std::string(octets.status().message()), table.bounds, /*whole_table=*/true});
    } else if (table.size != 0 && octets->size() != table.size) {
      damages.push_back({octets->size(), absl::StrCat("is ", octets->size(), " bytes long, not ", table.size),
                         table.bounds, /*whole_table=*/true});
    } else {
      damages = CheckIndexTable(
          *octets, table.bounds,
          [&](absl::string_view key, std::optional<absl::string_view> value) { visit(place, key, value); });
    }
    if (damages.empty()) continue;
    ASSIGN_OR_RETURN(const bool still, counts(number));
    if (!still) continue;
    for (IndexDamage& damage : damages) {
      findings->push_back({JoinPath(directory, name), place, std::move(damage)});
    }
  }
  return absl::OkStatus();
}

absl::Status EmbeddedEngine::Scrubbing::ScrubIndex() {
  std::vector<IndexFinding> findings;
  RETURN_IF_ERROR(
      ReadIndexFiles(&findings, [](IndexPlace, absl::string_view, std::optional<absl::string_view>) {}));
  if (!Tell()) return GivenUp();
  return findings.empty() ? absl::OkStatus() : JudgeIndex(findings);
}

absl::Status EmbeddedEngine::Scrubbing::FindLostKeys(const std::vector<IndexFinding>& findings,
                                                     std::vector<std::vector<std::string>>* lost) {
  lost->resize(findings.size());
  std::vector<KeyRange> ranges;
  bool whole_tables = false;
  for (const IndexFinding& finding : findings) {
    if (finding.damage.keys) ranges.push_back(*finding.damage.keys);
    whole_tables = whole_tables || finding.damage.whole_table;
  }
  if (ranges.empty()) return absl::OkStatus();
  // The log has every key that counts.
  LoggedKeys logged(ranges, [this](uint64_t) { return Tell(); });
  ASSIGN_OR_RETURN(const std::vector<uint64_t> segments, ListSegments());
  for (const uint64_t segment : segments) {
    const uint64_t end = EndOf(segment);
    const absl::StatusOr<std::unique_ptr<File>> file = engine_.files_->Open(
        JoinPath(engine_.directory_.segments(), SegmentName(segment)), Files::Mode::kRead);
    if (end == 0 || !file.ok()) continue;
    RETURN_IF_ERROR(ScanSegment(**file, segment, end, engine_.directory_.store(), ScanBodies::kSkip, logged));
  }
  // Where the newest version of each is found.
  std::map<std::string, IndexPlace, std::less<>> found;
  // Of later groups nothing is in tables: memory has it, and the log for the next start.
  // (Tables say it too, unless they are damaged, and may have more than a checkpoint says.)
  uint64_t last_group = engine_.index_thread_->checkpointed_group();
  if (whole_tables) {
    std::vector<IndexFinding> again;
    RETURN_IF_ERROR(ReadIndexFiles(
        &again, [&](IndexPlace place, absl::string_view key, std::optional<absl::string_view> value) {
          stored::Checkpoint checkpoint;
          if (key == kCheckpointKey && value &&
              checkpoint.ParseFromArray(value->data(), static_cast<int>(value->size()))) {
            last_group = std::max(last_group, checkpoint.group());
          }
          const auto it = logged.keys.find(key);
          const std::optional<GroupedValue> split = value ? SplitGroup(*value) : std::nullopt;
          if (it == logged.keys.end() || !split || split->group < it->second) return;
          const auto [at, fresh] = found.emplace(std::string(key), place);
          if (place < at->second) at->second = place;
        }));
  }
  // Blocks that were read before they were damaged must not hide it.
  engine_.index_.DropCache();
  for (const auto& [key, group] : logged.keys) {
    bool in_memory = false;
    ASSIGN_OR_RETURN(SnapshotPtr snapshot, AwaitSnapshot([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(engine_.mutex_) {
                       in_memory = !IsPinned(key) && engine_.keys_.Newest(key).known;
                     }));
    const bool given = snapshot->Get(key).ok();
    snapshot.reset();
    if (in_memory || (whole_tables && group > last_group)) continue;
    for (size_t i = 0; i < findings.size(); ++i) {
      const IndexDamage& damage = findings[i].damage;
      if (!damage.keys || !damage.keys->Contains(key)) continue;
      const auto at = found.find(key);
      if (damage.whole_table ? at == found.end() || findings[i].place < at->second : !given) {
        (*lost)[i].push_back(key);
        break;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status EmbeddedEngine::Scrubbing::JudgeIndex(const std::vector<IndexFinding>& findings) {
  std::vector<std::vector<std::string>> lost;
  RETURN_IF_ERROR(FindLostKeys(findings, &lost));
  Holders holders;
  for (const std::vector<std::string>& keys : lost) {
    for (const std::string& key : keys) {
      if (key[0] == 'b') holders[NumberOfKey(key)];
    }
  }
  RETURN_IF_ERROR(FindHolders(&holders));
  for (size_t i = 0; i < findings.size(); ++i) {
    std::set<std::pair<uint64_t, uint64_t>> messages;
    for (const std::string& key : lost[i]) {
      if (key[0] == 'b') {
        const auto& held = holders[NumberOfKey(key)];
        messages.insert(held.begin(), held.end());
      } else if (key[0] == 'k') {
        const std::optional<uint64_t> uid = engine::EntryUid(key.substr(kPartitionPrefixBytes));
        if (uid) messages.emplace(GetOrdered64(key, 2), *uid);
      }
    }
    const IndexDamage& damage = findings[i].damage;
    const std::string keys =
        lost[i].empty() ? "" : absl::StrCat("; ", lost[i].size(), " keys cannot be read");
    Found({.file = findings[i].file,
           .offset = damage.offset,
           .problem = absl::StrCat(damage.problem, keys, kAnew),
           .messages = {messages.begin(), messages.end()}});
  }
  return absl::OkStatus();
}

}  // namespace restante::embedded
