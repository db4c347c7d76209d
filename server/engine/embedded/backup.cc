#include "server/engine/embedded/backup.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/backup_check.h"
#include "server/engine/embedded/backup_directory.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kChunk = uint64_t{1} << 20;
// Octets at the end of a file that tell one history of a store from another: the
// last group with its random ids, or a body's checksums.
constexpr uint64_t kEnding = uint64_t{4} << 10;
constexpr absl::string_view kPartSuffix = ".part";

absl::StatusOr<std::string> Ending(const File& file, uint64_t bytes) {
  const uint64_t length = std::min(bytes, kEnding);
  std::string octets(length, '\0');
  ASSIGN_OR_RETURN(const size_t read, file.ReadAt(bytes - length, length, octets.data()));
  octets.resize(read);
  return octets;
}

class Writer {
 public:
  Writer(Files& files, const std::string& directory, BackupPlan plan,
         const std::optional<BackupManifest>& earlier, bool verify_kept, const BackupObserver& observer)
      : files_(files),
        directory_(directory),
        plan_(std::move(plan)),
        earlier_(earlier),
        verify_kept_(verify_kept),
        observer_(observer) {}

  absl::StatusOr<engine::BackupSummary> Run() {
    RETURN_IF_ERROR(CheckHistory());
    // What costs no copying first: a link keeps a file whatever the store removes.
    std::vector<const BackupSource*> linked, open;
    absl::flat_hash_set<std::string> needed;
    for (const BackupSource& source : plan_.sources) {
      ASSIGN_OR_RETURN(const Place place, Find(source));
      if (place == Place::kKept) continue;
      if (place == Place::kNothing && !source.grows) {
        ASSIGN_OR_RETURN(const bool done, Link(source));
        if (done) {
          linked.push_back(&source);
          continue;
        }
      }
      open.push_back(&source);
      needed.insert(source.path);
    }
    observer_.needs(std::move(needed));
    for (const BackupSource* source : open) {
      RETURN_IF_ERROR(FindOrCopy(*source));
      observer_.let_go(source->path);
    }
    for (const BackupSource* source : linked) {
      const absl::StatusOr<CheckedFile> checked = Check(*source, Path(*source), /*count=*/true);
      if (absl::IsOutOfRange(checked.status())) {
        RETURN_IF_ERROR(LeaveOut(*source, checked.status().message()));
        continue;
      }
      RETURN_IF_ERROR(checked.status());
      RETURN_IF_ERROR(Take(*source, *checked));
    }
    for (const absl::string_view part : kBackupParts) {
      RETURN_IF_ERROR(files_.SyncDirectory(JoinPath(directory_, part)));
    }
    return Finish();
  }

 private:
  enum class Place {
    kNothing,
    kKept,       // Taken over from the earlier backup.
    kUnchecked,  // A file is there that may be what is wanted.
  };

  std::string Path(const BackupSource& source) const { return JoinPath(directory_, source.name); }

  absl::Status OtherHistory() const {
    return absl::FailedPreconditionError(absl::StrCat(
        directory_, ": holds a backup of this store from before it was restored; choose another ",
        "directory"));
  }

  // The earlier backup has to be of a moment in this log: numbers only ascend, and
  // what was its end is in it still.
  absl::Status CheckHistory() const {
    if (!earlier_) return absl::OkStatus();
    if (earlier_->group > plan_.manifest.group) return OtherHistory();
    // (Names of segments come last, and ascend with their numbers.)
    const std::string newest = RestoredName(plan_.sources.back().name);
    for (const BackupFile& file : earlier_->files) {
      const std::string restored = RestoredName(file.name);
      if (restored > newest) return OtherHistory();
      if (restored == file.name) continue;
      const auto source =
          std::find_if(plan_.sources.begin(), plan_.sources.end(),
                       [&](const BackupSource& s) { return RestoredName(s.name) == restored; });
      // (A segment that was emptied since cannot tell.)
      if (source == plan_.sources.end()) continue;
      if (source->bytes < file.bytes) return OtherHistory();
      ASSIGN_OR_RETURN(const bool same, EndAlike(source->path, JoinPath(directory_, file.name), file.bytes));
      if (!same) return OtherHistory();
    }
    return absl::OkStatus();
  }

