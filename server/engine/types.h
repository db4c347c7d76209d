// Names and amounts that the engine port and its users share.
#ifndef RESTANTE_SERVER_ENGINE_TYPES_H_
#define RESTANTE_SERVER_ENGINE_TYPES_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "restante/stored/v1/stored.pb.h"

namespace restante::engine {

namespace stored = ::restante::stored::v1;

// One mailbox, one domain, or the directory (number 0, always there). A number
// is never used twice.
struct PartitionId {
  enum class Kind : uint8_t { kDirectory = 1, kDomain = 2, kMailbox = 3 };
  Kind kind = Kind::kDirectory;
  uint64_t number = 0;

  static PartitionId Directory() { return {Kind::kDirectory, 0}; }
  static PartitionId Domain(uint64_t n) { return {Kind::kDomain, n}; }
  static PartitionId Mailbox(uint64_t n) { return {Kind::kMailbox, n}; }

  friend bool operator==(const PartitionId&, const PartitionId&) = default;
  friend auto operator<=>(const PartitionId&, const PartitionId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PartitionId& p) {
    return H::combine(std::move(h), p.kind, p.number);
  }
};

// Names a delivery for ever: a truncated hash of caller and request id.
struct TransactionId {
  std::array<uint8_t, 16> octets{};

  // 32 hexadecimal digits, lower case; and back.
  std::string ToString() const;
  static std::optional<TransactionId> Parse(absl::string_view text);
  // 16 octets, as stored messages have it.
  std::string ToBytes() const { return std::string(octets.begin(), octets.end()); }
  static std::optional<TransactionId> FromBytes(absl::string_view bytes);

  friend bool operator==(const TransactionId&, const TransactionId&) = default;
  friend auto operator<=>(const TransactionId&, const TransactionId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const TransactionId& t) {
    return H::combine(std::move(h), t.octets);
  }
};

// Names a body in its engine. Never used twice.
enum class BodyId : uint64_t {};

// Why a demand was not met; amounts in octets, or messages if
// `counts_messages`.
struct Shortage {
  enum class Scope { kNone, kMailbox, kDomain, kDisk };
  Scope scope = Scope::kNone;
  bool counts_messages = false;
  uint64_t limit = 0;
  uint64_t used = 0;
  uint64_t reserved = 0;
  uint64_t needed = 0;
  // It would not fit if nothing were reserved either.
  bool full_without_reservations = false;
};

// What is promised to open transactions in a partition.
struct Reserved {
  uint64_t bytes = 0;
  uint64_t messages = 0;
};

// Room in the whole store, octets.
struct Capacity {
  uint64_t limit = 0;      // What it may occupy.
  uint64_t used = 0;       // What it occupies.
  uint64_t reserved = 0;   // Promised to open transactions.
  uint64_t available = 0;  // For a message that begins now.
  bool full = false;       // Between the high and the low watermark.
  bool read_only = false;  // After a write error: changes are refused.
};

// Key of a message's entry in its mailbox partition: `m/` and the UID, 8 octets
// big-endian, so that keys ascend with UIDs.
std::string EntryKey(uint64_t uid);
// The UID of an entry key; nullopt for another key.
std::optional<uint64_t> EntryUid(const std::string& key);

// Keys of all open receipts of a mailbox lie in [kOpenReceiptsFrom, kOpenReceiptsTo).
inline constexpr char kOpenReceiptsFrom[] = "d/";
inline constexpr char kOpenReceiptsTo[] = "d0";
// `retry_key`: of a CommitRequest.
std::string OpenReceiptKey(absl::string_view retry_key);

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_TYPES_H_
