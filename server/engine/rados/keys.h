// Names of objects and keys in the cluster (FORMAT.md).
//
// Keys of an omap are given back in order, and librados' C API takes some of them as C
// strings, so no octet of a key is 0: a port's key is escaped, which keeps the order, and
// numbers are 16 hexadecimal digits.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_KEYS_H_
#define RESTANTE_SERVER_ENGINE_RADOS_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/engine/types.h"

namespace restante::rados {

using engine::BodyId;
using engine::PartitionId;
using engine::TransactionId;

std::string Hex(uint64_t number);
std::optional<uint64_t> FromHex(absl::string_view text);

// --- objects -----------------------------------------------------------------------

inline constexpr char kStoreObject[] = "restante";
// In it: the last number that was given to a run of a store, with which the numbers begin
// that the run gives; and runs that have begun and whose end nobody has seen to. Their
// value is another one each time that a run is enrolled.
inline constexpr char kIncarnation[] = "incarnation";
inline constexpr char kLastScrub[] = "last-scrub";
inline constexpr int kIncarnationShift = 40;
inline constexpr char kRunPrefix[] = "s/";
inline constexpr char kDomainsObject[] = "domains";
inline constexpr char kEventsObject[] = "events";
inline constexpr char kHintsObject[] = "hints";
// Behind the latter a domain's number.
inline constexpr char kEventsHint[] = "events", kDomainHint[] = "domain ";

std::string PartitionObject(PartitionId partition);
// Where the numbers of mailboxes are listed, 65,536 at most in each, and the object that
// lists the former.
inline constexpr char kMailboxShelvesObject[] = "mailboxes";
std::string MailboxShelf(uint64_t number);
std::string ShelfName(uint64_t number);
// Where the outcome of a transaction stands: 4,096 objects by its first octets.
std::string OutcomeObject(const TransactionId& transaction);
inline constexpr int kOutcomeObjects = 4096;
std::string OutcomeObject(int index);
// The life sign of one run of one store.
std::string LifeObject(uint64_t incarnation);

// Rows that have left a partition's own object (shards.h).
inline constexpr char kShardObjects[] = "shard.";
std::string ShardObject(uint64_t number, uint32_t piece);
// Number and piece; nullopt: it is no shard's name.
std::optional<std::pair<uint64_t, uint32_t>> ShardOfObject(absl::string_view name);

// A body: its last octets and all that is known of it; and its parts before that.
inline constexpr char kBodyObjects[] = "body.";
std::string BodyObject(BodyId body);
std::string BodyPart(BodyId body, uint64_t part);
// The body of either; nullopt: it is neither.
std::optional<BodyId> BodyOfObject(absl::string_view name);

// --- keys of partitions ------------------------------------------------------------

// Of the port's: `k/` and the key, escaped.
inline constexpr char kPortPrefix[] = "k/";
std::string PortKey(absl::string_view key);
std::optional<std::string> FromPortKey(absl::string_view key);

// What transactions hold in a mailbox; `r/` and the transaction.
inline constexpr char kReservationPrefix[] = "r/";
std::string ReservationKey(const TransactionId& transaction);
std::optional<TransactionId> TransactionOfKey(absl::string_view key);
// What a transaction has left there; `q/`, store time / 3600 and the transaction.
inline constexpr char kPlacedPrefix[] = "q/";
std::string PlacedKey(uint64_t store_time_s, const TransactionId& transaction);
// Those of earlier hours are below this.
std::string PlacedKeysFrom(uint64_t store_time_s);
// How many entries of the mailbox name a body; `b/` and the body.
inline constexpr char kReferencePrefix[] = "b/";
std::string ReferenceKey(BodyId body);
// A body that the mailbox has let go, and whose holder it may still be; `x/`.
inline constexpr char kDroppedPrefix[] = "x/";
std::string DroppedKey(BodyId body);
// What a domain has granted to a mailbox, which says that it is one of its; `g/`.
inline constexpr char kGrantPrefix[] = "g/";
std::string GrantKey(uint64_t mailbox);
// An event that is recorded, and not in the log of all yet; `e/`.
inline constexpr char kEventPrefix[] = "e/";

// The number behind a prefix of two octets.
std::optional<uint64_t> NumberOfKey(absl::string_view key);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_KEYS_H_