  // What is at the source's place in the backup.
  absl::StatusOr<Place> Find(const BackupSource& source) {
    const BackupFile* const listed = earlier_ ? earlier_->Find(source.name) : nullptr;
    const absl::StatusOr<uint64_t> size = files_.SizeOf(Path(source));
    if (absl::IsNotFound(size.status())) return Place::kNothing;
    RETURN_IF_ERROR(size.status());
    if (listed != nullptr && listed->bytes != source.bytes) return OtherHistory();
    ASSIGN_OR_RETURN(const bool same,
                     *size >= source.bytes ? EndAlike(source.path, Path(source), source.bytes) : false);
    if (listed == nullptr) {
      if (same) return Place::kUnchecked;
      // A run that was interrupted left it.
      RETURN_IF_ERROR(files_.Remove(Path(source)));
      return Place::kNothing;
    }
    if (!same || verify_kept_ || listed->damaged) return Place::kUnchecked;
    RETURN_IF_ERROR(Keep(source, *listed));
    return Place::kKept;
  }

  // Whether the first `bytes` octets of the store's file and of the backup's end
  // with the same ones. If one of them is not there, nothing speaks against it.
  absl::StatusOr<bool> EndAlike(const std::string& store, const std::string& backup, uint64_t bytes) const {
    std::string endings[2];
    for (const auto& [path, ending] : {std::pair(&store, &endings[0]), std::pair(&backup, &endings[1])}) {
      const absl::StatusOr<std::unique_ptr<File>> file = files_.Open(*path, Files::Mode::kRead);
      if (absl::IsNotFound(file.status())) return true;
      RETURN_IF_ERROR(file.status());
      ASSIGN_OR_RETURN(*ending, Ending(**file, bytes));
    }
    return endings[0] == endings[1];
  }

  absl::Status Keep(const BackupSource& source, const BackupFile& file) {
    ++summary_.kept_files;
    manifest_files_.push_back(file);
    return observer_.progress(source.bytes, 0, {});
  }

  // False: not possible, it has to be copied.
  absl::StatusOr<bool> Link(const BackupSource& source) {
    if (!links_work_) return false;
    const absl::Status linked = files_.Link(source.path, Path(source));
    if (absl::IsNotFound(linked)) return false;
    if (absl::IsUnimplemented(linked)) {
      links_work_ = false;
      return false;
    }
    RETURN_IF_ERROR(linked);
    ++summary_.linked_files;
    return true;
  }

  // What is there already, if it is whole.
  absl::Status FindOrCopy(const BackupSource& source) {
    if (files_.SizeOf(Path(source)).ok()) {
      const absl::StatusOr<CheckedFile> checked = Check(source, Path(source), /*count=*/false);
      if (!checked.ok() && !absl::IsDataLoss(checked.status()) && !absl::IsOutOfRange(checked.status())) {
        return checked.status();
      }
      const BackupFile* const listed = earlier_ ? earlier_->Find(source.name) : nullptr;
      if (checked.ok() && (listed == nullptr ? checked->damages.empty()
                                             : listed->crc32c == checked->crc32c &&
                                                   listed->damaged == !checked->damages.empty())) {
        RETURN_IF_ERROR(CheckSame(source));
        RETURN_IF_ERROR(Tell(source, *checked));
        return Keep(source, FileOf(source, *checked));
      }
      // It is damaged, or never was whole: what takes its place can only be better.
    }
    const absl::Status copied = Copy(source);
    if (absl::IsNotFound(copied)) return LeaveOut(source, "is missing");
    if (absl::IsOutOfRange(copied)) return LeaveOut(source, copied.message());
    return copied;
  }

  // The backup's file is whole. If the store's ends otherwise, and is whole too, then
  // they were never the same.
  absl::Status CheckSame(const BackupSource& source) {
    ASSIGN_OR_RETURN(const bool same, EndAlike(source.path, Path(source), source.bytes));
    if (same) return absl::OkStatus();
    const absl::StatusOr<CheckedFile> ours = Check(source, source.path, /*count=*/false);
    if (ours.ok() && ours->damages.empty()) return OtherHistory();
    return absl::IsCancelled(ours.status()) ? ours.status() : absl::OkStatus();
  }

  // The store has no such file, or not all of it.
  absl::Status LeaveOut(const BackupSource& source, absl::string_view problem) {
    if (!source.location) return absl::DataLossError(absl::StrCat(source.path, ": ", problem));
    engine::Damage damage;
    damage.file = source.path;
    damage.problem = std::string(problem);
    return observer_.progress(0, 0, {std::move(damage)});
  }

