#include "server/engine/embedded/recovery.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"
#include "server/engine/embedded/unwritten_files.h"

namespace restante::embedded {
namespace {

constexpr absl::string_view kRestore = "; restore it from a backup";

absl::Status Missing(const std::string& directory, uint64_t segment) {
  return absl::DataLossError(
      absl::StrCat(JoinPath(directory, SegmentName(segment)), ": segment is missing", kRestore));
}

// Why the log is read.
enum class Purpose {
  kCheck,   // To see whether it could be; nothing is written.
  kStart,   // As the store starts: what is torn is cut off.
  kReplay,  // Into an index that was opened again, under a running store.
};

// Segments from `first` on, each with its record.
absl::StatusOr<std::vector<SegmentInfo>> ReadChain(Files& files, const std::string& directory, uint32_t store,
                                                   uint64_t first, Purpose purpose, uint64_t* bytes) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(directory));
  std::vector<uint64_t> numbers;
  for (const std::string& name : names) {
    if (const uint64_t number = SegmentOfName(name); number >= first && number != 0)
      numbers.push_back(number);
  }
  std::vector<SegmentInfo> chain;
  for (const uint64_t number : numbers) {
    const uint64_t expected = chain.empty() ? first : chain.back().number + 1;
    if (number != expected) return Missing(directory, expected);
    absl::StatusOr<SegmentInfo> info = ReadSegmentInfo(files, directory, number, store);
    *bytes += kSegmentRecordBytes;
    if (absl::IsOutOfRange(info.status()) && number == numbers.back() && !chain.empty()) {
      // A crash while it was begun; no group was ever put into it.
      if (purpose == Purpose::kStart) {
        RETURN_IF_ERROR(files.Remove(JoinPath(directory, SegmentName(number))));
      }
      break;
    }
    if (absl::IsOutOfRange(info.status())) return absl::DataLossError(info.status().message());
    RETURN_IF_ERROR(info.status());
    if (info->start.previous_segment + 1 != number) {
      return absl::DataLossError(absl::StrCat(JoinPath(directory, SegmentName(number)),
                                              ": says that it follows segment ", info->start.previous_segment,
                                              kRestore));
    }
    chain.push_back(*info);
  }
  if (chain.empty()) return Missing(directory, first);
  return chain;
}

// Where `group` could not be read: whether that is so only for a body record. Then it
// is that body's message alone that is lost; what the group changes is known. In the
// last segment it is torn, unless a later group follows.
absl::StatusOr<bool> TakeDamagedBodies(SegmentReader& reader, bool last,
                                       absl::StatusOr<stored::Group>* group) {
  if (last) {
    ASSIGN_OR_RETURN(const bool later, reader.LaterGroupFollows());
    if (!later) return false;
  }
  reader.set_accept_damaged_bodies(true);
  absl::StatusOr<stored::Group> accepted = reader.Next();
  reader.set_accept_damaged_bodies(false);
  if (accepted.ok()) *group = std::move(accepted);
  return group->ok();
}

// Every group behind the index's checkpoint, in order, to `apply`, with where it ends.
absl::StatusOr<Replayed> ReadTail(Files& files, const std::string& directory, uint32_t store,
                                  const Index& index, Purpose purpose, uint64_t last_group,
                                  absl::FunctionRef<absl::Status(const stored::Group&, LogPosition)> apply) {
  ASSIGN_OR_RETURN(const stored::Checkpoint checkpoint, index.ReadCheckpoint());
  const uint64_t first = std::max<uint64_t>(checkpoint.segment(), 1);
  Replayed result{
      .end = {.segment = first, .offset = std::max<uint64_t>(checkpoint.offset(), kSegmentRecordBytes)},
      .checkpoint = checkpoint.group(),
      .last_group = checkpoint.group(),
      .store_time_s = checkpoint.store_time_s()};
  ASSIGN_OR_RETURN(const std::vector<SegmentInfo> chain,
                   ReadChain(files, directory, store, first, purpose, &result.log_bytes));
  for (size_t i = 0; i < chain.size(); ++i) {
    const bool last = i + 1 == chain.size();
    const std::string path = JoinPath(directory, SegmentName(chain[i].number));
    if (i > 0) result.end = {.segment = chain[i].number, .offset = kSegmentRecordBytes};
    if (i > 0 && chain[i].first_group != result.last_group + 1) {
      return absl::DataLossError(absl::StrCat(path, ": begins with group ", chain[i].first_group, ", not ",
                                              result.last_group + 1, kRestore));
    }
    // What a successor says about this segment's end is the truth: what stands
    // behind it was given up.
    const uint64_t end = last ? chain[i].size : chain[i + 1].start.previous_end;
    if (end > chain[i].size || end < result.end.offset) {
      return absl::DataLossError(absl::StrCat(path, ": is ", chain[i].size, " bytes long, the log needs ",
                                              std::max(end, result.end.offset), kRestore));
    }
    ASSIGN_OR_RETURN(
        std::unique_ptr<File> file,
        files.Open(path, last && purpose == Purpose::kStart ? Files::Mode::kAppend : Files::Mode::kRead));
    File* const open = file.get();
    SegmentReader reader(std::move(file), result.end.offset, end, result.last_group + 1, store);
    absl::Status stopped;
    while (result.last_group < last_group) {
      absl::StatusOr<stored::Group> group = reader.Next();
      if (absl::IsDataLoss(group.status())) {
        ASSIGN_OR_RETURN(const bool whole, TakeDamagedBodies(reader, last, &group));
        result.damaged_groups += whole;
      }
      if (!group.ok()) {
        stopped = group.status();
        break;
      }
      RETURN_IF_ERROR(apply(*group, {.segment = chain[i].number, .offset = reader.offset()}));
      ++result.groups;
      result.last_group = group->number();
      result.store_time_s = group->store_time_s();
      result.log_bytes += reader.offset() - result.end.offset;
      result.end.offset = reader.offset();
    }
    if (stopped.ok()) return result;
    if (!absl::IsOutOfRange(stopped)) {
      if (!absl::IsDataLoss(stopped)) return stopped;
      const auto damaged = [&] {
        return absl::DataLossError(
            absl::StrCat(path, ": damaged at ", reader.offset(), ": ", stopped.message(), kRestore));
      };
      if (!last || purpose == Purpose::kReplay) return damaged();
      ASSIGN_OR_RETURN(const bool later, reader.LaterGroupFollows());
      if (later) return damaged();
      result.log_bytes += end - result.end.offset;
      if (purpose == Purpose::kStart) {
        RETURN_IF_ERROR(open->Truncate(result.end.offset));
        RETURN_IF_ERROR(open->Sync());
      }
    }
  }
  ASSIGN_OR_RETURN(const uint64_t indexed, index.LastGroup());
  if (indexed > result.last_group) {
    return absl::DataLossError(absl::StrCat(
        directory, ": the log ends with group ", result.last_group, ", the index has seen ", indexed,
        ": the log's end is missing; restore it from a backup, or start once with "
        "--rebuild-index to go on without it"));
  }
  return result;
}

