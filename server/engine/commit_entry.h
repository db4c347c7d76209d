// What a commit does to a mailbox and to its receipt. Pure, and the same in
// every engine.
#ifndef RESTANTE_SERVER_ENGINE_COMMIT_ENTRY_H_
#define RESTANTE_SERVER_ENGINE_COMMIT_ENTRY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "server/engine/types.h"

namespace restante::engine {

// A body as entries name it.
struct CommittedBody {
  BodyId id{};
  uint64_t size = 0;  // Octets, logical: what is charged.
  uint32_t crc32c = 0;
};

// Enters one message into a mailbox. `entry` gets uid, modseq, body, size, crc32c
// and transaction id, and keeps the rest; `head` counts it: usage, exempt usage,
// next UID, highest MODSEQ. Returns the UID.
uint64_t EnterMessage(const TransactionId& transaction, const CommittedBody& body, stored::MailboxHead* head,
                      stored::Entry* entry);

// Where a commit left the message in one mailbox.
struct Placed {
  uint64_t uid = 0;
  // 16 octets: suppressed, for this transaction had stored it. Else empty.
  std::string stored_by = {};
};

// What an open receipt says that a mailbox has under the key of a commit; nullopt
// if it serves no retry: null (there is none), older than `window_s`, or damaged,
// for in doubt a message is stored twice.
std::optional<Placed> PlacedBefore(const std::string* open_receipt, uint64_t store_time_s, uint64_t window_s);

// The open receipt that a commit leaves in a mailbox, also in one where it was
// suppressed: the next retry is that of this commit's answer.
stored::OpenReceipt MakeOpenReceipt(const TransactionId& transaction, const Placed& placed,
                                    uint64_t store_time_s);

// restante.v1.OUTCOME_OK, as a receipt keeps it: the engine does not see the API.
inline constexpr uint32_t kOutcomeOk = 1;

// Sets the store time, and of each recipient whose outcome is OK the UID, and by
// whom it was stored, by its mailbox; `placed` has partition numbers.
void CompleteReceipt(const absl::flat_hash_map<uint64_t, Placed>& placed, uint64_t store_time_s,
                     stored::Receipt* receipt);

// The mailboxes that have the message, each once.
std::vector<uint64_t> MailboxesOf(const stored::Receipt& receipt);
// Which left this open receipt; all zeros if it is damaged.
TransactionId TransactionOf(absl::string_view open_receipt);

// The answer for an id that shall never commit.
stored::Receipt MakeTombstone(uint64_t store_time_s);

// How long a receipt or tombstone is kept, in seconds of store time.
inline constexpr uint64_t kReceiptLifetimeSeconds = 24 * 60 * 60;
// And how long an open receipt serves a retry, unless it is set otherwise.
inline constexpr uint64_t kRetryWindowSeconds = 7 * 24 * 60 * 60;

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_COMMIT_ENTRY_H_
