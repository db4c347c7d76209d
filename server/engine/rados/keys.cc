#include "server/engine/rados/keys.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace restante::rados {
namespace {

constexpr uint64_t kSecondsPerKey = 3600;

}  // namespace

std::string Hex(uint64_t number) { return absl::StrCat(absl::Hex(number, absl::kZeroPad16)); }

std::optional<uint64_t> FromHex(absl::string_view text) {
  uint64_t number;
  if (text.size() != 16 || !absl::SimpleHexAtoi(text, &number)) return std::nullopt;
  return number;
}

std::string PartitionObject(PartitionId partition) {
  switch (partition.kind) {
    case PartitionId::Kind::kDirectory:
      return "directory";
    case PartitionId::Kind::kDomain:
      return absl::StrCat("domain.", Hex(partition.number));
    case PartitionId::Kind::kMailbox:
      break;
  }
  return absl::StrCat("mailbox.", Hex(partition.number));
}

std::string ShelfName(uint64_t number) { return absl::StrCat(absl::Hex(number >> 16, absl::kZeroPad12)); }
std::string MailboxShelf(uint64_t number) { return absl::StrCat("mailboxes.", ShelfName(number)); }

std::string OutcomeObject(int index) { return absl::StrCat("tx.", absl::Hex(index, absl::kZeroPad3)); }
std::string OutcomeObject(const TransactionId& transaction) {
  return OutcomeObject(transaction.octets[0] << 4 | transaction.octets[1] >> 4);
}

std::string LifeObject(uint64_t incarnation) { return absl::StrCat("store.", Hex(incarnation)); }

std::string ShardObject(uint64_t number, uint32_t piece) {
  return absl::StrCat(kShardObjects, Hex(number), ".", piece);
}
std::optional<std::pair<uint64_t, uint32_t>> ShardOfObject(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, kShardObjects) || name.size() < 18 || name[16] != '.') return std::nullopt;
  const std::optional<uint64_t> number = FromHex(name.substr(0, 16));
  uint32_t piece;
  if (!number || !absl::SimpleAtoi(name.substr(17), &piece)) return std::nullopt;
  return std::make_pair(*number, piece);
}

std::string BodyObject(BodyId body) { return absl::StrCat("body.", Hex(static_cast<uint64_t>(body))); }
std::string BodyPart(BodyId body, uint64_t part) { return absl::StrCat(BodyObject(body), ".", part); }
std::optional<BodyId> BodyOfObject(absl::string_view name) {
  if (!absl::StartsWith(name, "body.") || name.size() < 21) return std::nullopt;
  if (name.size() > 21 && name[21] != '.') return std::nullopt;
  const std::optional<uint64_t> number = FromHex(name.substr(5, 16));
  if (!number) return std::nullopt;
  return BodyId{*number};
}

std::string PortKey(absl::string_view key) {
  std::string escaped = kPortPrefix;
  for (const char c : key) {
    // 0 and 1 become 1 1 and 1 2: whatever follows, the order is that of the octets.
    if (c == '\0' || c == '\1') escaped += '\1';
    escaped += c == '\0' ? '\1' : c == '\1' ? '\2' : c;
  }
  return escaped;
}

std::optional<std::string> FromPortKey(absl::string_view key) {
  if (!absl::StartsWith(key, kPortPrefix)) return std::nullopt;
  std::string plain;
  for (size_t i = 2; i < key.size(); ++i) {
    if (key[i] != '\1') {
      plain += key[i];
      continue;
    }
    if (++i == key.size() || (key[i] != '\1' && key[i] != '\2')) return std::nullopt;
    plain += static_cast<char>(key[i] - 1);
  }
  return plain;
}

std::string ReservationKey(const TransactionId& transaction) {
  return absl::StrCat(kReservationPrefix, transaction.ToString());
}

std::optional<TransactionId> TransactionOfKey(absl::string_view key) {
  if (key.size() < 32) return std::nullopt;
  return TransactionId::Parse(key.substr(key.size() - 32));
}

std::string PlacedKeysFrom(uint64_t store_time_s) {
  return absl::StrCat(kPlacedPrefix, absl::Hex(store_time_s / kSecondsPerKey, absl::kZeroPad8), "/");
}
std::string PlacedKey(uint64_t store_time_s, const TransactionId& transaction) {
  return absl::StrCat(PlacedKeysFrom(store_time_s), transaction.ToString());
}

std::string ReferenceKey(BodyId body) {
  return absl::StrCat(kReferencePrefix, Hex(static_cast<uint64_t>(body)));
}
std::string DroppedKey(BodyId body) { return absl::StrCat(kDroppedPrefix, Hex(static_cast<uint64_t>(body))); }
std::string GrantKey(uint64_t mailbox) { return absl::StrCat(kGrantPrefix, Hex(mailbox)); }

std::optional<uint64_t> NumberOfKey(absl::string_view key) {
  if (key.size() < 2) return std::nullopt;
  return FromHex(key.substr(2));
}

}  // namespace restante::rados
