// What a store remembers beside its partitions: receipts, events, times and numbers; and
// which partitions it has. All of it blocks.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_HISTORY_H_
#define RESTANTE_SERVER_ENGINE_MOVING_HISTORY_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/engine.h"

namespace restante::moving {

// The store time: before all else, for ages are counted by it.
absl::Status TakeOverTime(engine::Engine* from, engine::Engine* to);
// Receipts and tombstones; how many.
absl::StatusOr<uint64_t> CopyReceipts(engine::Engine* from, engine::Engine* to);
// Events, in place of all that are in `to`; and that numbers go on behind those of `from`.
absl::StatusOr<uint64_t> CopyEvents(engine::Engine* from, engine::Engine* to);

// All of a kind, ascending; adds what mailboxes have used to `octets`, if it is given.
absl::StatusOr<std::vector<engine::PartitionId>> PartitionsOf(engine::Engine* engine,
                                                              engine::PartitionId::Kind kind,
                                                              uint64_t* octets = nullptr);

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_HISTORY_H_