  absl::Status Copy(const BackupSource& source) {
    const std::string part = absl::StrCat(Path(source), kPartSuffix);
    absl::StatusOr<uint32_t> crc32c = CopyOctets(source, part);
    if (!crc32c.ok()) {
      // A full disk must not stay full of it.
      files_.Remove(part).IgnoreError();
      return crc32c.status();
    }
    RETURN_IF_ERROR(files_.Rename(part, Path(source)));
    summary_.copied_bytes += source.bytes;
    ASSIGN_OR_RETURN(const CheckedFile checked, Check(source, Path(source), /*count=*/false));
    if (checked.crc32c != *crc32c) {
      return absl::DataLossError(absl::StrCat(Path(source), ": does not read back as it was written"));
    }
    return Take(source, checked);
  }

  absl::StatusOr<uint32_t> CopyOctets(const BackupSource& source, const std::string& to) {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> from, files_.Open(source.path, Files::Mode::kRead));
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files_.Open(to, Files::Mode::kCreate));
    uint32_t crc32c = 0;
    std::string octets;
    for (uint64_t at = 0; at < source.bytes; at += octets.size()) {
      octets.resize(std::min(kChunk, source.bytes - at));
      ASSIGN_OR_RETURN(const size_t read, from->ReadAt(at, octets.size(), octets.data()));
      if (read < octets.size()) {
        return absl::OutOfRangeError(absl::StrCat("ends at ", at + read, ", not at ", source.bytes));
      }
      crc32c = Crc32c(octets, crc32c);
      RETURN_IF_ERROR(file->Append({octets}));
      RETURN_IF_ERROR(observer_.progress(octets.size(), octets.size(), {}));
    }
    RETURN_IF_ERROR(file->Sync());
    return crc32c;
  }

  absl::StatusOr<CheckedFile> Check(const BackupSource& source, const std::string& path, bool count) {
    return CheckBackupFile(files_, path, source, static_cast<uint32_t>(plan_.manifest.store_id),
                           [&](uint64_t bytes) { return observer_.progress(count ? bytes : 0, bytes, {}); });
  }

  static BackupFile FileOf(const BackupSource& source, const CheckedFile& checked) {
    return {.name = source.name,
            .bytes = source.bytes,
            .crc32c = checked.crc32c,
            .damaged = !checked.damages.empty()};
  }

  // Of damage in the store's own file.
  absl::Status Tell(const BackupSource& source, const CheckedFile& checked) {
    if (checked.damages.empty()) return absl::OkStatus();
    std::vector<engine::Damage> damages = checked.damages;
    for (engine::Damage& damage : damages) damage.file = source.path;
    return observer_.progress(0, 0, std::move(damages));
  }

  // The file is in the backup.
  absl::Status Take(const BackupSource& source, const CheckedFile& checked) {
    manifest_files_.push_back(FileOf(source, checked));
    return Tell(source, checked);
  }

  absl::StatusOr<engine::BackupSummary> Finish() {
    std::sort(manifest_files_.begin(), manifest_files_.end(),
              [](const BackupFile& a, const BackupFile& b) { return a.name < b.name; });
    BackupManifest& manifest = plan_.manifest;
    manifest.files = std::move(manifest_files_);
    RETURN_IF_ERROR(WriteBackupManifest(files_, directory_, manifest));
    // From here on it is this backup, and what only the earlier one needed may go.
    // What cannot be removed now is tried again by the next run.
    files_.Remove(JoinPath(directory_, kUnfinishedFile)).IgnoreError();
    for (const absl::string_view part : kBackupParts) {
      const absl::StatusOr<std::vector<std::string>> names = files_.List(JoinPath(directory_, part));
      if (!names.ok()) continue;
      for (const std::string& name : *names) {
        const std::string full = JoinPath(part, name);
        const bool ours = !RestoredName(full).empty() || absl::EndsWith(name, kPartSuffix);
        if (ours && manifest.Find(full) == nullptr) files_.Remove(JoinPath(directory_, full)).IgnoreError();
      }
    }
    summary_.files = manifest.files.size();
    for (const BackupFile& file : manifest.files) summary_.bytes += file.bytes;
    summary_.bodies = manifest.bodies;
    summary_.moment = manifest.group;
    return summary_;
  }

  Files& files_;
  const std::string& directory_;
  BackupPlan plan_;
  const std::optional<BackupManifest>& earlier_;
  const bool verify_kept_;
  const BackupObserver& observer_;
  bool links_work_ = true;
  std::vector<BackupFile> manifest_files_;
  engine::BackupSummary summary_;
};

}  // namespace

absl::StatusOr<engine::BackupSummary> WriteBackup(Files& files, const std::string& directory, BackupPlan plan,
                                                  const std::optional<BackupManifest>& earlier,
                                                  bool verify_kept, const BackupObserver& observer) {
  return Writer(files, directory, std::move(plan), earlier, verify_kept, observer).Run();
}

}  // namespace restante::embedded
