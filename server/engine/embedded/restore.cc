#include "server/engine/embedded/restore.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/backup_directory.h"
#include "server/engine/embedded/data_dir.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kChunk = uint64_t{1} << 20;

class Restorer {
 public:
  Restorer(Files& files, const std::string& backup, const BackupManifest& manifest,
           const RestoreObserver& observer)
      : files_(files), backup_(backup), manifest_(manifest), observer_(observer) {
    for (const BackupFile& file : manifest.files) total_ += file.bytes;
  }

  // All files, damaged ones as far as they can be read.
  absl::Status CopyTo(const DataDir& directory) {
    for (const BackupFile& file : manifest_.files) {
      const uint64_t before = done_;
      absl::Status copied = Copy(file, JoinPath(directory.path, RestoredName(file.name)));
      if (absl::IsDataLoss(copied) || absl::IsNotFound(copied)) {
        Damaged(copied.message());
      } else if (!copied.ok()) {
        return copied;
      } else if (file.damaged) {
        Damaged(absl::StrCat(JoinPath(backup_, file.name),
                             ": was damaged in the store already when the backup was made"));
      }
      done_ = before + file.bytes;
      damaged_backup_ |= !copied.ok();
    }
    if (observer_.progress) observer_.progress(total_, total_);
    for (const std::string& part : {directory.segments(), directory.bodies()}) {
      RETURN_IF_ERROR(files_.SyncDirectory(part));
    }
    return absl::OkStatus();
  }

  uint64_t damaged_files() const { return damaged_files_; }
  // Whether a file is not what the manifest says.
  bool damaged_backup() const { return damaged_backup_; }

 private:
  void Damaged(absl::string_view line) {
    ++damaged_files_;
    if (observer_.damaged) observer_.damaged(std::string(line));
  }

  absl::Status Copy(const BackupFile& file, const std::string& to) {
    const std::string from = JoinPath(backup_, file.name);
    ASSIGN_OR_RETURN(const std::unique_ptr<File> source, files_.Open(from, Files::Mode::kRead));
    ASSIGN_OR_RETURN(const std::unique_ptr<File> target, files_.Open(to, Files::Mode::kCreate));
    uint32_t crc32c = 0;
    uint64_t at = 0;
    std::string octets;
    while (at < file.bytes) {
      octets.resize(std::min(kChunk, file.bytes - at));
      ASSIGN_OR_RETURN(const size_t read, source->ReadAt(at, octets.size(), octets.data()));
      if (read == 0) break;
      octets.resize(read);
      at += read;
      crc32c = Crc32c(octets, crc32c);
      RETURN_IF_ERROR(target->Append({octets}));
      done_ += read;
      if (observer_.progress) observer_.progress(done_, total_);
    }
    RETURN_IF_ERROR(target->Sync());
    if (at < file.bytes) {
      return absl::DataLossError(absl::StrCat(from, ": is ", at, " bytes long, not ", file.bytes));
    }
    if (crc32c != file.crc32c) {
      return absl::DataLossError(
          absl::StrFormat("%s: is damaged: its checksum is %08x, not %08x", from, crc32c, file.crc32c));
    }
    return absl::OkStatus();
  }

  Files& files_;
  const std::string& backup_;
  const BackupManifest& manifest_;
  const RestoreObserver& observer_;
  uint64_t done_ = 0, total_ = 0, damaged_files_ = 0;
  bool damaged_backup_ = false;
};

absl::StatusOr<BackupManifest> ReadManifest(Files& files, const std::string& backup) {
  absl::StatusOr<BackupManifest> manifest = ReadBackupManifest(files, backup);
  if (absl::IsNotFound(manifest.status())) {
    const bool unfinished = files.SizeOf(JoinPath(backup, kUnfinishedFile)).ok();
    return absl::NotFoundError(absl::StrCat(backup, unfinished ? ": holds a backup that was never finished"
                                                               : ": is no backup; it has no file BACKUP"));
  }
  RETURN_IF_ERROR(manifest.status());
  if (manifest->format > kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(backup, ": has format ", manifest->format,
                                                      ", this program knows formats up to ", kFormatVersion,
                                                      "; use the newer program that wrote it"));
  }
  return manifest;
}

}  // namespace

absl::StatusOr<Restored> Restore(
    Options options, const std::string& backup, bool accept_damage, const RestoreObserver& observer,
    absl::FunctionRef<absl::Status(engine::Engine& engine, const BackupManifest& manifest)> prepare) {
  Files& files = *options.files;
  Restored restored;
  ASSIGN_OR_RETURN(restored.manifest, ReadManifest(files, backup));
  if (!AreApart(backup, options.data_dir)) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.data_dir, ": is not apart from the backup (", backup, ")"));
  }
  {
    ASSIGN_OR_RETURN(DataDir directory, BeginRestore(files, options.data_dir));
    Restorer restorer(files, backup, restored.manifest, observer);
    RETURN_IF_ERROR(restorer.CopyTo(directory));
    restored.damaged_files = restorer.damaged_files();
    if (restorer.damaged_backup() && !accept_damage) {
      return absl::DataLossError(absl::StrCat(backup, ": is damaged, ", restored.damaged_files,
                                              " files; --restore-damaged takes what can be read of it"));
    }
    directory.store_id = restored.manifest.store_id;
    RETURN_IF_ERROR(WriteFormat(files, directory, restored.manifest.format));
  }
  const std::string data_dir = options.data_dir;
  options.create = false;
  options.restoring = true;
  options.rebuild_index = true;
  options.compaction_bytes_per_second = 0;
  options.scrub_interval = absl::ZeroDuration();
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> engine, Open(std::move(options)));
    RETURN_IF_ERROR(prepare(*engine, restored.manifest));
  }
  RETURN_IF_ERROR(EndRestore(files, data_dir));
  return restored;
}

}  // namespace restante::embedded
