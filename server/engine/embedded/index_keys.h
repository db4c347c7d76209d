// Keys of the index, and its values' prefix. Layout in FORMAT.md.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_KEYS_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/engine/types.h"

namespace restante::embedded {

// 8 octets big-endian, so that keys ascend with numbers.
void PutOrdered64(uint64_t value, std::string* to);
uint64_t GetOrdered64(absl::string_view octets, size_t at);

std::string HeadKey(engine::PartitionId partition);
engine::PartitionId PartitionOfHeadKey(absl::string_view key);
// A key of a partition; with an empty `key`, what all of them begin with.
std::string PartitionKey(engine::PartitionId partition, absl::string_view key);
inline constexpr size_t kPartitionPrefixBytes = 10;
// Whether it is that of an open receipt in a mailbox.
bool IsOpenReceiptKey(absl::string_view key);
std::string BodyKey(uint64_t body);
// `bucket` is store time / receipt lifetime.
std::string ReceiptKey(uint64_t bucket, const engine::TransactionId& transaction);
std::string ReceiptBucketKey(uint64_t bucket);
std::string SegmentKey(uint64_t segment);
uint64_t NumberOfKey(absl::string_view key);  // Of BodyKey, SegmentKey, EventKey; the bucket of ReceiptKey.
inline constexpr absl::string_view kNextNumberKey = "n";
std::string EventKey(uint64_t sequence);
inline constexpr absl::string_view kEventsKey = "v";

// Not logged: what LevelDB knows about itself.
inline constexpr absl::string_view kCheckpointKey = "mcheckpoint";
inline constexpr absl::string_view kScrubKey = "mscrub";
// A batch that ended with this group; the value is the group before its first.
std::string MarkerKey(uint64_t group);

// The first key behind all that begin with `prefix`; empty: the end.
std::string AfterPrefix(absl::string_view prefix);

// Whether the engine keeps all keys of this kind in memory.
bool IsPinned(absl::string_view key);

// A value with the number of the group that wrote it in front.
std::string WithGroup(uint64_t group, absl::string_view value);
struct GroupedValue {
  uint64_t group = 0;
  absl::string_view value;
};
// nullopt if it is none.
std::optional<GroupedValue> SplitGroup(absl::string_view stored);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_KEYS_H_
