#include "server/engine/embedded/key_filter.h"

#include "absl/hash/hash.h"

namespace restante::embedded {
namespace {

constexpr size_t kLineBits = 512, kBitsPerKey = 16;
constexpr size_t kFirstLines = 1024;
constexpr int kProbes = 7;

uint64_t HashOf(absl::string_view key) { return absl::HashOf(key); }

// Calls `probe(word, bit)` until it returns false; whether it never did. The upper half
// of the hash chooses the line, the lower the bits in it.
template <typename Probe>
bool ForEachBit(uint64_t hash, Probe probe) {
  uint32_t at = static_cast<uint32_t>(hash);
  const uint32_t step = (at >> 17 | at << 15) | 1;
  for (int i = 0; i < kProbes; ++i, at += step) {
    const uint32_t bit = at >> 23;  // Of 512.
    if (!probe(bit / 64, uint64_t{1} << bit % 64)) return false;
  }
  return true;
}

size_t LineOf(uint64_t hash, size_t lines) { return (hash >> 32) % lines; }

}  // namespace

void KeyFilter::Add(absl::string_view key) {
  if (full_ || (!tables_.empty() && MayHave(key))) return;
  if (tables_.empty() || tables_.back().keys == tables_.back().lines.size() * kLineBits / kBitsPerKey) {
    full_ = tables_.size() == max_tables_;
    if (full_) {
      tables_.clear();
      return;
    }
    tables_.emplace_back(kFirstLines << tables_.size());
  }
  Table& table = tables_.back();
  const uint64_t hash = HashOf(key);
  Line& line = table.lines[LineOf(hash, table.lines.size())];
  ForEachBit(hash, [&line](uint32_t word, uint64_t bit) {
    line[word] |= bit;
    return true;
  });
  ++table.keys;
}

bool KeyFilter::MayHave(absl::string_view key) const {
  if (full_) return true;
  const uint64_t hash = HashOf(key);
  for (const Table& table : tables_) {
    const Line& line = table.lines[LineOf(hash, table.lines.size())];
    if (ForEachBit(hash, [&line](uint32_t word, uint64_t bit) { return (line[word] & bit) != 0; }))
      return true;
  }
  return false;
}

}  // namespace restante::embedded
