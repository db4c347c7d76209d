#include "server/engine/embedded/backup_check.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_reader.h"
#include "server/engine/embedded/record.h"
#include "server/engine/embedded/segment_reader.h"
#include "server/engine/embedded/segment_scan.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kChunk = uint64_t{1} << 20;

using Tick = std::function<absl::Status(uint64_t)>;

class DamageCollector : public SegmentVisitor {
 public:
  DamageCollector(const Tick& tick, std::vector<engine::Damage>* damages) : tick_(tick), damages_(damages) {}

  void Damaged(SegmentDamage damage) override {
    engine::Damage& found = damages_->emplace_back();
    found.offset = damage.offset;
    found.problem = std::move(damage.problem);
  }
  bool Reading(uint64_t) override { return tick_(0).ok(); }

 private:
  const Tick& tick_;
  std::vector<engine::Damage>* const damages_;
};

// `segment`: its number.
absl::Status CheckSegment(Files& files, const std::string& path, const BackupSource& source, uint64_t segment,
                          uint32_t store, const Tick& tick, std::vector<engine::Damage>* damages) {
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files.Open(path, Files::Mode::kRead));
  SegmentReader reader(std::move(file), kSegmentRecordBytes, source.bytes, source.first_group, store);
  // A group's changes count although a body in it is damaged: the log is whole.
  reader.set_accept_damaged_bodies(true);
  absl::StatusOr<stored::Group> group;
  for (uint64_t ticked = 0; (group = reader.Next()).ok();) {
    if (reader.offset() < ticked + kChunk) continue;
    ticked = reader.offset();
    RETURN_IF_ERROR(tick(0));
  }
  if (absl::IsDataLoss(group.status())) {
    return absl::DataLossError(
        absl::StrCat(source.path, ": damaged at ", reader.offset(), ": ", group.status().message()));
  }
  if (!absl::IsOutOfRange(group.status())) return group.status();
  std::string record(kSegmentRecordBytes, '\0');
  ASSIGN_OR_RETURN(file, files.Open(path, Files::Mode::kRead));
  ASSIGN_OR_RETURN(const size_t read, file->ReadAt(0, record.size(), record.data()));
  record.resize(read);
  const absl::StatusOr<RecordHeader> header = DecodeHeader(record, store);
  absl::Status status = header.status();
  if (header.ok()) {
    status = DecodeSegmentStart(*header, absl::string_view(record).substr(kHeaderBytes)).status();
    if (header->id != segment) status = absl::DataLossError(absl::StrCat("it is segment ", header->id));
  }
  if (!status.ok()) return Annotate(status, absl::StrCat(source.path, ": damaged at 0"));
  if (reader.damaged_groups() == 0) return absl::OkStatus();
  DamageCollector collector(tick, damages);
  return ScanSegment(*file, segment, source.bytes, store, ScanBodies::kVerify, collector);
}

absl::Status CheckBody(Files& files, const std::string& path, const BackupSource& source, uint32_t store,
                       const Tick& tick) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files.Open(path, Files::Mode::kRead));
  const BodyReader reader(*file, source.body, *source.location, store);
  for (uint64_t at = 0; at < source.location->size(); at += kChunk) {
    RETURN_IF_ERROR(tick(0));
    RETURN_IF_ERROR(reader.Read(at, kChunk).status());
  }
  return reader.Header().status();
}

// Of the first `bytes` octets. kOutOfRange: the file is shorter.
absl::StatusOr<uint32_t> ReadCrc32c(const File& file, uint64_t bytes, const Tick& tick) {
  uint32_t crc32c = 0;
  std::string octets;
  for (uint64_t at = 0; at < bytes; at += octets.size()) {
    octets.resize(std::min(kChunk, bytes - at));
    ASSIGN_OR_RETURN(const size_t read, file.ReadAt(at, octets.size(), octets.data()));
    if (read < octets.size()) {
      return absl::OutOfRangeError(absl::StrCat("ends at ", at + read, ", not at ", bytes));
    }
    crc32c = Crc32c(octets, crc32c);
    RETURN_IF_ERROR(tick(octets.size()));
  }
  return crc32c;
}

}  // namespace

absl::StatusOr<CheckedFile> CheckBackupFile(Files& files, const std::string& path, const BackupSource& source,
                                            uint32_t store,
                                            const std::function<absl::Status(uint64_t)>& tick) {
  CheckedFile checked;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files.Open(path, Files::Mode::kRead));
    ASSIGN_OR_RETURN(checked.crc32c, ReadCrc32c(*file, source.bytes, tick));
  }
  if (!source.location) {
    RETURN_IF_ERROR(
        CheckSegment(files, path, source, SegmentOfBackupName(source.name), store, tick, &checked.damages));
    return checked;
  }
  const absl::Status status = CheckBody(files, path, source, store, tick);
  if (!status.ok() && !absl::IsDataLoss(status)) return status;
  if (!status.ok()) checked.damages.emplace_back().problem = std::string(status.message());
  return checked;
}

}  // namespace restante::embedded
