#include "server/engine/embedded/segment_writer.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::GoOn(Files& files, const std::string& directory,
                                                                   LogPosition at) {
  const std::string path = JoinPath(directory, SegmentName(at.segment));
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files.Open(path, Files::Mode::kAppend));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size != at.offset) {
    return absl::InternalError(absl::StrCat(path, ": is ", size, " bytes long, not ", at.offset));
  }
  return absl::WrapUnique(new SegmentWriter(std::move(file), at));
}

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Begin(Files& files,
                                                                    const std::string& directory,
                                                                    LogPosition before, uint64_t first_group,
                                                                    uint32_t store) {
  const uint64_t segment = before.segment + 1;
  const std::string path = JoinPath(directory, SegmentName(segment));
  // "No room" is said only where nothing of it is left.
  const auto unclear = [](const absl::Status& status) { return absl::InternalError(status.message()); };
  // One that was begun in vain may stand there; nothing is retried on that file.
  const auto remove = [&] {
    const absl::Status gone = files.Remove(path);
    return absl::IsNotFound(gone) ? absl::OkStatus() : gone;
  };
  if (absl::Status gone = remove(); !gone.ok()) return unclear(gone);
  const std::string record = EncodeSegmentRecord(
      segment, first_group, {.previous_segment = before.segment, .previous_end = before.offset}, store);
  std::unique_ptr<File> file;
  const absl::Status written = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(file, files.Open(path, Files::Mode::kCreate));
    RETURN_IF_ERROR(file->Append({record}));
    return file->Sync();
  }();
  if (absl::IsResourceExhausted(written)) {
    // Found by the next start, it would end the log before it.
    absl::Status gone = remove();
    if (gone.ok()) gone = files.SyncDirectory(directory);
    return gone.ok() ? written : unclear(gone);
  }
  RETURN_IF_ERROR(written);
  // The name too, before a group in it may be acknowledged.
  if (absl::Status named = files.SyncDirectory(directory); !named.ok()) return unclear(named);
  return absl::WrapUnique(new SegmentWriter(std::move(file), {.segment = segment, .offset = record.size()}));
}

absl::Status SegmentWriter::Write(absl::Span<const absl::string_view> pieces) {
  RETURN_IF_ERROR(file_->Append(pieces));
  if (absl::Status status = file_->Sync(); !status.ok()) {
    sync_failed_ = true;
    return status;
  }
  for (const absl::string_view piece : pieces) end_.offset += piece.size();
  return absl::OkStatus();
}

absl::Status SegmentWriter::CutBack() {
  if (sync_failed_) return absl::FailedPreconditionError("its sync failed");
  RETURN_IF_ERROR(file_->Truncate(end_.offset));
  absl::Status status = file_->Sync();
  sync_failed_ = !status.ok();
  return status;
}

}  // namespace restante::embedded
