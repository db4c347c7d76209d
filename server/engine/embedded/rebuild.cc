#include "server/engine/embedded/rebuild.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/data_dir_check.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// Groups that are applied to the index in one batch.
constexpr size_t kBatchGroups = 256;
constexpr uint64_t kBatchBytes = uint64_t{4} << 20;

// What of a segment's file counts.
struct Span {
  uint64_t number = 0;
  uint64_t first_group = 0;
  uint64_t end = 0;  // Offset.
  uint64_t body_bytes = 0, erased_bytes = 0;
};

struct Survey {
  std::vector<Span> spans;  // Ascending, perhaps with gaps.
  // The newest version of each segment's figures; nullopt: erased.
  std::map<uint64_t, std::optional<stored::SegmentFigures>> figures;
};

class Surveyor {
 public:
  Surveyor(Files& files, const DataDir& directory) : files_(files), directory_(directory) {}

  // From the newest segment to the oldest, for where a segment ends is said by
  // its successor or, when that is gone, by figures that were logged later.
  absl::StatusOr<Survey> Run() {
    RETURN_IF_ERROR(ReadInfos());
    for (size_t i = infos_.size(); i-- > 0;) {
      if (WasLetGo(infos_[i].number)) continue;
      ASSIGN_OR_RETURN(Span span, Walk(i));
      survey_.spans.push_back(span);
    }
    std::reverse(survey_.spans.begin(), survey_.spans.end());
    // A store of format 1 did not log that a segment went.
    for (const auto& [number, figures] : survey_.figures) {
      if (directory_.format >= 2 && figures && !Has(number)) return Missing(number);
    }
    return std::move(survey_);
  }

 private:
  std::string Path(uint64_t number) const { return JoinPath(directory_.segments(), SegmentName(number)); }

  absl::Status Missing(uint64_t number) const {
    return absl::DataLossError(absl::StrCat(Path(number), ": segment is missing, restore it from a backup"));
  }

  bool Has(uint64_t number) const {
    return std::any_of(infos_.begin(), infos_.end(),
                       [&](const SegmentInfo& info) { return info.number == number; });
  }

  // Whether only the file of this segment was not removed yet. What lives of it is
  // said again later, and what erased the rest may be gone. Of any other the first
  // group behind it says where it ends, and that is carried as long as it is so.
  bool WasLetGo(uint64_t number) const {
    if (directory_.format < 2 || !groups_follow_) return false;
    const auto it = survey_.figures.find(number);
    return it == survey_.figures.end() || !it->second;
  }

