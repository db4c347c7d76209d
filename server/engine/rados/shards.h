// Where the rows of a partition stand: in its own object, or in *shards*.
//
// An object with too many rows is slow to recover and to check, and Ceph warns of it. So
// rows of the prefixes that grow with the messages are copied into immutable objects, a
// *range* of keys each, and then leave the partition's own. From then on a row there
// overrides the shard's: by another value, or by a *tombstone*, which says that there is no
// such key. So a row may stand in both for a while; the copy is still true.
//
//   a row of these prefixes     its value; with an octet 0 in front if it is empty or
//                               begins with 0
//   a tombstone                 the empty row
#ifndef RESTANTE_SERVER_ENGINE_RADOS_SHARDS_H_
#define RESTANTE_SERVER_ENGINE_RADOS_SHARDS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "restante/stored/v1/cluster.pb.h"
#include "server/engine/rados/cluster.h"

namespace restante::rados {

namespace stored = ::restante::stored::v1;

// Attributes: of a partition, a ShardList; of a shard, the partition's object.
inline constexpr char kShardsXattr[] = "shards", kHomeXattr[] = "home";

// Null: no key has ever left the partition's object. Part of its state, under its guard.
using Shards = std::shared_ptr<const stored::ShardList>;

// Whether it is a key that may leave; what stands in the cluster as its row.
bool Spills(absl::string_view key);
std::string ToRow(absl::string_view key, std::string value);
// nullopt: a tombstone.
std::optional<std::string> FromRow(absl::string_view key, std::string row);
inline constexpr char kTombstone[] = "";

// The first string behind all keys with a prefix; behind all keys where it is empty.
std::string EndOf(absl::string_view prefix);
// The first key that may follow.
std::string After(absl::string_view key);

// Keys [from, to), and the shard that has rows of them; null: none has.
struct Range {
  std::string from, to;
  const stored::ShardRange* shard = nullptr;
};
// The range that a key is in. Keys that do not spill have one, too: up to the next that do.
Range RangeOf(const Shards& shards, absl::string_view key);
// All ranges of a prefix that spills; one where it has not spilled yet.
std::vector<Range> RangesOf(const Shards& shards, absl::string_view prefix);

// Whether, where the key is erased, a tombstone has to say so.
bool LeavesTombstone(const Shards& shards, absl::string_view key);
bool Overlaps(const stored::ShardFilling& filling, absl::string_view from, absl::string_view to);

// Puts `pieces` in place of the ranges in [from, to), whose shards are gone since then.
// Each of both ends is a range's, too.
void Replace(absl::string_view from, absl::string_view to, const std::vector<stored::ShardRange>& pieces,
             uint64_t store_time_s, stored::ShardList* list);
// Whether a shard is named in it: is read, may still be, or is being filled.
bool IsNamed(const Shards& shards, uint64_t number, uint32_t piece);
// Whether any of that number is.
bool NamesNumber(const Shards& shards, uint64_t number);

std::string ObjectOf(const stored::ShardRange& shard);

// That of an object which was read with its attributes. nullopt: it is damaged.
std::optional<Shards> ShardsIn(const ObjectRead& read);

// Rows, keys and values and all, as a ShardRange counts them.
void Count(absl::string_view key, absl::string_view row, stored::ShardRange* sum);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_SHARDS_H_
