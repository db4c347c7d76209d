#include "server/engine/embedded/body_codec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "server/engine/embedded/zstd_block.h"

namespace restante::embedded {
namespace {

// A table entry: stored length, its top bit set if compressed, and CRC32C.
constexpr size_t kTableEntryBytes = 8;
constexpr uint32_t kCompressed = uint32_t{1} << 31;

uint64_t BlocksOf(uint64_t size) { return size / kBlockBytes + (size % kBlockBytes != 0); }

// A body's table, verified against its header.
struct Table {
  absl::string_view octets;
  uint64_t blocks = 0;

  uint64_t Stored(uint64_t block) const {
    return GetFixed32(octets, block * kTableEntryBytes) & ~kCompressed;
  }
  bool IsCompressed(uint64_t block) const {
    return (GetFixed32(octets, block * kTableEntryBytes) & kCompressed) != 0;
  }
  uint32_t Crc(uint64_t block) const { return GetFixed32(octets, block * kTableEntryBytes + 4); }
};

absl::Status CheckTable(const RecordHeader& header, const Table& table) {
  if (Crc32c(table.octets) != header.payload_crc32c) {
    return absl::DataLossError("block table with a wrong checksum");
  }
  uint64_t stored = table.octets.size();
  for (uint64_t i = 0; i < table.blocks; ++i) stored += table.Stored(i);
  if (stored != header.payload_bytes) return absl::DataLossError("blocks that do not add up to the record");
  return absl::OkStatus();
}

absl::Status CheckShape(const RecordHeader& header) {
  if (header.codec != Codec::kBlocks || header.size > uint64_t{1} << 48 ||
      BlocksOf(header.size) * kTableEntryBytes > header.payload_bytes) {
    return absl::DataLossError("record header that fits no body");
  }
  return absl::OkStatus();
}

}  // namespace

void BodyEncoder::Append(std::string octets, std::vector<std::string>* blocks) {
  size_ += octets.size();
  crc32c_ = Crc32c(octets, crc32c_);
  if (block_.empty() && octets.size() <= kBlockBytes) {
    block_ = std::move(octets);
  } else {
    absl::string_view rest = octets;
    while (!rest.empty()) {
      const absl::string_view part = rest.substr(0, kBlockBytes - block_.size());
      block_.append(part.data(), part.size());
      rest.remove_prefix(part.size());
      if (block_.size() == kBlockBytes) CloseBlock(blocks);
    }
  }
  if (block_.size() == kBlockBytes) CloseBlock(blocks);
}

void BodyEncoder::Finish(std::vector<std::string>* blocks) {
  if (!block_.empty()) CloseBlock(blocks);
  stored_ += table_.size();
}

void BodyEncoder::CloseBlock(std::vector<std::string>* blocks) {
  std::string smaller = Compressed(block_);
  uint32_t flag = kCompressed;
  if (smaller.empty()) {
    smaller = std::move(block_);
    flag = 0;
  }
  PutFixed32(static_cast<uint32_t>(smaller.size()) | flag, &table_);
  PutFixed32(Crc32c(smaller), &table_);
  stored_ += smaller.size();
  blocks->push_back(std::move(smaller));
  block_.clear();
}

RecordHeader BodyEncoder::Header(uint64_t body, uint32_t store) const {
  return {.kind = RecordKind::kBody,
          .codec = Codec::kBlocks,
          .payload_bytes = stored_,
          .size = size_,
          .id = body,
          .payload_crc32c = Crc32c(table_),
          .content_crc32c = crc32c_,
          .store = store};
}

absl::StatusOr<std::string> DecodeRange(const RecordHeader& header, const PayloadReader& read,
                                        uint64_t offset, uint64_t length) {
  if (offset >= header.size) return "";
  length = std::min(length, header.size - offset);
  if (length == 0) return "";
  RETURN_IF_ERROR(CheckShape(header));
  const uint64_t blocks = BlocksOf(header.size);
  const uint64_t table_bytes = blocks * kTableEntryBytes;
  ASSIGN_OR_RETURN(const std::string table_octets, read(header.payload_bytes - table_bytes, table_bytes));
  const Table table{.octets = table_octets, .blocks = blocks};
  RETURN_IF_ERROR(CheckTable(header, table));
  uint64_t at = 0;
  std::string out;
  out.reserve(length);
  for (uint64_t i = 0; i * kBlockBytes < offset + length; ++i) {
    const uint64_t begin = i * kBlockBytes;
    const uint64_t size = std::min<uint64_t>(kBlockBytes, header.size - begin);
    if (begin + size > offset) {
      const auto damaged = [&](absl::string_view what) {
        return absl::DataLossError(absl::StrCat("block ", i, " of ", blocks, " ", what));
      };
      ASSIGN_OR_RETURN(std::string block, read(at, table.Stored(i)));
      if (Crc32c(block) != table.Crc(i)) return damaged("has a wrong checksum");
      if (table.IsCompressed(i)) {
        absl::StatusOr<std::string> plain = Decompressed(block, size);
        if (!plain.ok()) return damaged(plain.status().message());
        block = *std::move(plain);
      }
      if (block.size() != size) return damaged("has a wrong length");
      const uint64_t from = std::max(begin, offset) - begin;
      const uint64_t to = std::min(begin + size, offset + length) - begin;
      if (from == 0 && to == size && out.empty() && length == size) return block;
      out.append(block, from, to - from);
    }
    at += table.Stored(i);
  }
  return out;
}

std::vector<PayloadDamage> FindDamage(const RecordHeader& header, const PayloadReader& read) {
  if (absl::Status status = CheckShape(header); !status.ok()) return {{0, std::string(status.message())}};
  const uint64_t blocks = BlocksOf(header.size);
  const uint64_t table_at = header.payload_bytes - blocks * kTableEntryBytes;
  const absl::StatusOr<std::string> octets = read(table_at, blocks * kTableEntryBytes);
  if (absl::IsCancelled(octets.status())) return {};
  if (!octets.ok()) return {{table_at, std::string(octets.status().message())}};
  const Table table{.octets = *octets, .blocks = blocks};
  if (absl::Status status = CheckTable(header, table); !status.ok()) {
    return {{table_at, std::string(status.message())}};
  }
  std::vector<PayloadDamage> damages;
  uint64_t at = 0;
  for (uint64_t i = 0; i < blocks; ++i) {
    const absl::StatusOr<std::string> block = read(at, table.Stored(i));
    if (absl::IsCancelled(block.status())) break;
    if (!block.ok() || Crc32c(*block) != table.Crc(i)) {
      damages.push_back({at, absl::StrCat("block ", i, " of ", blocks, " ",
                                          block.ok() ? "has a wrong checksum" : block.status().message())});
    }
    at += table.Stored(i);
  }
  return damages;
}

absl::Status CheckPayload(const RecordHeader& header, absl::string_view payload) {
  if (payload.size() != header.payload_bytes) {
    return absl::DataLossError(
        absl::StrCat("record of ", header.payload_bytes, " bytes, ", payload.size(), " there"));
  }
  if (header.codec != Codec::kBlocks) {
    if (Crc32c(payload) != header.payload_crc32c) return absl::DataLossError("record with a wrong checksum");
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckShape(header));
  const uint64_t table_bytes = BlocksOf(header.size) * kTableEntryBytes;
  const Table table{.octets = payload.substr(payload.size() - table_bytes), .blocks = BlocksOf(header.size)};
  RETURN_IF_ERROR(CheckTable(header, table));
  uint64_t at = 0;
  for (uint64_t i = 0; i < table.blocks; ++i) {
    if (Crc32c(payload.substr(at, table.Stored(i))) != table.Crc(i)) {
      return absl::DataLossError(absl::StrCat("block ", i, " of ", table.blocks, " has a wrong checksum"));
    }
    at += table.Stored(i);
  }
  return absl::OkStatus();
}

}  // namespace restante::embedded
