#include "server/engine/embedded/data_dir.h"

#include <openssl/rand.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/backup_manifest.h"
#include "server/engine/embedded/data_dir_check.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/segment_writer.h"

namespace restante::embedded {
namespace {

constexpr absl::string_view kFormatFile = "FORMAT";
constexpr absl::string_view kNewFormatFile = "FORMAT.new";
constexpr absl::string_view kCreatingFile = "CREATING";
constexpr absl::string_view kRestoringFile = "RESTORING";
constexpr absl::string_view kLockFile = "LOCK";
constexpr absl::string_view kTitle = "restante format ";
constexpr uint64_t kMaxFormatBytes = 4096;
// Less makes no store; it would be full at once.
constexpr uint64_t kLeastBytes = uint64_t{8} << 20;
constexpr uint64_t kLeastFiles = 256;

absl::Status ReadFormat(Files& files, const std::string& path, DataDir* directory) {
  const std::string file = JoinPath(path, kFormatFile);
  ASSIGN_OR_RETURN(const uint64_t size, files.SizeOf(file));
  std::string text;
  if (size <= kMaxFormatBytes) {
    ASSIGN_OR_RETURN(text, ReadWholeFile(files, file));
  }
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  uint64_t version = 0;
  if (lines.size() < 2 || lines[0].substr(0, kTitle.size()) != kTitle ||
      !absl::SimpleAtoi(lines[0].substr(kTitle.size()), &version)) {
    return Refusal(absl::StatusCode::kFailedPrecondition, path,
                   absl::StrCat("its FORMAT file (", size,
                                " bytes) is not Restante's; is this the right "
                                "directory? If it is, restore FORMAT from a backup"));
  }
  if (version > kFormatVersion) {
    return Refusal(absl::StatusCode::kFailedPrecondition, path,
                   absl::StrCat("has format ", version, ", this program knows formats up to ", kFormatVersion,
                                "; use the newer program that wrote it"));
  }
  directory->format = version;
  if (version == 0 || lines[1].substr(0, 6) != "store " ||
      !absl::SimpleHexAtoi(lines[1].substr(6), &directory->store_id)) {
    return Refusal(absl::StatusCode::kDataLoss, path, "its FORMAT file is damaged; restore it from a backup");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> TakeLock(Files& files, const std::string& path) {
  absl::StatusOr<std::unique_ptr<FileLock>> lock = files.Lock(JoinPath(path, kLockFile));
  if (absl::IsUnavailable(lock.status())) {
    return Refusal(absl::StatusCode::kUnavailable, path,
                   "is in use by another restante-store; stop that one, or choose another directory");
  }
  if (!lock.ok()) return AsRefusal(lock.status(), path);
  return lock;
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// But for what the root of a file system has.
absl::StatusOr<std::vector<std::string>> ListOwn(Files& files, const std::string& path) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, files.List(path));
  names.erase(std::remove(names.begin(), names.end(), "lost+found"), names.end());
  return names;
}

bool Has(const std::vector<std::string>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What an interrupted creation or restore may have left in one of our directories:
// all of it goes, for nothing can have been stored before that was finished.
absl::Status EmptyDirectory(Files& files, const std::string& path) {
  RETURN_IF_ERROR(files.MakeDirectory(path));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(path));
  for (const std::string& name : WithoutSystemNames(names)) {
    RETURN_IF_ERROR(files.Remove(JoinPath(path, name)));
  }
  return absl::OkStatus();
}

absl::Status CheckWritable(Files& files, const std::string& path) {
  ASSIGN_OR_RETURN(const Files::Space space, files.SpaceAt(path));
  if (!space.read_only) return absl::OkStatus();
  return Refusal(absl::StatusCode::kPermissionDenied, path,
                 "is on a file system that is mounted read-only; mount it writable");
}

absl::Status CheckRoom(Files& files, const std::string& path) {
  ASSIGN_OR_RETURN(const Files::Space space, files.SpaceAt(path));
  if (space.available >= kLeastBytes && space.available_files >= kLeastFiles) return absl::OkStatus();
  const bool inodes = space.available >= kLeastBytes;
  return Refusal(absl::StatusCode::kResourceExhausted, path,
                 absl::StrCat("has ", inodes ? space.available_files : space.available,
                              inodes ? " inodes" : " bytes", " left, a new store needs ",
                              inodes ? kLeastFiles : kLeastBytes, "; make room on its file system"));
}

// Makes it durable that the directory is there: its name, and those of its parents,
// which may be as new. Who may not read a directory has made nothing in it.
absl::Status SyncParents(Files& files, const std::string& path) {
  std::string child = path;
  for (std::string parent = DirectoryOf(child); parent != child; parent = DirectoryOf(child)) {
    absl::Status status = files.SyncDirectory(parent);
    if (!status.ok() && !absl::IsPermissionDenied(status)) return status;
    child = std::move(parent);
  }
  return absl::OkStatus();
}

// The last step of creation, or the first of the next start if it was cut off
// before: with CREATING gone, nobody looks whether the rest is durable.
absl::Status FinishCreation(Files& files, const std::string& path) {
  RETURN_IF_ERROR(files.SyncDirectory(path));
  RETURN_IF_ERROR(SyncParents(files, path));
  return files.Remove(JoinPath(path, kCreatingFile));
}

absl::Status Create(Files& files, DataDir& directory) {
  const std::string& path = directory.path;
  unsigned char random[8];
  if (RAND_bytes(random, sizeof(random)) != 1) return absl::InternalError("no random numbers to be had");
  for (const unsigned char octet : random) directory.store_id = directory.store_id << 8 | octet;

  // CREATING tells an interrupted creation from a store that lost its FORMAT, so
  // nothing else is made before its name is durable. (The name says it all: one that
  // is there is not made again.)
  if (!files.SizeOf(JoinPath(path, kCreatingFile)).ok()) {
    RETURN_IF_ERROR(WriteFileSynced(files, JoinPath(path, kCreatingFile), "being created\n"));
  }
  RETURN_IF_ERROR(files.SyncDirectory(path));
  ASSIGN_OR_RETURN(directory.lock, TakeLock(files, path));
  if (files.SizeOf(JoinPath(path, kFormatFile)).ok()) {
    return Refusal(absl::StatusCode::kUnavailable, path,
                   "was just made by another restante-store; start again");
  }
  for (const std::string& part : {directory.segments(), directory.bodies(), directory.index()}) {
    RETURN_IF_ERROR(EmptyDirectory(files, part));
  }
  RETURN_IF_ERROR(SegmentWriter::Begin(files, directory.segments(), {}, 1, directory.store()).status());
  {
    Index index(&files, directory.index());
    absl::Status made = index.Open(/*create=*/true);
    if (made.ok()) made = index.WriteCheckpoint({});
    // What the disk said is more exact than what LevelDB made of it.
    if (!made.ok()) RETURN_IF_ERROR(index.first_failure());
    RETURN_IF_ERROR(made);
  }
  for (const std::string& part : {directory.bodies(), directory.index(), path}) {
    RETURN_IF_ERROR(files.SyncDirectory(part));
  }
  // From the moment that FORMAT is durable it is a store.
  RETURN_IF_ERROR(WriteFormat(files, directory, kFormatVersion));
  return FinishCreation(files, path);
}

}  // namespace

std::string FormatText(const DataDir& directory) {
  return absl::StrFormat("%s%d\nstore %016x\n", kTitle, directory.format, directory.store_id);
}

absl::Status WriteFormat(Files& files, DataDir& directory, uint64_t format) {
  const std::string fresh = JoinPath(directory.path, kNewFormatFile);
  directory.format = format;
  RETURN_IF_ERROR(WriteFileSynced(files, fresh, FormatText(directory)));
  RETURN_IF_ERROR(files.Rename(fresh, JoinPath(directory.path, kFormatFile)));
  return files.SyncDirectory(directory.path);
}

absl::StatusOr<DataDir> BeginRestore(Files& files, const std::string& path) {
  DataDir directory;
  directory.path = WithoutSlash(path);
  const absl::Status begun = [&]() -> absl::Status {
    absl::StatusOr<bool> is_directory = files.IsDirectory(directory.path);
    if (absl::IsNotFound(is_directory.status())) {
      const std::string above = DirectoryOf(directory.path);
      if (!files.IsDirectory(above).ok()) {
        return Refusal(absl::StatusCode::kNotFound, path,
                       absl::StrCat("there is no directory ", above, "; is its volume mounted?"));
      }
      RETURN_IF_ERROR(files.MakeDirectory(directory.path));
      is_directory = true;
    }
    RETURN_IF_ERROR(is_directory.status());
    if (!*is_directory) return Refusal(absl::StatusCode::kFailedPrecondition, path, "is not a directory");
    RETURN_IF_ERROR(CheckOwner(files, directory.path));
    RETURN_IF_ERROR(CheckWritable(files, directory.path));
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ListOwn(files, directory.path));
    if (!names.empty() && !Has(names, kRestoringFile)) {
      return Refusal(absl::StatusCode::kFailedPrecondition, path,
                     absl::StrCat("is not empty (", absl::CHexEscape(names.front()),
                                  "); a backup is restored into a new directory"));
    }
    // (Once it is there it stays: without it what is here would look like a store.)
    if (!Has(names, kRestoringFile)) {
      RETURN_IF_ERROR(WriteFileSynced(files, JoinPath(directory.path, kRestoringFile), "being restored\n"));
    }
    RETURN_IF_ERROR(files.SyncDirectory(directory.path));
    ASSIGN_OR_RETURN(directory.lock, TakeLock(files, directory.path));
    for (const absl::string_view name : {kFormatFile, kNewFormatFile}) {
      if (Has(names, name)) RETURN_IF_ERROR(files.Remove(JoinPath(directory.path, name)));
    }
    for (const std::string& part : {directory.segments(), directory.bodies(), directory.index()}) {
      RETURN_IF_ERROR(EmptyDirectory(files, part));
    }
    return absl::OkStatus();
  }();
  if (!begun.ok()) return AsRefusal(begun, path);
  return directory;
}

absl::Status EndRestore(Files& files, const std::string& path) {
  const std::string directory = WithoutSlash(path);
  RETURN_IF_ERROR(files.SyncDirectory(directory));
  RETURN_IF_ERROR(SyncParents(files, directory));
  RETURN_IF_ERROR(files.Remove(JoinPath(directory, kRestoringFile)));
  return files.SyncDirectory(directory);
}

absl::StatusOr<DataDir> OpenDataDir(Files& files, const std::string& path, bool create, bool restoring) {
  DataDir directory;
  directory.path = WithoutSlash(path);
  absl::StatusOr<bool> is_directory = files.IsDirectory(directory.path);
  if (absl::IsNotFound(is_directory.status())) {
    if (!create) {
      return Refusal(absl::StatusCode::kNotFound, path,
                     "no such directory; is its volume mounted? --create makes a new store");
    }
    if (absl::Status made = files.MakeDirectory(directory.path); !made.ok()) return AsRefusal(made, path);
    is_directory = files.IsDirectory(directory.path);
    if (absl::IsNotFound(is_directory.status())) {
      return Refusal(absl::StatusCode::kFailedPrecondition, path,
                     "is a link to something that does not exist; is its volume mounted?");
    }
  }
  if (!is_directory.ok()) return AsRefusal(is_directory.status(), path);
  if (!*is_directory) {
    return Refusal(absl::StatusCode::kFailedPrecondition, path,
                   "is not a directory; --data-dir names the directory of the store");
  }
  if (absl::Status owned = CheckOwner(files, directory.path); !owned.ok()) return AsRefusal(owned, path);
  if (absl::Status writable = CheckWritable(files, directory.path); !writable.ok())
    return AsRefusal(writable, path);
  const absl::StatusOr<std::vector<std::string>> names = ListOwn(files, directory.path);
  if (!names.ok()) return AsRefusal(names.status(), path);
  const auto has = [&](absl::string_view name) { return Has(*names, name); };
  if (const auto permissions = files.PermissionsOf(directory.path);
      permissions.ok() && permissions->mode & 0002) {
    directory.warning = absl::StrFormat(
        "%s: can be written by everybody (mode %04o); chmod o-w keeps others out", path, permissions->mode);
  }
  const absl::Status opened = [&]() -> absl::Status {
    if (has(kRestoringFile) && !restoring) {
      return Refusal(absl::StatusCode::kFailedPrecondition, path,
                     "holds a restore that was interrupted; repeat it, or empty the directory");
    }
    if (has(kFormatFile)) {
      RETURN_IF_ERROR(ReadFormat(files, directory.path, &directory));
      if (has(kLockFile)) {
        ASSIGN_OR_RETURN(directory.lock, TakeLock(files, directory.path));
      }
      return CheckParts(files, directory.path, /*complete=*/true);
    }
    if (has(kBackupFile)) {
      return Refusal(absl::StatusCode::kFailedPrecondition, path,
                     "is a backup and no data directory; --restore makes one from it");
    }
    if (!names->empty() && !has(kCreatingFile)) {
      return Refusal(absl::StatusCode::kFailedPrecondition, path,
                     absl::StrCat("holds files (", absl::CHexEscape(names->front()),
                                  ") and no FORMAT, which a store has; choose an empty directory, or restore "
                                  "FORMAT from a backup"));
    }
    if (!create) {
      return Refusal(absl::StatusCode::kNotFound, path,
                     names->empty() ? "is empty; is its volume mounted? --create makes a new store in it"
                                    : "holds a store whose creation was interrupted; --create finishes it");
    }
    RETURN_IF_ERROR(CheckParts(files, directory.path, /*complete=*/false));
    RETURN_IF_ERROR(CheckRoom(files, directory.path));
    return Create(files, directory);
  }();
  if (!opened.ok()) return AsRefusal(opened, path);
  return directory;
}

absl::Status ClaimDataDir(Files& files, DataDir& directory) {
  if (!directory.lock) {
    ASSIGN_OR_RETURN(directory.lock, TakeLock(files, directory.path));
  }
  if (!files.SizeOf(JoinPath(directory.path, kCreatingFile)).ok()) return absl::OkStatus();
  return AsRefusal(FinishCreation(files, directory.path), directory.path);
}

}  // namespace restante::embedded