  absl::Status ReadInfos() {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(directory_.segments()));
    std::vector<uint64_t> numbers;
    for (const std::string& name : names) {
      if (const uint64_t number = SegmentOfName(name); number != 0) numbers.push_back(number);
    }
    for (const uint64_t number : numbers) {
      absl::StatusOr<SegmentInfo> info =
          ReadSegmentInfo(files_, directory_.segments(), number, directory_.store());
      // The newest may have been begun and never finished.
      if (absl::IsOutOfRange(info.status()) && number == numbers.back() && !infos_.empty()) break;
      if (absl::IsOutOfRange(info.status())) return absl::DataLossError(info.status().message());
      RETURN_IF_ERROR(info.status());
      infos_.push_back(*info);
    }
    if (infos_.empty()) {
      return absl::DataLossError(
          absl::StrCat(directory_.segments(), ": holds no segments, restore them from a backup"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> EndOf(size_t i) const {
    const SegmentInfo& info = infos_[i];
    if (i + 1 == infos_.size()) return info.size;
    uint64_t end = info.size;
    if (infos_[i + 1].number == info.number + 1) {
      end = infos_[i + 1].start.previous_end;
    } else if (const auto it = survey_.figures.find(info.number);
               it != survey_.figures.end() && it->second && it->second->end() != 0) {
      end = it->second->end();
    } else if (directory_.format >= 2) {
      return Missing(info.number + 1);
    }
    if (end > info.size || end < kSegmentRecordBytes) {
      return absl::DataLossError(absl::StrCat(Path(info.number), ": is ", info.size,
                                              " bytes long, the log says that it ends at ", end));
    }
    return end;
  }

  absl::StatusOr<Span> Walk(size_t i) {
    const SegmentInfo& info = infos_[i];
    const bool newest = i + 1 == infos_.size();
    ASSIGN_OR_RETURN(const uint64_t end, EndOf(i));
    Span span{.number = info.number, .first_group = info.first_group, .end = end};
    ASSIGN_OR_RETURN(std::unique_ptr<File> file, files_.Open(Path(info.number), Files::Mode::kRead));
    SegmentReader reader(std::move(file), kSegmentRecordBytes, end, info.first_group, directory_.store());
    reader.set_verify_bodies(false);
    reader.set_accept_damaged_bodies(true);
    std::map<uint64_t, std::optional<stored::SegmentFigures>> figures;
    absl::StatusOr<stored::Group> group;
    while ((group = reader.Next()).ok()) {
      groups_follow_ = true;
      span.body_bytes += group->bytes();
      for (const stored::Put& put : group->puts()) {
        if (put.key().empty() || put.key()[0] != 's') continue;
        stored::SegmentFigures value;
        value.ParseFromString(put.value());
        figures[NumberOfKey(put.key())] = std::move(value);
      }
      for (const std::string& key : group->erased()) {
        span.erased_bytes += key.size();
        if (key[0] == 's') figures[NumberOfKey(key)] = std::nullopt;
      }
    }
    if (!absl::IsOutOfRange(group.status())) {
      if (!absl::IsDataLoss(group.status())) return group.status();
      ASSIGN_OR_RETURN(const bool later, reader.LaterGroupFollows());
      if (!newest || later) {
        return absl::DataLossError(absl::StrCat(Path(info.number), ": damaged at ", reader.offset(), ": ",
                                                group.status().message(), "; restore it from a backup"));
      }
      span.end = reader.offset();  // Torn there.
    }
    if (!newest) {
      const SegmentInfo& next = infos_[i + 1];
      const bool follows = next.number == info.number + 1;
      if (follows ? next.first_group != reader.next_number() : next.first_group < reader.next_number()) {
        return absl::DataLossError(absl::StrCat(Path(next.number), ": begins with group ", next.first_group,
                                                ", the segment before ends with ", reader.next_number() - 1));
      }
    }
    // What a later segment says is newer.
    survey_.figures.merge(figures);
    return span;
  }

  Files& files_;
  const DataDir& directory_;
  std::vector<SegmentInfo> infos_;
  Survey survey_;
  bool groups_follow_ = false;  // What was walked so far, and comes later, has some.
};

// Also what an earlier rebuild left.
absl::Status ThrowAway(Files& files, const std::string& path) {
  RETURN_IF_ERROR(files.MakeDirectory(path));
  ASSIGN_OR_RETURN(std::vector<std::string> names, files.List(path));
  // Without this one it is no index, whatever else is left.
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name == "CURRENT"; });
  for (const std::string& name : names) {
    if (IsIndexName(name)) RETURN_IF_ERROR(files.Remove(JoinPath(path, name)));
  }
  RETURN_IF_ERROR(files.SyncDirectory(path));
  // Its own name may be as new.
  return files.SyncDirectory(DirectoryOf(path));
}

// The figures as they must be, where they are not.
absl::StatusOr<Corrections> Compare(const Index& index, const Survey& survey) {
  std::map<uint64_t, stored::SegmentFigures> wanted;
  for (const Span& span : survey.spans) {
    stored::SegmentFigures& figures = wanted[span.number];
    figures.set_body_bytes(span.body_bytes);
    figures.set_erased_bytes(span.erased_bytes);
    if (span.number != survey.spans.back().number) figures.set_end(span.end);
  }
  const std::shared_ptr<const IndexSnapshot> snapshot = index.Snapshot(0);
  uint64_t next_number = 1;
  absl::Status damaged;
  RETURN_IF_ERROR(
      snapshot->Visit("b", AfterPrefix("b"), [&](absl::string_view key, absl::string_view stored_value) {
        next_number = std::max(next_number, NumberOfKey(key) + 1);
        const std::optional<GroupedValue> value = SplitGroup(stored_value);
        stored::BodyLocation location;
        if (!value || !location.ParseFromArray(value->value.data(), static_cast<int>(value->value.size()))) {
          damaged = absl::DataLossError(absl::StrCat("body ", NumberOfKey(key), ": damaged location"));
          return false;
        }
        if (location.own_file()) return true;
        const auto it = wanted.find(location.file());
        if (it == wanted.end()) {
          damaged = absl::DataLossError(absl::StrCat("body ", NumberOfKey(key), " lies in segment ",
                                                     location.file(), ", which is missing"));
          return false;
        }
        it->second.set_live_bodies(it->second.live_bodies() + 1);
        it->second.set_live_bytes(it->second.live_bytes() + location.stored_bytes());
        return true;
      }));
  RETURN_IF_ERROR(damaged);
  RETURN_IF_ERROR(snapshot->Visit("h", AfterPrefix("h"), [&](absl::string_view key, absl::string_view) {
    next_number = std::max(next_number, PartitionOfHeadKey(key).number + 1);
    return true;
  }));

  Corrections corrections;
  RETURN_IF_ERROR(
      snapshot->Visit("s", AfterPrefix("s"), [&](absl::string_view key, absl::string_view stored_value) {
        const auto it = wanted.find(NumberOfKey(key));
        if (it == wanted.end()) {
          corrections.emplace_back(key, std::nullopt);
          return true;
        }
        const std::optional<GroupedValue> value = SplitGroup(stored_value);
        if (value && value->value == it->second.SerializeAsString()) wanted.erase(it);
        return true;
      }));
  for (const auto& [number, figures] : wanted) {
    corrections.emplace_back(SegmentKey(number), figures.SerializeAsString());
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> logged, snapshot->Get(kNextNumberKey));
  const std::optional<GroupedValue> value = logged ? SplitGroup(*logged) : std::nullopt;
  if (!value || value->value.size() != 8 || GetOrdered64(value->value, 0) < next_number) {
    std::string number;
    PutOrdered64(next_number, &number);
    corrections.emplace_back(kNextNumberKey, number);
  }
  return corrections;
}

}  // namespace

