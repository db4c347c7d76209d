#include "server/engine/embedded/record.h"

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"

namespace restante::embedded {
namespace {

template <typename T>
void PutFixed(T value, std::string* to) {
  for (size_t i = 0; i < sizeof(T); ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}

template <typename T>
T GetFixed(absl::string_view octets, size_t at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<uint8_t>(octets[at + i])) << (8 * i);
  }
  return value;
}

}  // namespace

void PutFixed32(uint32_t value, std::string* to) { PutFixed(value, to); }
void PutFixed64(uint64_t value, std::string* to) { PutFixed(value, to); }
uint32_t GetFixed32(absl::string_view octets, size_t at) { return GetFixed<uint32_t>(octets, at); }
uint64_t GetFixed64(absl::string_view octets, size_t at) { return GetFixed<uint64_t>(octets, at); }

std::string EncodeHeader(RecordHeader* header) {
  std::string octets;
  octets.reserve(kHeaderBytes);
  octets.append(kMagic.data(), kMagic.size());
  octets.push_back(static_cast<char>(kRecordVersion));
  octets.push_back(static_cast<char>(header->kind));
  octets.push_back(static_cast<char>(header->codec));
  octets.push_back(0);
  PutFixed64(header->payload_bytes, &octets);
  PutFixed64(header->size, &octets);
  PutFixed64(header->id, &octets);
  PutFixed32(header->payload_crc32c, &octets);
  PutFixed32(header->content_crc32c, &octets);
  PutFixed32(header->store, &octets);
  header->header_crc32c = Crc32c(octets);
  PutFixed32(header->header_crc32c, &octets);
  return octets;
}

absl::StatusOr<RecordHeader> DecodeHeader(absl::string_view octets, uint32_t store) {
  if (octets.size() < kHeaderBytes) {
    return absl::DataLossError(absl::StrCat("record header of ", octets.size(), " bytes"));
  }
  octets = octets.substr(0, kHeaderBytes);
  if (octets.substr(0, kMagic.size()) != kMagic) return absl::DataLossError("no record header");
  RecordHeader header;
  header.header_crc32c = GetFixed32(octets, 44);
  if (Crc32c(octets.substr(0, 44)) != header.header_crc32c) {
    return absl::DataLossError("record header with a wrong checksum");
  }
  const int version = static_cast<uint8_t>(octets[4]);
  if (version != kRecordVersion) return absl::DataLossError(absl::StrCat("record of version ", version));
  const int kind = static_cast<uint8_t>(octets[5]);
  if (kind < 1 || kind > 3) return absl::DataLossError(absl::StrCat("record of kind ", kind));
  header.kind = static_cast<RecordKind>(kind);
  const int codec = static_cast<uint8_t>(octets[6]);
  if (codec > 2 || octets[7] != 0) return absl::DataLossError(absl::StrCat("record of codec ", codec));
  header.codec = static_cast<Codec>(codec);
  header.payload_bytes = GetFixed64(octets, 8);
  header.size = GetFixed64(octets, 16);
  header.id = GetFixed64(octets, 24);
  header.payload_crc32c = GetFixed32(octets, 32);
  header.content_crc32c = GetFixed32(octets, 36);
  header.store = GetFixed32(octets, 40);
  if (header.store != store) return absl::DataLossError("record of another store");
  return header;
}

std::string EncodeSegmentRecord(uint64_t segment, uint64_t first_group, const SegmentStart& start,
                                uint32_t store) {
  std::string payload;
  PutFixed64(start.previous_segment, &payload);
  PutFixed64(start.previous_end, &payload);
  RecordHeader header{.kind = RecordKind::kSegment,
                      .payload_bytes = payload.size(),
                      .size = first_group,
                      .id = segment,
                      .payload_crc32c = Crc32c(payload),
                      .store = store};
  return EncodeHeader(&header) + payload;
}

absl::StatusOr<SegmentStart> DecodeSegmentStart(const RecordHeader& header, absl::string_view payload) {
  if (header.kind != RecordKind::kSegment || header.payload_bytes != kSegmentStartBytes) {
    return absl::DataLossError("no segment record at the start");
  }
  if (payload.size() < kSegmentStartBytes ||
      Crc32c(payload.substr(0, kSegmentStartBytes)) != header.payload_crc32c) {
    return absl::DataLossError("segment record with a wrong checksum");
  }
  return SegmentStart{.previous_segment = GetFixed64(payload, 0), .previous_end = GetFixed64(payload, 8)};
}

}  // namespace restante::embedded
