#include "server/engine/embedded/segment_scan.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/group_record.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kReadAhead = uint64_t{1} << 20;
// What is searched at once, and what a disk loses at once.
constexpr uint64_t kWindow = uint64_t{64} << 10;
constexpr uint64_t kSector = 4096;
constexpr uint64_t kHeader = kHeaderBytes;

class Scan {
 public:
  Scan(const File& file, uint64_t segment, uint64_t end, uint32_t store, ScanBodies bodies,
       SegmentVisitor& visitor)
      : file_(file),
        segment_(segment),
        end_(end),
        store_(store),
        verify_bodies_(bodies == ScanBodies::kVerify),
        read_ahead_(verify_bodies_ ? kReadAhead : kSector),
        visitor_(visitor) {}

  absl::Status Run() {
    ReadStart();
    at_ = group_at_ = std::min<uint64_t>(kSegmentRecordBytes, end_);
    while (at_ < end_ && !cancelled_) ReadRecord();
    if (cancelled_) return absl::CancelledError("the walk was given up");
    if (group_at_ < end_ && headers_whole_ && complete_) {
      Damaged({.offset = group_at_, .end = end_, .header = {}, .problem = "records without a group"});
    }
    return absl::OkStatus();
  }

 private:
  void ReadStart() {
    if (absl::Status status = TryReadStart(); !status.ok()) {
      Damaged({.offset = 0,
               .end = std::min<uint64_t>(kSegmentRecordBytes, end_),
               .header = {},
               .problem = absl::StrCat("segment record: ", status.message())});
    }
  }

  absl::Status TryReadStart() {
    ASSIGN_OR_RETURN(const absl::string_view octets, Octets(0, kSegmentRecordBytes));
    ASSIGN_OR_RETURN(const RecordHeader header, DecodeHeader(octets, store_));
    ASSIGN_OR_RETURN(const SegmentStart start, DecodeSegmentStart(header, octets.substr(kHeaderBytes)));
    if (header.id != segment_) {
      return absl::DataLossError(absl::StrCat("says that it is segment ", header.id));
    }
    expected_group_ = header.size;
    visitor_.Start(header.size, start);
    return absl::OkStatus();
  }

  void ReadRecord() {
    absl::StatusOr<absl::string_view> octets = Octets(at_, kHeaderBytes);
    absl::StatusOr<RecordHeader> header = absl::UnknownError("");
    if (octets.ok()) {
      header = DecodeHeader(*octets, store_);
    } else {
      header = octets.status();
    }
    if (header.ok() && header->kind == RecordKind::kSegment) {
      header = absl::DataLossError("segment record in the middle");
    }
    if (header.ok() && header->payload_bytes > end_ - at_ - kHeaderBytes) {
      header = absl::DataLossError(
          absl::StrCat("record of ", header->stored_bytes(), " bytes, ", end_ - at_, " are left"));
    }
    if (!header.ok()) {
      LoseHeader(header.status());
      return;
    }
    if (header->kind == RecordKind::kGroup) {
      ReadGroup(*header);
      return;
    }
    absl::Status status;
    if (verify_bodies_) {
      octets = Octets(at_ + kHeaderBytes, header->payload_bytes);
      status = octets.ok() ? CheckPayload(*header, *octets) : octets.status();
    }
    std::string crc;
    PutFixed32(header->header_crc32c, &crc);
    headers_crc32c_ = Crc32c(crc, headers_crc32c_);
    if (status.ok()) {
      visitor_.Body(at_, *header);
    } else {
      complete_ = false;
      Damaged({.offset = at_,
               .end = at_ + header->stored_bytes(),
               .header = *header,
               .problem = absl::StrCat("body ", header->id, ": ", status.message())});
    }
    at_ += header->stored_bytes();
  }

  void ReadGroup(const RecordHeader& header) {
    const absl::StatusOr<absl::string_view> payload = Octets(at_ + kHeaderBytes, header.payload_bytes);
    absl::StatusOr<stored::Group> group = absl::UnknownError("");
    if (payload.ok()) {
      group = DecodeGroup(header, *payload);
    } else {
      group = payload.status();
    }
    absl::Status status = group.status();
    if (status.ok() && headers_whole_ &&
        (group->bytes() != at_ - group_at_ || group->crc32c() != headers_crc32c_)) {
      status = absl::DataLossError("does not agree with the records before it");
    }
    // Behind something damaged, a group may be missing.
    if (status.ok() && expected_group_ && header.id != *expected_group_ &&
        (headers_whole_ || header.id < *expected_group_)) {
      status = absl::DataLossError(absl::StrCat(*expected_group_, " is expected here"));
    }
    const uint64_t end = at_ + header.stored_bytes();
    if (status.ok()) {
      visitor_.Group(at_, *std::move(group), headers_whole_ && complete_);
    } else {
      Damaged({.offset = at_,
               .end = end,
               .header = header,
               .problem = absl::StrCat("group ", header.id, ": ", status.message())});
    }
    expected_group_ = header.id + 1;
    at_ = group_at_ = end;
    headers_crc32c_ = 0;
    headers_whole_ = complete_ = true;
  }