absl::StatusOr<Rebuilt> RebuildIndex(Files& files, const DataDir& directory) {
  ASSIGN_OR_RETURN(const Survey survey, Surveyor(files, directory).Run());
  RETURN_IF_ERROR(ThrowAway(files, directory.index()));
  Index index(&files, directory.index());
  RETURN_IF_ERROR(index.Open(/*create=*/true));

  Rebuilt rebuilt;
  rebuilt.segments = survey.spans.size();
  stored::Checkpoint reached;
  for (const Span& span : survey.spans) {
    ASSIGN_OR_RETURN(
        std::unique_ptr<File> file,
        files.Open(JoinPath(directory.segments(), SegmentName(span.number)), Files::Mode::kRead));
    SegmentReader reader(std::move(file), kSegmentRecordBytes, span.end, span.first_group, directory.store());
    reader.set_verify_bodies(false);
    reader.set_accept_damaged_bodies(true);
    bool more = true;
    while (more) {
      std::vector<stored::Group> groups;
      uint64_t bytes = 0;
      while (groups.size() < kBatchGroups && bytes < kBatchBytes) {
        absl::StatusOr<stored::Group> group = reader.Next();
        more = group.ok();
        if (absl::IsOutOfRange(group.status())) break;
        RETURN_IF_ERROR(group.status());
        bytes += group->ByteSizeLong();
        groups.push_back(*std::move(group));
      }
      if (groups.empty()) break;
      std::vector<const stored::Group*> batch;
      for (const stored::Group& group : groups) batch.push_back(&group);
      RETURN_IF_ERROR(index.Apply(batch, /*reached=*/nullptr));
      rebuilt.groups += groups.size();
      reached.set_group(groups.back().number());
      reached.set_store_time_s(groups.back().store_time_s());
    }
    reached.set_segment(span.number);
    reached.set_offset(span.end);
    rebuilt.damaged_groups += reader.damaged_groups();
  }
  ASSIGN_OR_RETURN(rebuilt.corrections, Compare(index, survey));
  std::vector<std::string> gone;
  for (const auto& [key, value] : rebuilt.corrections) {
    if (!value) gone.push_back(key);
  }
  RETURN_IF_ERROR(index.WriteCheckpoint(reached, gone));
  return rebuilt;
}

}  // namespace restante::embedded
