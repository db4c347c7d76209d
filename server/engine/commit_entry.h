// What a commit does to a mailbox and to its receipt. Pure, and the same in
// every engine.
#ifndef RESTANTE_SERVER_ENGINE_COMMIT_ENTRY_H_
#define RESTANTE_SERVER_ENGINE_COMMIT_ENTRY_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
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

// restante.v1.OUTCOME_OK, as a receipt keeps it: the engine does not see the API.
inline constexpr uint32_t kOutcomeOk = 1;

// Sets the store time, and the UID of each recipient whose outcome is OK by its
// mailbox; `uids` maps partition numbers to UIDs.
void CompleteReceipt(const absl::flat_hash_map<uint64_t, uint64_t>& uids, uint64_t store_time_s,
                     stored::Receipt* receipt);

// The answer for an id that shall never commit.
stored::Receipt MakeTombstone(uint64_t store_time_s);

// How long a receipt or tombstone is kept, in seconds of store time.
inline constexpr uint64_t kReceiptLifetimeSeconds = 24 * 60 * 60;

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_COMMIT_ENTRY_H_
