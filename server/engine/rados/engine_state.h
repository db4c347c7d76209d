// What the engine keeps of its work (engine_impl.h), and passes from step to step.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_ENGINE_STATE_H_
#define RESTANTE_SERVER_ENGINE_RADOS_ENGINE_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "restante/stored/v1/cluster.pb.h"
#include "server/engine/engine.h"

namespace restante::rados {

namespace stored = ::restante::stored::v1;

// Octets: what has no limit keeps having none.
inline uint64_t Add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

// What an open transaction of this store holds in one mailbox.
struct Hold {
  uint64_t bytes = 0;
  bool exempt = false;
  bool held = false;          // The reservation is in the mailbox, as far as is known here.
  bool firm = false;          // Confirmed; nobody of this store takes it,
  bool firm_written = false;  // and nobody of any other.
  int64_t made_us = 0;        // Monotonic.
  uint64_t order = 0;         // Ascends with each that is made.
};

struct Transaction {
  uint64_t attempt = 0;
  bool committing = false;
  bool confirmed = false;
  std::map<uint64_t, Hold> holds;  // By mailbox.
  // Wait for the end of a commit.
  std::vector<engine::Done<bool>> waiting;
};

// --- domains ---------------------------------------------------------------------------

struct Member {
  uint64_t mailbox = 0;
  stored::Grant grant;  // As the domain says.
};

// Of all mailboxes of a domain.
struct DomainSums {
  uint64_t used_bytes = 0, used_messages = 0, mailboxes = 0;
  engine::Reserved reserved;
};

// A look at all of them.
struct Survey {
  DomainSums sums;
  uint64_t freed = 0;  // Was called in.
};

// Surveys of a domain that go on, and who waits for the next.
struct Surveys {
  struct Waiting {
    uint64_t but = 0;
    engine::Done<absl::StatusOr<Survey>> done;
  };
  bool running = false;
  std::vector<Waiting> waiting;
};

// More is to be granted to a mailbox.
struct Raise {
  uint64_t domain = 0, mailbox = 0;
  uint64_t least = 0, wanted = 0;  // What the mailbox is to be granted in all.
  uint64_t grace = 0;
  bool forced = false;  // Also beyond the domain's limit.
};

// How far a domain's pool is from a threshold, by what this store knows.
struct Gauge {
  int64_t change = 0;        // Octets since they were summed,
  int64_t up = 0, down = 0;  // and how many more, or less, would cross.
};

// --- partitions ------------------------------------------------------------------------

// Rows of `k/` and `b/` that stand in a partition's own object.
struct OwnRows {
  uint64_t rows = 0;
  // Where most of them are: ranges of one prefix, and at most so many rows in all.
  std::string from, to;
  uint64_t copied = 0;
};

// What became of a message in one mailbox.
struct Placing {
  stored::Placed placed;
  bool is_placed = false;
  bool suppressed = false;
  bool crossed = false;
  uint64_t domain = 0;     // Of the mailbox.
  int64_t octets = 0;      // That it has more.
  uint64_t must_know = 0;  // Domain that has to be read before.
};

// A foreign reservation, or a store's life sign, as it has been since a moment (monotonic).
struct Seen {
  std::string value;
  int64_t since_us = 0;
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_ENGINE_STATE_H_
