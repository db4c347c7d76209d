#include "server/engine/embedded/backup_directory.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"

namespace restante::embedded {
namespace {

absl::Status Refused(const std::string& directory, absl::string_view text) {
  return absl::FailedPreconditionError(absl::StrCat(directory, ": ", text));
}

// Whether `inner` is `outer` or in it.
bool Contains(const std::filesystem::path& outer, const std::filesystem::path& inner) {
  const auto [o, i] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return o == outer.end() || (o->empty() && std::next(o) == outer.end());
}

// Links followed, as far as it is there.
std::filesystem::path Resolved(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return std::filesystem::path(path).lexically_normal();
  std::filesystem::path resolved = std::filesystem::weakly_canonical(absolute, error);
  return error ? absolute.lexically_normal() : resolved;
}

// The last part of the path only: the rest may be a volume that is not mounted.
absl::Status MakeTarget(Files& files, const std::string& directory) {
  const absl::StatusOr<bool> is_directory = files.IsDirectory(directory);
  if (is_directory.ok()) return *is_directory ? absl::OkStatus() : Refused(directory, "is not a directory");
  if (!absl::IsNotFound(is_directory.status())) return is_directory.status();
  const std::string above = DirectoryOf(directory);
  if (!files.IsDirectory(above).ok()) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": there is no directory ", above, "; is its volume mounted?"));
  }
  return files.MakeDirectory(directory);
}

// What stands in a directory without a manifest: nothing, or an unfinished backup
// of this store.
absl::Status CheckUnfinished(Files& files, const std::string& directory,
                             const std::vector<std::string>& names, uint64_t store_id) {
  if (std::find(names.begin(), names.end(), kUnfinishedFile) == names.end()) {
    return Refused(directory, absl::StrCat("holds files that are not a backup's (", names.front(),
                                           "); choose an empty directory"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(files, JoinPath(directory, kUnfinishedFile)));
  // (A crash may have left less than its line.)
  uint64_t other = 0;
  absl::string_view id = text;
  if (!absl::ConsumePrefix(&id, "store ") || !absl::ConsumeSuffix(&id, "\n") || id.size() != 16 ||
      !absl::SimpleHexAtoi(id, &other) || other == store_id) {
    return absl::OkStatus();
  }
  return Refused(directory, "holds an unfinished backup of another store; choose another directory");
}

}  // namespace

bool AreApart(const std::string& a, const std::string& b) {
  const std::filesystem::path first = Resolved(a), second = Resolved(b);
  return !Contains(first, second) && !Contains(second, first);
}

absl::StatusOr<std::optional<BackupManifest>> PrepareBackup(Files& files, const std::string& directory,
                                                            const std::string& data_dir, uint64_t store_id) {
  if (!absl::StartsWith(directory, "/")) {
    return absl::InvalidArgumentError(absl::StrCat(directory, ": is not an absolute path"));
  }
  if (!AreApart(directory, data_dir)) {
    return Refused(directory, absl::StrCat("is not apart from the data directory (", data_dir, ")"));
  }
  RETURN_IF_ERROR(MakeTarget(files, directory));
  ASSIGN_OR_RETURN(std::vector<std::string> names, files.List(directory));
  // The root of a file system has this.
  names.erase(std::remove(names.begin(), names.end(), "lost+found"), names.end());
  absl::StatusOr<BackupManifest> earlier = ReadBackupManifest(files, directory);
  if (absl::IsDataLoss(earlier.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(earlier.status().message(), "; choose another directory, or empty this one"));
  }
  if (!earlier.ok() && !absl::IsNotFound(earlier.status())) return earlier.status();
  std::optional<BackupManifest> result;
  if (earlier.ok()) {
    if (earlier->store_id != store_id) {
      return Refused(directory, "holds a backup of another store; choose another directory");
    }
    result = *std::move(earlier);
  } else {
    if (!names.empty()) RETURN_IF_ERROR(CheckUnfinished(files, directory, names, store_id));
    // An earlier run may have made it and got no further. (Where we may not, it is
    // not ours.)
    if (absl::Status synced = files.SyncDirectory(DirectoryOf(directory));
        !synced.ok() && !absl::IsPermissionDenied(synced)) {
      return synced;
    }
    if (!std::count(names.begin(), names.end(), kUnfinishedFile)) {
      RETURN_IF_ERROR(WriteFileSynced(files, JoinPath(directory, kUnfinishedFile),
                                      absl::StrFormat("store %016x\n", store_id)));
    }
    // Before anything else is there: without it that would look like somebody's.
    RETURN_IF_ERROR(files.SyncDirectory(directory));
  }
  for (const absl::string_view part : kBackupParts)
    RETURN_IF_ERROR(files.MakeDirectory(JoinPath(directory, part)));
  RETURN_IF_ERROR(files.SyncDirectory(directory));
  return result;
}

}  // namespace restante::embedded
