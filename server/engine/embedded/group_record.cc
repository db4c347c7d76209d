#include "server/engine/embedded/group_record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/zstd_block.h"

namespace restante::embedded {
namespace {

// Small groups are not worth the time between a sync and the next.
constexpr size_t kWorthCompressing = 1024;
// No group is near this; a header that says more is damaged.
constexpr uint64_t kLargestGroup = uint64_t{1} << 30;

}  // namespace

GroupRecord EncodeGroup(const stored::Group& group, uint32_t store, bool compress) {
  GroupRecord record;
  record.payload = group.SerializeAsString();
  RecordHeader header{
      .kind = RecordKind::kGroup, .size = record.payload.size(), .id = group.number(), .store = store};
  if (compress && record.payload.size() >= kWorthCompressing) {
    if (std::string smaller = Compressed(record.payload); !smaller.empty()) {
      header.codec = Codec::kZstd;
      record.payload = std::move(smaller);
    }
  }
  header.payload_bytes = record.payload.size();
  header.payload_crc32c = Crc32c(record.payload);
  record.header = EncodeHeader(&header);
  return record;
}

absl::StatusOr<stored::Group> DecodeGroup(const RecordHeader& header, absl::string_view payload) {
  if (header.kind != RecordKind::kGroup) return absl::DataLossError("no group record");
  RETURN_IF_ERROR(CheckPayload(header, payload));
  std::string plain;
  if (header.codec == Codec::kZstd) {
    if (header.size > kLargestGroup) {
      return absl::DataLossError(absl::StrCat("group ", header.id, " of ", header.size, " bytes"));
    }
    ASSIGN_OR_RETURN(plain, Decompressed(payload, header.size));
    payload = plain;
  }
  stored::Group group;
  if (header.codec == Codec::kBlocks ||
      !group.ParseFromArray(payload.data(), static_cast<int>(payload.size())) ||
      group.number() != header.id) {
    return absl::DataLossError(absl::StrCat("group ", header.id, " cannot be read"));
  }
  return group;
}

}  // namespace restante::embedded
