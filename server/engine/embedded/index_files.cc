#include "server/engine/embedded/index_files.h"

#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/options.h>
#include <leveldb/table.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/engine/embedded/leveldb_env.h"
#include "server/engine/embedded/record.h"

namespace restante::embedded {
namespace {

// Behind a key of the index in a table: sequence number and type.
constexpr size_t kKeyTrailerBytes = 8;
constexpr char kTypeErased = 0;

// LEB128, and octets with their length in front; false: there is none.
bool TakeVarint(absl::string_view* octets, uint64_t* value) {
  *value = 0;
  for (size_t i = 0; i < octets->size() && i < 10; ++i) {
    const uint64_t octet = static_cast<uint8_t>((*octets)[i]);
    *value |= (octet & 0x7f) << (7 * i);
    if (octet < 0x80) {
      octets->remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// Octets that LEB128 takes.
size_t VarintBytes(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

bool TakeString(absl::string_view* octets, absl::string_view* value) {
  uint64_t size = 0;
  if (!TakeVarint(octets, &size) || size > octets->size()) return false;
  *value = octets->substr(0, size);
  octets->remove_prefix(size);
  return true;
}

// --- tables -------------------------------------------------------------------

constexpr size_t kFooterBytes = kIndexTableFooterBytes;
constexpr size_t kFooterHandleBytes = 40;
constexpr size_t kBlockTrailerBytes = kIndexBlockTrailerBytes;

struct Handle {
  uint64_t offset = 0, size = 0;
  uint64_t end() const { return offset + size + kBlockTrailerBytes; }
};

// The last blocks of a table are those of filters, of names, and of blocks. The
// footer names the last two, which stand directly before it.
struct Footer {
  Handle blocks;
  // Whether the rest of it is as it must be, without which filters are not found.
  bool whole = false;
};

std::optional<Footer> FooterOf(absl::string_view octets) {
  constexpr uint64_t kTableMagic = 0xdb4775248b80fb57u;
  if (octets.size() < kFooterBytes) return std::nullopt;
  const absl::string_view footer = octets.substr(octets.size() - kFooterBytes);
  absl::string_view handles = footer.substr(0, kFooterHandleBytes);
  Handle names, blocks;
  if (GetFixed64(footer, kFooterHandleBytes) != kTableMagic || !TakeVarint(&handles, &names.offset) ||
      !TakeVarint(&handles, &names.size) || !TakeVarint(&handles, &blocks.offset) ||
      !TakeVarint(&handles, &blocks.size) || blocks.size > octets.size() ||
      blocks.end() != octets.size() - kFooterBytes) {
    return std::nullopt;
  }
  // Numbers may be written in more octets than they need: not by LevelDB, but by a bit
  // that is flipped in front of the padding.
  const size_t needed = VarintBytes(names.offset) + VarintBytes(names.size) + VarintBytes(blocks.offset) +
                        VarintBytes(blocks.size);
  return Footer{.blocks = blocks,
                .whole = names.size <= octets.size() && names.end() == blocks.offset &&
                         handles.size() == kFooterHandleBytes - needed &&
                         handles.find_first_not_of('\0') == absl::string_view::npos};
}

// Remembers which blocks LevelDB's reader wanted, and which of them are damaged.
class TableFile : public leveldb::RandomAccessFile {
 public:
  explicit TableFile(absl::string_view octets) : octets_(octets) {}

  leveldb::Status Read(uint64_t offset, size_t n, leveldb::Slice* result, char*) const override {
    if (offset > octets_.size() || n > octets_.size() - offset) {
      return leveldb::Status::Corruption("beyond the end");
    }
    const absl::string_view block = octets_.substr(offset, n);
    *result = leveldb::Slice(block.data(), n);
    seen_[offset] = std::max<uint64_t>(seen_[offset], n);
    if (IsWholeIndexBlock(offset, block, octets_.size())) return leveldb::Status::OK();
    damages_.push_back({offset, "block with a wrong checksum", std::nullopt});
    return leveldb::Status::Corruption("block with a wrong checksum");
  }

  std::vector<IndexDamage>& damages() { return damages_; }
  const std::map<uint64_t, uint64_t>& seen() const { return seen_; }

 private:
  const absl::string_view octets_;
  mutable std::map<uint64_t, uint64_t> seen_;
  mutable std::vector<IndexDamage> damages_;
};

}  // namespace

std::string IndexTableName(uint64_t number) { return absl::StrFormat("%06d.ldb", number); }

std::vector<IndexDamage> CheckIndexTable(absl::string_view octets, const KeyRange& bounds,
                                         const IndexEntryVisitor& visit) {
  const std::optional<Footer> footer = FooterOf(octets);
  const uint64_t footer_at = octets.size() - std::min(octets.size(), kFooterBytes);
  if (!footer) return {{footer_at, "damaged footer", bounds, /*whole_table=*/true}};
  TableFile file(octets);
  const std::unique_ptr<const leveldb::FilterPolicy> filter(leveldb::NewBloomFilterPolicy(10));
  leveldb::Options options;
  options.filter_policy = filter.get();
  leveldb::Table* opened = nullptr;
  const leveldb::Status status = leveldb::Table::Open(options, &file, octets.size(), &opened);
  const std::unique_ptr<leveldb::Table> table(opened);
  std::vector<IndexDamage>& damages = file.damages();
  if (!status.ok()) {
    if (damages.empty()) damages.push_back({footer->blocks.offset, status.ToString(), std::nullopt});
    damages.back().keys = bounds;
    damages.back().whole_table = true;
    return damages;
  }
  // What is damaged up to here are filters: they save time, and lose nothing.
  if (!footer->whole) damages = {{footer_at, "damaged footer", std::nullopt}};
  leveldb::ReadOptions read;
  read.fill_cache = false;
  const std::unique_ptr<leveldb::Iterator> iterator(table->NewIterator(read));
  std::string last = bounds.from;
  size_t judged = damages.size();
  for (iterator->SeekToFirst();; iterator->Next()) {
    const bool valid = iterator->Valid();
    std::string key = bounds.to;
    if (valid) {
      const leveldb::Slice full = iterator->key();
      if (full.size() < kKeyTrailerBytes) {
        damages.push_back({0, "a key without its sequence number", std::nullopt});
        continue;
      }
      key.assign(full.data(), full.size() - kKeyTrailerBytes);
      const leveldb::Slice value = iterator->value();
      const bool erased = full[full.size() - kKeyTrailerBytes] == kTypeErased;
      visit(key, erased ? std::nullopt : std::make_optional(absl::string_view(value.data(), value.size())));
    }
    for (; judged < damages.size(); ++judged) damages[judged].keys = KeyRange{last, key};
    if (!valid) break;
    last = std::move(key);
  }
  if (!iterator->status().ok() && damages.empty()) {
    damages.push_back({0, iterator->status().ToString(), bounds});
  }
  uint64_t at = 0;
  for (const auto& [offset, size] : file.seen()) {
    if (offset > at && damages.empty()) {
      damages.push_back({at, absl::StrCat(offset - at, " bytes that are in no block"), bounds});
    }
    at = std::max(at, offset + size);
  }
  return damages;
}

// --- logs --------------------------------------------------------------------

namespace {

constexpr size_t kLogBlockBytes = 32768;
constexpr size_t kLogHeaderBytes = 7;
enum LogRecordType : uint8_t { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

// The payload of the record at `at`, or what is wrong with it.
absl::StatusOr<absl::string_view> LogRecordAt(absl::string_view octets, uint64_t at) {
  const size_t left = std::min<size_t>(kLogBlockBytes - at % kLogBlockBytes, octets.size() - at);
  if (left < kLogHeaderBytes) return absl::DataLossError("record that is cut off");
  const size_t size = static_cast<uint8_t>(octets[at + 4]) | size_t{static_cast<uint8_t>(octets[at + 5])}
                                                                 << 8;
  if (kLogHeaderBytes + size > left) {
    return absl::DataLossError(
        absl::StrCat("record of ", size, " bytes, ", left - kLogHeaderBytes, " are left"));
  }
  // The checksum covers the type too.
  const absl::string_view covered = octets.substr(at + 6, 1 + size);
  if (MaskedCrc32c(covered) != GetFixed32(octets, at)) {
    return absl::DataLossError("record with a wrong checksum");
  }
  const uint8_t type = static_cast<uint8_t>(covered[0]);
  if (type < kFull || type > kLast) return absl::DataLossError(absl::StrCat("record of type ", type));
  return covered;
}

// Calls `visit` with each record that is whole, put together.
std::vector<IndexDamage> ReadLog(absl::string_view octets,
                                 const std::function<void(uint64_t offset, absl::string_view)>& visit) {
  std::vector<IndexDamage> damages;
  std::string record;
  uint64_t record_at = 0;
  bool in_record = false;
  for (uint64_t at = 0; at < octets.size();) {
    const uint64_t block_end = std::min<uint64_t>((at / kLogBlockBytes + 1) * kLogBlockBytes, octets.size());
    if (kLogBlockBytes - at % kLogBlockBytes < kLogHeaderBytes) {
      if (octets.substr(at, block_end - at).find_first_not_of('\0') != absl::string_view::npos) {
        damages.push_back({at, "padding that is not empty", std::nullopt});
      }
      at = block_end;
      continue;
    }
    const absl::StatusOr<absl::string_view> part = LogRecordAt(octets, at);
    if (!part.ok()) {
      damages.push_back({at, std::string(part.status().message()), std::nullopt});
      in_record = false;
      // If only its content is damaged, the next one follows. LevelDB would give up the block.
      const uint64_t next =
          at + kLogHeaderBytes +
          (at + kLogHeaderBytes <= octets.size()
               ? static_cast<uint8_t>(octets[at + 4]) | uint64_t{static_cast<uint8_t>(octets[at + 5])} << 8
               : 0);
      at = next < block_end && LogRecordAt(octets, next).ok() ? next : block_end;
      continue;
    }
    const uint8_t type = static_cast<uint8_t>((*part)[0]);
    if (type == kFull || type == kFirst) {
      record.clear();
      record_at = at;
      in_record = true;
    }
    if (in_record) record.append(part->data() + 1, part->size() - 1);
    if (in_record && (type == kFull || type == kLast)) {
      visit(record_at, record);
      in_record = false;
    }
    at += kLogHeaderBytes + part->size() - 1;
  }
  return damages;
}

// One record of a manifest.
bool ReadEdit(absl::string_view edit, IndexManifest* manifest) {
  enum Tag {
    kComparator = 1,
    kLogNumber = 2,
    kNextFile = 3,
    kLastSequence = 4,
    kCompactPointer = 5,
    kDeletedFile = 6,
    kNewFile = 7,
    kPreviousLog = 9
  };
  while (!edit.empty()) {
    uint64_t tag = 0, level = 0, number = 0;
    absl::string_view text, smallest, largest;
    IndexManifest::Table table;
    if (!TakeVarint(&edit, &tag)) return false;
    switch (tag) {
      case kComparator:
        if (!TakeString(&edit, &text)) return false;
        break;
      case kLogNumber:
      case kNextFile:
      case kLastSequence:
      case kPreviousLog:
        if (!TakeVarint(&edit, &number)) return false;
        break;
      case kCompactPointer:
        if (!TakeVarint(&edit, &level) || !TakeString(&edit, &text)) return false;
        break;
      case kDeletedFile:
        if (!TakeVarint(&edit, &level) || !TakeVarint(&edit, &number)) return false;
        manifest->tables.erase(number);
        break;
      case kNewFile:
        if (!TakeVarint(&edit, &table.level) || !TakeVarint(&edit, &number) ||
            !TakeVarint(&edit, &table.size) || !TakeString(&edit, &smallest) ||
            !TakeString(&edit, &largest) || smallest.size() < kKeyTrailerBytes ||
            largest.size() < kKeyTrailerBytes) {
          return false;
        }
        table.bounds = {std::string(smallest.substr(0, smallest.size() - kKeyTrailerBytes)),
                        std::string(largest.substr(0, largest.size() - kKeyTrailerBytes))};
        manifest->tables[number] = std::move(table);
        break;
      default:
        return false;
    }
  }
  return true;
}

}  // namespace

IndexManifest ReadIndexManifest(absl::string_view octets) {
  IndexManifest manifest;
  std::vector<IndexDamage> unreadable;
  manifest.damages = ReadLog(octets, [&](uint64_t offset, absl::string_view edit) {
    if (!ReadEdit(edit, &manifest))
      unreadable.push_back({offset, "change that cannot be read", std::nullopt});
  });
  manifest.damages.insert(manifest.damages.end(), unreadable.begin(), unreadable.end());
  return manifest;
}

std::optional<uint64_t> UntornManifestBytes(absl::string_view octets) {
  uint64_t at = 0;
  uint64_t whole = 0;  // Behind the last change that is.
  while (at < octets.size()) {
    const uint64_t left = kLogBlockBytes - at % kLogBlockBytes;
    if (left < kLogHeaderBytes) {
      at += left;
      continue;
    }
    const absl::StatusOr<absl::string_view> part = LogRecordAt(octets, at);
    if (!part.ok()) break;
    at += kLogHeaderBytes + part->size() - 1;
    if ((*part)[0] == kFull || (*part)[0] == kLast) whole = at;
  }
  // Where a later one begins, this one was synced.
  for (++at; at < octets.size(); ++at) {
    const absl::StatusOr<absl::string_view> later = LogRecordAt(octets, at);
    if (later.ok() && ((*later)[0] == kFull || (*later)[0] == kFirst)) return std::nullopt;
  }
  return whole;
}

}  // namespace restante::embedded
