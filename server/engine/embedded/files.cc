#include "server/engine/embedded/files.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante::embedded {

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  return absl::StrCat(directory, "/", name);
}

std::string DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

absl::StatusOr<Files::Permissions> Files::PermissionsOf(const std::string&) {
  return Permissions{.owner = geteuid(), .mode = 0700};
}

absl::StatusOr<std::string> ReadWholeFile(Files& files, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files.Open(path, Files::Mode::kRead));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string content(size, '\0');
  ASSIGN_OR_RETURN(const size_t read, file->ReadAt(0, content.size(), content.data()));
  content.resize(read);
  return content;
}

absl::Status WriteFileSynced(Files& files, const std::string& path, absl::string_view content) {
  if (absl::Status gone = files.Remove(path); !gone.ok() && !absl::IsNotFound(gone)) return gone;
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files.Open(path, Files::Mode::kCreate));
  RETURN_IF_ERROR(file->Append({content}));
  return file->Sync();
}

}  // namespace restante::embedded