  void LoseHeader(const absl::Status& status) {
    if (cancelled_) return;
    const std::optional<SegmentVisitor::Place> known = visitor_.Known(at_);
    uint64_t next = end_;
    if (known && known->offset <= at_) {
      next = known->end;
    } else {
      next = Find(at_ + 1, known ? std::min(known->offset, end_) : end_);
    }
    next = std::min(next, end_);
    if (cancelled_) return;
    headers_whole_ = complete_ = false;
    Damaged({.offset = at_, .end = next, .header = {}, .problem = std::string(status.message())});
    at_ = next;
  }

  // The first place in [from, limit) with a header of ours; else `limit`.
  uint64_t Find(uint64_t from, uint64_t limit) {
    uint64_t at = from;
    while (at < limit && at + kHeaderBytes <= end_ && !cancelled_) {
      absl::StatusOr<absl::string_view> octets = Octets(at, std::min(kWindow, end_ - at));
      const uint64_t to_boundary = kSector - at % kSector;
      if (!octets.ok()) octets = Octets(at, std::min(std::max(to_boundary, kHeader), end_ - at));
      if (!octets.ok()) {
        at += to_boundary;
        continue;
      }
      const size_t found = octets->find(kMagic);
      if (found == absl::string_view::npos) {
        at += octets->size() - (kMagic.size() - 1);
        continue;
      }
      at += found;
      if (at >= limit || at + kHeaderBytes > end_) break;
      const absl::StatusOr<absl::string_view> candidate = Octets(at, kHeaderBytes);
      if (candidate.ok()) {
        const absl::StatusOr<RecordHeader> header = DecodeHeader(*candidate, store_);
        if (header.ok() && header->kind != RecordKind::kSegment &&
            header->payload_bytes <= end_ - at - kHeaderBytes) {
          return at;
        }
      }
      ++at;
    }
    return limit;
  }

  // Exactly [at, at + bytes); valid until the next call.
  absl::StatusOr<absl::string_view> Octets(uint64_t at, uint64_t bytes) {
    if (at < buffer_at_ || at + bytes > buffer_at_ + buffer_.size()) {
      // What is in the buffer already is not read again.
      std::string kept;
      if (at >= buffer_at_ && at < buffer_at_ + buffer_.size()) kept = buffer_.substr(at - buffer_at_);
      const size_t have = kept.size();
      buffer_ = std::move(kept);
      buffer_at_ = at;
      const uint64_t wanted = std::max(bytes, std::min(read_ahead_, end_ - std::min(at, end_)));
      absl::Status status = Fill(at + have, wanted - have);
      // One octet that cannot be read must not hide those before it.
      if (!status.ok() && wanted > bytes && !cancelled_) status = Fill(at + have, bytes - have);
      RETURN_IF_ERROR(status);
    }
    if (at + bytes > buffer_at_ + buffer_.size()) {
      return absl::DataLossError(
          absl::StrCat("the file ends at ", buffer_at_ + buffer_.size(), ", not at ", end_));
    }
    return absl::string_view(buffer_).substr(at - buffer_at_, bytes);
  }

  // Appends octets [at, at + bytes) to the buffer.
  absl::Status Fill(uint64_t at, uint64_t bytes) {
    if (!visitor_.Reading(bytes)) {
      cancelled_ = true;
      return absl::CancelledError("");
    }
    const size_t have = buffer_.size();
    buffer_.resize(have + bytes);
    const absl::StatusOr<size_t> read = file_.ReadAt(at, bytes, buffer_.data() + have);
    buffer_.resize(have + (read.ok() ? *read : 0));
    return read.status();
  }

  void Damaged(SegmentDamage damage) {
    if (!cancelled_) visitor_.Damaged(std::move(damage));
  }

  const File& file_;
  const uint64_t segment_, end_;
  const uint32_t store_;
  const bool verify_bodies_;
  const uint64_t read_ahead_;
  SegmentVisitor& visitor_;

  uint64_t at_ = 0;
  uint64_t group_at_ = 0;                   // Where the present group began.
  std::optional<uint64_t> expected_group_;  // Number of the next one, if known.
  uint32_t headers_crc32c_ = 0;
  bool headers_whole_ = true;  // Of the present group, so far.
  bool complete_ = true;       // Bodies too.
  bool cancelled_ = false;

  std::string buffer_;
  uint64_t buffer_at_ = 0;
};

}  // namespace

absl::Status ScanSegment(const File& file, uint64_t segment, uint64_t end, uint32_t store, ScanBodies bodies,
                         SegmentVisitor& visitor) {
  return Scan(file, segment, end, store, bodies, visitor).Run();
}

}  // namespace restante::embedded
