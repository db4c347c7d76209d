// Upkeep: what is done to a whole store while mail flows, and what it finds.
#ifndef RESTANTE_SERVER_ENGINE_UPKEEP_H_
#define RESTANTE_SERVER_ENGINE_UPKEEP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace restante::engine {

// A place that does not hold what was written there.
struct Damage {
  std::string file;     // Its path.
  uint64_t offset = 0;  // Octets from its beginning.
  std::string problem;  // What is wrong, with the numbers.
  // What is lost with it: mailbox partition and UID. Empty: no message is, or `problem` says
  // among which they are.
  std::vector<std::pair<uint64_t, uint64_t>> messages;
};

// How far it is. `total_bytes` may change on the way, for mail flows.
struct UpkeepProgress {
  uint64_t done_bytes = 0, total_bytes = 0;
  std::vector<Damage> damages;  // Found since the last call.
};

// Called now and then, one call at a time, on any thread; returns whether to go
// on. If not, the work ends soon with kCancelled.
using UpkeepReport = std::function<bool(UpkeepProgress)>;

// A scrub that came to its end.
struct ScrubResult {
  int64_t end_us = 0;  // Wall clock, since 1970 UTC.
  int64_t duration_us = 0;
  uint64_t bytes = 0;                 // Read.
  uint64_t damages = 0;               // Found.
  std::vector<Damage> first_damages;  // A few of them.
};

// How far it is to settle what stores left open that ended without a word, and what of it
// is done.
struct SettleProgress {
  uint64_t checked_mailboxes = 0, total_mailboxes = 0;
  uint64_t dead_stores = 0;           // Runs that ended so, and were not swept after yet.
  uint64_t settled_reservations = 0;  // Of transactions that were theirs.
};
using SettleReport = std::function<bool(SettleProgress)>;  // As UpkeepReport.

// The same of removing bodies that they began, or put away, and that no message names.
struct SweepProgress {
  uint64_t checked_bodies = 0, total_bodies = 0;
  uint64_t removed_bodies = 0;
  uint64_t removed_bytes = 0;  // Of those that were whole; of the others nobody knows.
};
using SweepReport = std::function<bool(SweepProgress)>;  // As UpkeepReport.

// What a line about a problem ends with.
inline constexpr char kSetRight[] = "; set right";
inline constexpr char kNotSetRight[] = "; not set right";

// What is wrong, and was set right.
struct Repairs {
  std::vector<std::string> problems;  // One line each, which says whether it was.
  uint64_t repaired = 0;              // So many of them were.
};

struct BackupOptions {
  std::string directory;  // Absolute path on the engine's machine.
  // Whether files that are kept from an earlier backup are read again; their
  // names, sizes and ends are looked at in any case.
  bool verify_kept = false;
  uint64_t bytes_per_second = 0;  // At most; 0: as fast as it goes.
};

// What a backup consists of when it is done.
struct BackupSummary {
  uint64_t files = 0, bytes = 0;  // In all.
  uint64_t copied_bytes = 0;      // Written by this run.
  uint64_t linked_files = 0;      // Hard links to files of the store.
  uint64_t kept_files = 0;        // There from an earlier run.
  uint64_t bodies = 0;            // Message texts that it holds.
  uint64_t moment = 0;            // The store's last change in it, ascending.
};

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_UPKEEP_H_
