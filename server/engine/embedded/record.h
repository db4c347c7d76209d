// Records: what segments and body files are made of. Layout in FORMAT.md.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_RECORD_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_RECORD_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::embedded {

inline constexpr size_t kHeaderBytes = 48;
inline constexpr absl::string_view kMagic = "RSTR";
inline constexpr uint8_t kRecordVersion = 1;

enum class RecordKind : uint8_t { kSegment = 1, kBody = 2, kGroup = 3 };
// Plain; blocks of a body; the whole payload by zstd (groups).
enum class Codec : uint8_t { kPlain = 0, kBlocks = 1, kZstd = 2 };

struct RecordHeader {
  RecordKind kind = RecordKind::kGroup;
  Codec codec = Codec::kPlain;
  uint64_t payload_bytes = 0;
  // Body: logical octets. Segment: number of its first group. Group: octets of the
  // payload before it was compressed.
  uint64_t size = 0;
  // Body id, group number or segment number.
  uint64_t id = 0;
  // Of the payload as it is stored. Blocks: of the block table, which has those of the blocks.
  uint32_t payload_crc32c = 0;
  // Body: of its logical octets. Else 0.
  uint32_t content_crc32c = 0;
  // Low 32 bits of the store's id: a record of another store, or one that came by
  // mail, is no record of ours.
  uint32_t store = 0;
  // Of all above; set by EncodeHeader and DecodeHeader.
  uint32_t header_crc32c = 0;

  uint64_t stored_bytes() const { return kHeaderBytes + payload_bytes; }
};

// kHeaderBytes octets. Sets header->header_crc32c.
std::string EncodeHeader(RecordHeader* header);

// From kHeaderBytes octets. kDataLoss, saying what is wrong, for anything that
// EncodeHeader would not have written for this store.
absl::StatusOr<RecordHeader> DecodeHeader(absl::string_view octets, uint32_t store);

// Little-endian integers in octet strings.
void PutFixed32(uint32_t value, std::string* to);
void PutFixed64(uint64_t value, std::string* to);
uint32_t GetFixed32(absl::string_view octets, size_t at);
uint64_t GetFixed64(absl::string_view octets, size_t at);

// The payload of a segment record: where the segment before this one ends. What
// stands there behind that place was never acknowledged.
struct SegmentStart {
  uint64_t previous_segment = 0;  // 0: this is the first.
  uint64_t previous_end = 0;
};
inline constexpr size_t kSegmentStartBytes = 16;
inline constexpr size_t kSegmentRecordBytes = kHeaderBytes + kSegmentStartBytes;
// Header and payload.
std::string EncodeSegmentRecord(uint64_t segment, uint64_t first_group, const SegmentStart& start,
                                uint32_t store);
absl::StatusOr<SegmentStart> DecodeSegmentStart(const RecordHeader& header, absl::string_view payload);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_RECORD_H_
