#include "server/engine/embedded/segment_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/group_record.h"

namespace restante::embedded {
namespace {

constexpr uint64_t kReadAhead = uint64_t{1} << 20;

uint64_t NumberOfName(absl::string_view name, absl::string_view suffix) {
  uint64_t number = 0;
  if (!absl::ConsumeSuffix(&name, suffix) || name.size() != 16 || !absl::SimpleHexAtoi(name, &number))
    return 0;
  return number;
}

}  // namespace

std::string SegmentName(uint64_t segment) { return absl::StrFormat("%016x.log", segment); }
uint64_t SegmentOfName(absl::string_view name) { return NumberOfName(name, ".log"); }
std::string BodyFileName(uint64_t body) { return absl::StrFormat("%016x.body", body); }
std::string PartFileName(uint64_t body) { return absl::StrFormat("%016x.part", body); }
uint64_t BodyOfFileName(absl::string_view name) { return NumberOfName(name, ".body"); }
uint64_t BodyOfPartName(absl::string_view name) { return NumberOfName(name, ".part"); }

absl::StatusOr<SegmentInfo> ReadSegmentInfo(Files& files, const std::string& directory, uint64_t segment,
                                            uint32_t store) {
  const std::string path = JoinPath(directory, SegmentName(segment));
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, files.Open(path, Files::Mode::kRead));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::string record(kSegmentRecordBytes, '\0');
  ASSIGN_OR_RETURN(const size_t read, file->ReadAt(0, record.size(), record.data()));
  record.resize(read);
  const auto bad = [&](const absl::Status& status) {
    // The record is synced before anything is put behind it.
    if (size <= kSegmentRecordBytes) return absl::OutOfRangeError(absl::StrCat(path, ": was never finished"));
    return Annotate(status, path);
  };
  const absl::StatusOr<RecordHeader> header = DecodeHeader(record, store);
  if (!header.ok()) return bad(header.status());
  const absl::StatusOr<SegmentStart> start =
      DecodeSegmentStart(*header, absl::string_view(record).substr(kHeaderBytes));
  if (!start.ok()) return bad(start.status());
  if (header->id != segment) {
    return absl::DataLossError(absl::StrCat(path, ": says that it is segment ", header->id));
  }
  return SegmentInfo{.number = segment, .first_group = header->size, .start = *start, .size = size};
}

SegmentReader::SegmentReader(std::unique_ptr<File> file, uint64_t offset, uint64_t end, uint64_t number,
                             uint32_t store)
    : file_(std::move(file)), end_(end), store_(store), offset_(offset), number_(number) {}

absl::StatusOr<absl::string_view> SegmentReader::Peek(uint64_t at, uint64_t bytes) {
  bytes = at >= end_ ? 0 : std::min(bytes, end_ - at);
  if (at < buffer_at_ || at + bytes > buffer_at_ + buffer_.size()) {
    // What is in the buffer already is not read again.
    std::string kept;
    if (at >= buffer_at_ && at < buffer_at_ + buffer_.size()) kept = buffer_.substr(at - buffer_at_);
    const uint64_t want = verify_bodies_ ? std::max(bytes, kReadAhead) : bytes;
    const size_t have = kept.size();
    buffer_ = std::move(kept);
    buffer_at_ = at;
    buffer_.resize(std::min(want, end_ - at));
    ASSIGN_OR_RETURN(const size_t read,
                     file_->ReadAt(at + have, buffer_.size() - have, buffer_.data() + have));
    buffer_.resize(have + read);
  }
  return absl::string_view(buffer_).substr(at - buffer_at_, bytes);
}

