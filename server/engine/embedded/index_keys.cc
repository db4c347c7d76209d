#include "server/engine/embedded/index_keys.h"

namespace restante::embedded {

void PutOrdered64(uint64_t value, std::string* to) {
  for (int shift = 56; shift >= 0; shift -= 8) to->push_back(static_cast<char>(value >> shift));
}

uint64_t GetOrdered64(absl::string_view octets, size_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(octets[at + i]);
  return value;
}

namespace {

std::string Numbered(char kind, uint64_t number) {
  std::string key(1, kind);
  PutOrdered64(number, &key);
  return key;
}

std::string Partitioned(char kind, engine::PartitionId partition, size_t more) {
  std::string key;
  key.reserve(kPartitionPrefixBytes + more);
  key.push_back(kind);
  key.push_back(static_cast<char>(partition.kind));
  PutOrdered64(partition.number, &key);
  return key;
}

}  // namespace

std::string HeadKey(engine::PartitionId partition) { return Partitioned('h', partition, 0); }

engine::PartitionId PartitionOfHeadKey(absl::string_view key) {
  return {static_cast<engine::PartitionId::Kind>(key[1]), GetOrdered64(key, 2)};
}

std::string PartitionKey(engine::PartitionId partition, absl::string_view key) {
  std::string full = Partitioned('k', partition, key.size());
  full.append(key.data(), key.size());
  return full;
}

bool IsOpenReceiptKey(absl::string_view key) {
  if (key.size() <= kPartitionPrefixBytes || key[0] != 'k' ||
      key[1] != static_cast<char>(engine::PartitionId::Kind::kMailbox)) {
    return false;
  }
  const absl::string_view own = key.substr(kPartitionPrefixBytes);
  return own >= engine::kOpenReceiptsFrom && own < engine::kOpenReceiptsTo;
}

std::string BodyKey(uint64_t body) { return Numbered('b', body); }

std::string ReceiptBucketKey(uint64_t bucket) { return Numbered('r', bucket); }

std::string ReceiptKey(uint64_t bucket, const engine::TransactionId& transaction) {
  std::string key = ReceiptBucketKey(bucket);
  key.append(reinterpret_cast<const char*>(transaction.octets.data()), transaction.octets.size());
  return key;
}

std::string SegmentKey(uint64_t segment) { return Numbered('s', segment); }

std::string EventKey(uint64_t sequence) { return Numbered('e', sequence); }

uint64_t NumberOfKey(absl::string_view key) { return GetOrdered64(key, 1); }

std::string MarkerKey(uint64_t group) { return Numbered('g', group); }

std::string AfterPrefix(absl::string_view prefix) {
  std::string after(prefix);
  while (!after.empty()) {
    if (static_cast<uint8_t>(after.back()) != 0xff) {
      ++after.back();
      return after;
    }
    after.pop_back();
  }
  return after;
}

bool IsPinned(absl::string_view key) {
  switch (key.empty() ? '\0' : key[0]) {
    case 'h':
    case 's':
    case 'n':
    case 'v':
      return true;
    case 'k':
      return key.size() > 1 && key[1] == static_cast<char>(engine::PartitionId::Kind::kDirectory);
    default:
      return false;
  }
}

std::string WithGroup(uint64_t group, absl::string_view value) {
  std::string stored;
  stored.reserve(10 + value.size());
  while (group >= 0x80) {
    stored.push_back(static_cast<char>(group | 0x80));
    group >>= 7;
  }
  stored.push_back(static_cast<char>(group));
  stored.append(value.data(), value.size());
  return stored;
}

std::optional<GroupedValue> SplitGroup(absl::string_view stored) {
  GroupedValue result;
  for (size_t i = 0; i < stored.size() && i < 10; ++i) {
    const uint64_t octet = static_cast<uint8_t>(stored[i]);
    result.group |= (octet & 0x7f) << (7 * i);
    if (octet < 0x80) {
      result.value = stored.substr(i + 1);
      return result;
    }
  }
  return std::nullopt;
}

}  // namespace restante::embedded
