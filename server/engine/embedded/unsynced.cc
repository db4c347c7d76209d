#include "server/engine/embedded/unsynced.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

absl::Status Rewrite(Files& files, const std::string& directory, uint64_t segment) {
  const std::string path = JoinPath(directory, SegmentName(segment));
  const std::string copy = JoinPath(directory, SegmentCopyName(segment));
  // One that was left may have failed in the same way.
  if (absl::Status removed = files.Remove(copy); !removed.ok() && !absl::IsNotFound(removed)) return removed;
  ASSIGN_OR_RETURN(const std::unique_ptr<File> from, files.Open(path, Files::Mode::kRead));
  ASSIGN_OR_RETURN(const std::unique_ptr<File> to, files.Open(copy, Files::Mode::kCreate));
  std::string piece(kPieceBytes, '\0');
  for (uint64_t at = 0;;) {
    ASSIGN_OR_RETURN(const size_t read, from->ReadAt(at, piece.size(), piece.data()));
    if (read == 0) break;
    RETURN_IF_ERROR(to->Append({absl::string_view(piece).substr(0, read)}));
    at += read;
  }
  RETURN_IF_ERROR(to->Sync());
  RETURN_IF_ERROR(files.Rename(copy, path));
  return files.SyncDirectory(directory);
}

}  // namespace

void NoteUnsynced(Files& files, const DataDir& directory) {
  files.Open(directory.unsynced(), Files::Mode::kAppend).IgnoreError();
}

void ForgetUnsynced(Files& files, const DataDir& directory) {
  files.Remove(directory.unsynced()).IgnoreError();
}

absl::Status RewriteUnsynced(Files& files, const DataDir& directory) {
  if (!files.SizeOf(directory.unsynced()).ok()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(directory.segments()));
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const uint64_t segment = SegmentOfName(*name);
    if (segment == 0) continue;
    const absl::Status begun =
        ReadSegmentInfo(files, directory.segments(), segment, directory.store()).status();
    RETURN_IF_ERROR(Rewrite(files, directory.segments(), segment));
    // One that was begun in vain does not say where the one before it ends, which is
    // then the newest.
    if (!absl::IsOutOfRange(begun)) break;
  }
  ForgetUnsynced(files, directory);
  return absl::OkStatus();
}

}  // namespace restante::embedded
