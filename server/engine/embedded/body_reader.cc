#include "server/engine/embedded/body_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/body_codec.h"
#include "server/engine/embedded/segment_reader.h"

namespace restante::embedded {
namespace {

// A record up to this long is read at once.
constexpr uint64_t kWhole = uint64_t{96} << 10;

}  // namespace

std::string PathOf(const DataDir& directory, const stored::BodyLocation& location) {
  return location.own_file() ? JoinPath(directory.bodies(), BodyFileName(location.file()))
                             : JoinPath(directory.segments(), SegmentName(location.file()));
}

absl::StatusOr<std::string> BodyReader::ReadAt(uint64_t offset, uint64_t bytes) const {
  std::string octets(bytes, '\0');
  // What the disk cannot give back (EIO) is as lost as what it gives back wrong.
  const absl::StatusOr<size_t> read = file_.ReadAt(offset, bytes, octets.data());
  if (!read.ok()) return absl::DataLossError(read.status().message());
  if (*read < bytes) return absl::DataLossError(absl::StrCat("file ends at ", offset + *read));
  return octets;
}

absl::StatusOr<RecordHeader> BodyReader::CheckHeader(absl::string_view octets) const {
  ASSIGN_OR_RETURN(const RecordHeader header, DecodeHeader(octets, store_));
  if (header.kind != RecordKind::kBody || header.id != body_ || header.size != location_.size() ||
      header.stored_bytes() != location_.stored_bytes()) {
    return absl::DataLossError(absl::StrCat("another record at ", location_.offset()));
  }
  return header;
}

absl::StatusOr<RecordHeader> BodyReader::Header() const {
  ASSIGN_OR_RETURN(const std::string octets, ReadAt(location_.offset(), kHeaderBytes));
  return CheckHeader(octets);
}

uint64_t BodyReader::PayloadOffset(const RecordHeader& header) const {
  // In a segment the header is in front, in a file of its own behind.
  return location_.own_file() ? location_.offset() - header.payload_bytes : location_.offset() + kHeaderBytes;
}

absl::StatusOr<std::string> BodyReader::Read(uint64_t offset, uint64_t length) const {
  if (!location_.own_file() && location_.stored_bytes() <= kWhole) {
    ASSIGN_OR_RETURN(const std::string record, ReadAt(location_.offset(), location_.stored_bytes()));
    ASSIGN_OR_RETURN(const RecordHeader header, CheckHeader(record));
    return DecodeRange(
        header,
        [&](uint64_t at, uint64_t bytes) -> absl::StatusOr<std::string> {
          return record.substr(kHeaderBytes + at, bytes);
        },
        offset, length);
  }
  ASSIGN_OR_RETURN(const RecordHeader header, Header());
  const uint64_t payload = PayloadOffset(header);
  return DecodeRange(
      header, [&](uint64_t at, uint64_t bytes) { return ReadAt(payload + at, bytes); }, offset, length);
}

std::vector<PayloadDamage> BodyReader::Check(const std::function<bool(uint64_t octets)>& reading) const {
  if (!reading(kHeaderBytes)) return {};
  const absl::StatusOr<RecordHeader> header = Header();
  if (!header.ok()) return {{location_.offset(), std::string(header.status().message())}};
  const uint64_t payload = PayloadOffset(*header);
  std::vector<PayloadDamage> damages =
      FindDamage(*header, [&](uint64_t at, uint64_t bytes) -> absl::StatusOr<std::string> {
        if (!reading(bytes)) return absl::CancelledError("");
        return ReadAt(payload + at, bytes);
      });
  for (PayloadDamage& damage : damages) damage.offset += payload;
  return damages;
}

}  // namespace restante::embedded
