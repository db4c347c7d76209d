#include "server/engine/rados/shards.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

constexpr size_t kPrefixSize = 2;
// Keys begin with a letter or a digit.
constexpr char kEndOfAll[] = "\xff";

absl::string_view PrefixOf(absl::string_view key) { return key.substr(0, kPrefixSize); }

// The first range that begins behind a key.
int FirstBehind(const stored::ShardList& list, absl::string_view key) {
  const auto it = std::upper_bound(
      list.ranges().begin(), list.ranges().end(), key,
      [](absl::string_view of, const stored::ShardRange& range) { return of < range.from(); });
  return static_cast<int>(std::distance(list.ranges().begin(), it));
}

Range RangeAt(const stored::ShardList& list, int i) {
  const stored::ShardRange& range = list.ranges(i);
  const absl::string_view prefix = PrefixOf(range.from());
  const bool last = i + 1 == list.ranges_size() || PrefixOf(list.ranges(i + 1).from()) != prefix;
  return {.from = range.from(),
          .to = last ? EndOf(prefix) : list.ranges(i + 1).from(),
          .shard = range.number() == 0 ? nullptr : &range};
}

}  // namespace

bool Spills(absl::string_view key) {
  return absl::StartsWith(key, kPortPrefix) || absl::StartsWith(key, kReferencePrefix);
}

std::string ToRow(absl::string_view key, std::string value) {
  if (Spills(key) && (value.empty() || value[0] == '\0')) value.insert(0, 1, '\0');
  return value;
}

std::optional<std::string> FromRow(absl::string_view key, std::string row) {
  if (!Spills(key)) return row;
  if (row.empty()) return std::nullopt;
  if (row[0] == '\0') row.erase(0, 1);
  return row;
}

std::string EndOf(absl::string_view prefix) {
  if (prefix.empty()) return kEndOfAll;
  // (No prefix ends with the last octet that there is.)
  std::string end(prefix);
  ++end.back();
  return end;
}

std::string After(absl::string_view key) { return absl::StrCat(key, "\1"); }

Range RangeOf(const Shards& shards, absl::string_view key) {
  Range none = {.from = std::string(key), .to = kEndOfAll, .shard = nullptr};
  if (!shards) return none;
  const int behind = FirstBehind(*shards, key);
  if (behind > 0) {
    Range range = RangeAt(*shards, behind - 1);
    if (key < range.to) return range;
  }
  if (behind < shards->ranges_size()) none.to = shards->ranges(behind).from();
  return none;
}

std::vector<Range> RangesOf(const Shards& shards, absl::string_view prefix) {
  std::vector<Range> ranges;
  for (int i = 0; shards && i < shards->ranges_size(); ++i) {
    if (PrefixOf(shards->ranges(i).from()) == prefix) ranges.push_back(RangeAt(*shards, i));
  }
  if (ranges.empty()) ranges.push_back({.from = std::string(prefix), .to = EndOf(prefix), .shard = nullptr});
  return ranges;
}

bool Overlaps(const stored::ShardFilling& filling, absl::string_view from, absl::string_view to) {
  return filling.number() != 0 && from < filling.to() && filling.from() < to;
}

bool LeavesTombstone(const Shards& shards, absl::string_view key) {
  if (!shards || !Spills(key)) return false;
  return RangeOf(shards, key).shard != nullptr || Overlaps(shards->filling(), key, After(key));
}

void Replace(absl::string_view from, absl::string_view to, const std::vector<stored::ShardRange>& pieces,
             uint64_t store_time_s, stored::ShardList* list) {
  std::vector<stored::ShardRange> ranges;
  // Two that have no shard are one.
  const auto add = [&ranges](const stored::ShardRange& range) {
    if (range.number() == 0 && !ranges.empty() && ranges.back().number() == 0 &&
        PrefixOf(ranges.back().from()) == PrefixOf(range.from())) {
      return;
    }
    ranges.push_back(range);
  };
  bool added = false;
  const auto add_pieces = [&] {
    if (!added) std::for_each(pieces.begin(), pieces.end(), add);
    added = true;
  };
  for (const stored::ShardRange& range : list->ranges()) {
    if (range.from() >= from) add_pieces();
    if (range.from() < from || range.from() >= to) {
      add(range);
    } else if (range.number() != 0) {
      stored::GoneShard* const gone = list->add_gone();
      gone->set_number(range.number());
      gone->set_piece(range.piece());
      gone->set_since_s(store_time_s);
    }
  }
  add_pieces();
  list->mutable_ranges()->Assign(ranges.begin(), ranges.end());
}

bool IsNamed(const Shards& shards, uint64_t number, uint32_t piece) {
  if (!shards) return false;
  const auto is_it = [&](const auto& shard) { return shard.number() == number && shard.piece() == piece; };
  return shards->filling().number() == number ||
         std::any_of(shards->ranges().begin(), shards->ranges().end(), is_it) ||
         std::any_of(shards->gone().begin(), shards->gone().end(), is_it);
}

bool NamesNumber(const Shards& shards, uint64_t number) {
  if (!shards) return false;
  const auto is_of_it = [&](const auto& shard) { return shard.number() == number; };
  return is_of_it(shards->filling()) ||
         std::any_of(shards->ranges().begin(), shards->ranges().end(), is_of_it) ||
         std::any_of(shards->gone().begin(), shards->gone().end(), is_of_it);
}

std::string ObjectOf(const stored::ShardRange& shard) { return ShardObject(shard.number(), shard.piece()); }

std::optional<Shards> ShardsIn(const ObjectRead& read) {
  const auto it = read.xattrs.find(kShardsXattr);
  if (it == read.xattrs.end()) return Shards();
  auto list = std::make_shared<stored::ShardList>();
  if (!list->ParseFromString(it->second)) return std::nullopt;
  return list;
}

void Count(absl::string_view key, absl::string_view row, stored::ShardRange* sum) {
  // The lengths count, too: where a key ends and its value begins is part of it.
  const std::string sizes = absl::StrCat(key.size(), " ", row.size(), " ");
  sum->set_rows(sum->rows() + 1);
  sum->set_octets(sum->octets() + key.size() + row.size());
  sum->set_crc32c(Crc32c(row, Crc32c(key, Crc32c(sizes, sum->crc32c()))));
}

}  // namespace restante::rados