// Whether ReplayLog at the start would succeed, and every segment that the index
// needs is there.
absl::Status CheckLog(Files& files, const std::string& directory, uint32_t store, const Index& index) {
  // Segments that have to be there, and those that the index does not know of.
  std::set<uint64_t> known;
  RETURN_IF_ERROR(
      index.Snapshot(0)->Visit("s", AfterPrefix("s"), [&](absl::string_view key, absl::string_view) {
        known.insert(NumberOfKey(key));
        return true;
      }));
  ASSIGN_OR_RETURN(const Replayed read, ReadTail(files, directory, store, index, Purpose::kCheck, UINT64_MAX,
                                                 [&](const stored::Group& group, LogPosition) {
                                                   for (const stored::Put& put : group.puts()) {
                                                     if (put.key()[0] == 's')
                                                       known.insert(NumberOfKey(put.key()));
                                                   }
                                                   for (const std::string& key : group.erased()) {
                                                     if (key[0] == 's') known.erase(NumberOfKey(key));
                                                   }
                                                   return absl::OkStatus();
                                                 }));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(directory));
  for (const std::string& name : names) {
    const uint64_t number = SegmentOfName(name);
    if (number == 0 || number >= read.end.segment || known.erase(number) > 0) continue;
    // A leftover, which the start removes.
    const absl::Status ours = ReadSegmentInfo(files, directory, number, store).status();
    if (!ours.ok()) {
      return absl::DataLossError(
          absl::StrCat(ours.message(), ", and the index does not know it; move it away"));
    }
  }
  known.erase(read.end.segment);
  return known.empty() ? absl::OkStatus() : Missing(directory, *known.begin());
}

}  // namespace

absl::Status SettleLog(Files& files, const DataDir& directory) {
  RETURN_IF_ERROR(files.SyncDirectory(directory.segments()));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(directory.segments()));
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const uint64_t segment = SegmentOfName(*name);
    if (segment == 0) continue;
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file,
                     files.Open(JoinPath(directory.segments(), *name), Files::Mode::kAppend));
    RETURN_IF_ERROR(file->Sync());
    file->DropCached();
    // One that was never finished does not say where the one before it ends, which is
    // then the last.
    const absl::Status begun =
        ReadSegmentInfo(files, directory.segments(), segment, directory.store()).status();
    if (!absl::IsOutOfRange(begun)) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<Replayed> ReplayLog(Files& files, const std::string& directory, uint32_t store, Index& index,
                                   std::optional<uint64_t> last_group) {
  return ReadTail(files, directory, store, index, last_group ? Purpose::kReplay : Purpose::kStart,
                  last_group.value_or(UINT64_MAX), [&](const stored::Group& group, LogPosition end) {
                    const stored::Checkpoint reached =
                        MakeCheckpoint(group.number(), end, group.store_time_s());
                    return index.Apply({&group}, &reached);
                  });
}

stored::Checkpoint MakeCheckpoint(uint64_t group, LogPosition end, uint64_t store_time_s) {
  stored::Checkpoint checkpoint;
  checkpoint.set_group(group);
  checkpoint.set_segment(end.segment);
  checkpoint.set_offset(end.offset);
  checkpoint.set_store_time_s(store_time_s);
  return checkpoint;
}

absl::Status OpenIndex(Index& index) {
  const absl::Status opened = index.Open(/*create=*/false);
  constexpr absl::string_view kAdvice = "; start once with --rebuild-index to make it again from the log";
  if (absl::IsNotFound(opened)) return absl::NotFoundError(absl::StrCat("the index is missing", kAdvice));
  if (absl::IsDataLoss(opened)) {
    return absl::DataLossError(absl::StrCat("the index is damaged (", opened.message(), ")", kAdvice));
  }
  return opened;
}

absl::Status CheckStore(Files& files, const DataDir& directory) {
  UnwrittenFiles unwritten(&files);
  Index index(&unwritten, directory.index());
  RETURN_IF_ERROR(OpenIndex(index));
  return CheckLog(unwritten, directory.segments(), directory.store(), index);
}

}  // namespace restante::embedded
