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
  // One that was begun in vain may stand there; nothing is retried on that file.
  if (absl::Status status = files.Remove(path); !status.ok() && !absl::IsNotFound(status)) return status;
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files.Open(path, Files::Mode::kCreate));
  const std::string record = EncodeSegmentRecord(
      segment, first_group, {.previous_segment = before.segment, .previous_end = before.offset}, store);
  RETURN_IF_ERROR(file->Append({record}));
  RETURN_IF_ERROR(file->Sync());
  // The name too, before a group in it may be acknowledged.
  RETURN_IF_ERROR(files.SyncDirectory(directory));
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