absl::StatusOr<stored::Group> SegmentReader::Next() {
  if (offset_ == end_) return absl::OutOfRangeError("end of segment");
  uint64_t at = offset_;
  uint32_t headers_crc32c = 0;
  const auto damaged = [&](absl::Status status) -> absl::StatusOr<stored::Group> {
    if (!accept_damaged_bodies_ || !absl::IsDataLoss(status)) return status;
    absl::StatusOr<stored::Group> group = FindGroup();
    return absl::IsDataLoss(group.status()) ? status : std::move(group);
  };
  while (true) {
    ASSIGN_OR_RETURN(const absl::string_view octets, Peek(at, kHeaderBytes));
    const absl::StatusOr<RecordHeader> header = DecodeHeader(octets, store_);
    if (!header.ok()) return damaged(header.status());
    if (header->payload_bytes > end_ - at - kHeaderBytes) {
      return damaged(absl::DataLossError("record that is cut off"));
    }
    if (header->kind == RecordKind::kBody) {
      if (verify_bodies_) {
        ASSIGN_OR_RETURN(const absl::string_view payload, Peek(at + kHeaderBytes, header->payload_bytes));
        if (absl::Status bad = CheckPayload(*header, payload); !bad.ok()) return damaged(bad);
      }
      std::string crc;
      PutFixed32(header->header_crc32c, &crc);
      headers_crc32c = Crc32c(crc, headers_crc32c);
      at += header->stored_bytes();
      continue;
    }
    absl::StatusOr<stored::Group> group = TakeGroup(*header, at, &headers_crc32c);
    if (!group.ok()) return damaged(group.status());
    return group;
  }
}

absl::StatusOr<stored::Group> SegmentReader::TakeGroup(const RecordHeader& header, uint64_t at,
                                                       const uint32_t* headers_crc32c) {
  if (header.kind != RecordKind::kGroup) return absl::DataLossError("segment record in the middle");
  if (header.id != number_) {
    return absl::DataLossError(absl::StrCat("group ", header.id, " where ", number_, " is expected"));
  }
  ASSIGN_OR_RETURN(const absl::string_view payload, Peek(at + kHeaderBytes, header.payload_bytes));
  ASSIGN_OR_RETURN(stored::Group group, DecodeGroup(header, payload));
  if (group.bytes() != at - offset_ || (headers_crc32c != nullptr && group.crc32c() != *headers_crc32c)) {
    return absl::DataLossError(absl::StrCat("group ", number_, " does not agree with its records"));
  }
  offset_ = at + header.stored_bytes();
  ++number_;
  return group;
}

absl::StatusOr<uint64_t> SegmentReader::FindRecord(uint64_t from,
                                                   absl::FunctionRef<bool(const RecordHeader&)> wanted) {
  for (uint64_t at = from; at + kHeaderBytes <= end_;) {
    ASSIGN_OR_RETURN(const absl::string_view octets,
                     Peek(at, std::max<uint64_t>(kReadAhead / 2, kHeaderBytes)));
    if (octets.size() < kHeaderBytes) break;
    const size_t found = octets.find(kMagic);
    if (found == absl::string_view::npos) {
      at += octets.size() - (kMagic.size() - 1);
      continue;
    }
    at += found;
    ASSIGN_OR_RETURN(const absl::string_view candidate, Peek(at, kHeaderBytes));
    const absl::StatusOr<RecordHeader> header = DecodeHeader(candidate, store_);
    if (header.ok() && wanted(*header)) return at;
    ++at;
  }
  return end_;
}

absl::StatusOr<stored::Group> SegmentReader::FindGroup() {
  uint64_t at = offset_;
  while (true) {
    RecordHeader header;
    ASSIGN_OR_RETURN(at, FindRecord(at, [&](const RecordHeader& candidate) {
                       header = candidate;
                       return candidate.kind == RecordKind::kGroup && candidate.id == number_;
                     }));
    if (at == end_) return absl::DataLossError(absl::StrCat("group ", number_, " is not found"));
    absl::StatusOr<stored::Group> group = TakeGroup(header, at, nullptr);
    if (group.ok()) {
      ++damaged_groups_;
      return group;
    }
    if (!absl::IsDataLoss(group.status())) return group.status();
    ++at;
  }
}

absl::StatusOr<bool> SegmentReader::LaterGroupFollows() {
  ASSIGN_OR_RETURN(const uint64_t at, FindRecord(offset_, [&](const RecordHeader& header) {
                     return header.kind == RecordKind::kGroup && header.id > number_;
                   }));
  return at != end_;
}

}  // namespace restante::embedded
