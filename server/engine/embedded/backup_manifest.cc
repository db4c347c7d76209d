#include "server/engine/embedded/backup_manifest.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

constexpr absl::string_view kTitle = "restante backup 1";
constexpr absl::string_view kNewBackupFile = "BACKUP.new";
constexpr absl::string_view kSegments = "segments/";
constexpr absl::string_view kBodies = "bodies/";
constexpr absl::string_view kFirst = ".first-";
constexpr absl::string_view kTimeFormat = "%Y-%m-%dT%H:%M:%E6SZ";

// Takes `NAME VALUE` off the front of the lines.
class LineReader {
 public:
  explicit LineReader(absl::string_view text) : lines_(absl::StrSplit(text, '\n')) {}

  absl::StatusOr<absl::string_view> Take(absl::string_view name) {
    if (next_ >= lines_.size()) return absl::DataLossError(absl::StrCat("ends before its line `", name, "`"));
    absl::string_view line = lines_[next_];
    if (!absl::ConsumePrefix(&line, name) || !absl::ConsumePrefix(&line, " ")) return Bad();
    ++next_;
    return line;
  }
  absl::StatusOr<uint64_t> TakeNumber(absl::string_view name) {
    ASSIGN_OR_RETURN(const absl::string_view text, Take(name));
    uint64_t number = 0;
    if (!absl::SimpleAtoi(text, &number)) return Bad();
    return number;
  }
  bool Is(absl::string_view line) {
    if (next_ >= lines_.size() || lines_[next_] != line) return false;
    ++next_;
    return true;
  }
  // What follows is the end of the text.
  bool AtEnd() const { return next_ + 1 == lines_.size() && lines_[next_].empty(); }
  absl::Status Bad() const { return absl::DataLossError(absl::StrCat("line ", next_ + 1, " is damaged")); }

 private:
  const std::vector<absl::string_view> lines_;
  size_t next_ = 0;
};

std::string Line(const BackupFile& file) {
  return absl::StrFormat("file %d %08x %s %s\n", file.bytes, file.crc32c, file.damaged ? "damaged" : "whole",
                         file.name);
}

absl::StatusOr<BackupFile> ParseFile(absl::string_view line, const LineReader& reader) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  BackupFile file;
  if (words.size() != 4 || !absl::SimpleAtoi(words[0], &file.bytes) ||
      !absl::SimpleHexAtoi(words[1], &file.crc32c) || (words[2] != "damaged" && words[2] != "whole") ||
      RestoredName(words[3]).empty()) {
    return reader.Bad();
  }
  file.damaged = words[2] == "damaged";
  file.name = std::string(words[3]);
  return file;
}

}  // namespace

std::string BackupNameOfSegment(uint64_t segment) { return absl::StrCat(kSegments, SegmentName(segment)); }
std::string BackupNameOfNewestSegment(uint64_t segment, uint64_t bytes) {
  return absl::StrCat(BackupNameOfSegment(segment), kFirst, bytes);
}
std::string BackupNameOfBody(uint64_t body) { return absl::StrCat(kBodies, BodyFileName(body)); }

uint64_t SegmentOfBackupName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, kSegments)) return 0;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits(kFirst, 1));
  uint64_t bytes = 0;
  if (parts.first != name && !absl::SimpleAtoi(parts.second, &bytes)) return 0;
  return SegmentOfName(parts.first);
}

std::string RestoredName(absl::string_view name) {
  if (const uint64_t segment = SegmentOfBackupName(name); segment != 0) return BackupNameOfSegment(segment);
  absl::string_view inner = name;
  return absl::ConsumePrefix(&inner, kBodies) && BodyOfFileName(inner) != 0 ? std::string(name) : "";
}

std::string BackupManifest::Encode() const {
  std::string text = absl::StrCat(
      kTitle, "\n", "format ", format, "\n", "store ", absl::Hex(store_id, absl::kZeroPad16), "\n", "group ",
      group, "\n", "made ", absl::FormatTime(kTimeFormat, absl::FromUnixMicros(wall_us), absl::UTCTimeZone()),
      "\n", "bodies ", bodies, "\n", "files ", files.size(), "\n");
  for (const BackupFile& file : files) text += Line(file);
  return absl::StrCat(text, "checksum ", absl::Hex(Crc32c(text), absl::kZeroPad8), "\n");
}

absl::StatusOr<BackupManifest> BackupManifest::Decode(absl::string_view text) {
  LineReader reader(text);
  if (!reader.Is(kTitle)) {
    return absl::DataLossError(
        absl::StrCat("does not begin with `", kTitle, "`: it is damaged, or a newer program made it"));
  }
  BackupManifest manifest;
  ASSIGN_OR_RETURN(manifest.format, reader.TakeNumber("format"));
  ASSIGN_OR_RETURN(const absl::string_view store, reader.Take("store"));
  if (!absl::SimpleHexAtoi(store, &manifest.store_id)) return reader.Bad();
  ASSIGN_OR_RETURN(manifest.group, reader.TakeNumber("group"));
  ASSIGN_OR_RETURN(const absl::string_view made, reader.Take("made"));
  absl::Time time;
  if (!absl::ParseTime(kTimeFormat, made, &time, nullptr)) return reader.Bad();
  manifest.wall_us = absl::ToUnixMicros(time);
  ASSIGN_OR_RETURN(manifest.bodies, reader.TakeNumber("bodies"));
  ASSIGN_OR_RETURN(const uint64_t count, reader.TakeNumber("files"));
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const absl::string_view line, reader.Take("file"));
    ASSIGN_OR_RETURN(BackupFile file, ParseFile(line, reader));
    if (!manifest.files.empty() && file.name <= manifest.files.back().name) return reader.Bad();
    manifest.files.push_back(std::move(file));
  }
  RETURN_IF_ERROR(reader.Take("checksum").status());
  // Which also finds what the numbers above could hide.
  if (!reader.AtEnd() || manifest.Encode() != text) return absl::DataLossError("its checksum is wrong");
  return manifest;
}

const BackupFile* BackupManifest::Find(absl::string_view name) const {
  const auto it = std::lower_bound(files.begin(), files.end(), name,
                                   [](const BackupFile& file, absl::string_view n) { return file.name < n; });
  return it != files.end() && it->name == name ? &*it : nullptr;
}

absl::StatusOr<BackupManifest> ReadBackupManifest(Files& files, const std::string& directory) {
  const std::string path = JoinPath(directory, kBackupFile);
  ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(files, path));
  absl::StatusOr<BackupManifest> manifest = BackupManifest::Decode(text);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  return manifest;
}

absl::Status WriteBackupManifest(Files& files, const std::string& directory, const BackupManifest& manifest) {
  const std::string fresh = JoinPath(directory, kNewBackupFile);
  RETURN_IF_ERROR(WriteFileSynced(files, fresh, manifest.Encode()));
  RETURN_IF_ERROR(files.Rename(fresh, JoinPath(directory, kBackupFile)));
  return files.SyncDirectory(directory);
}

}  // namespace restante::embedded
