// Workloads that crash and fault tests record, in the vocabulary of NotedStore. A
// new kind of operation is a step here, or a line in AnyStep.
#ifndef RESTANTE_TESTS_EMBEDDED_CRASH_WORKLOAD_H_
#define RESTANTE_TESTS_EMBEDDED_CRASH_WORKLOAD_H_

#include <cstdint>
#include <random>

#include "absl/status/status.h"
#include "tests/embedded/noted_store.h"

namespace restante::embedded {

// Each makes its store, or opens it, and leaves it closed. Steps that fail are what
// they test under faults, so the first error is given back and work goes on.

// Nothing but making it.
absl::Status Creation(NotedStore& store);
// A bit of everything, one client, one restart.
absl::Status FewMessages(NotedStore& store);
// Mailboxes that reach and leave thresholds, by mail and by their limits.
absl::Status Thresholds(NotedStore& store);
// Segments fill and are emptied, by command.
absl::Status Compaction(NotedStore& store);
// By itself. Not for faults: a segment that made trouble is left until the next start.
absl::Status BackgroundCompaction(NotedStore& store);
// Backups, the second of what changed; segments that the first holds are emptied.
absl::Status BackingUp(NotedStore& store);
// The index is made again from a log with gaps.
absl::Status Rebuilding(NotedStore& store);
// LevelDB fills its log, writes tables and merges them.
absl::Status FullTables(NotedStore& store);
// `clients` at once, `steps` each, in as many lives of the store as `lives`.
absl::Status ManyClients(NotedStore& store, uint64_t seed, int clients, int steps, int lives);

// What a client does next. Its own mailbox is the one whose settings it may change.
absl::Status AnyStep(NotedStore& store, std::mt19937_64& random, size_t own);

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_CRASH_WORKLOAD_H_
