// Which segment is worth emptying: a choice by figures, without a disk.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_COMPACTION_POLICY_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_COMPACTION_POLICY_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"

namespace restante::embedded {

// What is known of one segment. Octets.
struct SegmentUse {
  uint64_t number = 0;
  bool newest = false;
  bool stuck = false;       // It could not be emptied; not to be tried again.
  uint64_t size = 0;        // Of all its groups.
  uint64_t body_bytes = 0;  // Of all bodies ever in it.
  uint64_t live_bytes = 0;  // Of those that are still held.
  // Of keys whose newest version it has, as last counted; unset: not counted yet,
  // and all may be.
  std::optional<uint64_t> live_key_bytes;
  // Of keys that it erases. They have to stay while an older segment may hold what
  // they erase.
  uint64_t erased_bytes = 0;
};

struct CompactionRules {
  // A segment is worth emptying from this share of dead octets on.
  double dead_share = 0.2;
  // For the newest there is more to do; it must also hold so many.
  uint64_t newest_dead_bytes = uint64_t{1} << 20;
  // Erased keys above this share of the log: the oldest is emptied, whatever it
  // holds, for only that lets them go. (Rationale: a key erased is 20 to 30 octets
  // for a message of thousands, so all of the log is written once more for a
  // multiple of its size that came and went.)
  double erased_share = 0.05;
  // Octets that may be written before any are given back: a segment in which more
  // lives is left alone.
  uint64_t room = UINT64_MAX;
};

// Octets that emptying the segment gives back; `oldest`: whether it is.
uint64_t DeadBytes(const SegmentUse& use, bool oldest);

// The segment with the largest dead share of those that are worth it. `uses`
// ascend by number.
std::optional<uint64_t> ChooseSegment(absl::Span<const SegmentUse> uses, const CompactionRules& rules);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_COMPACTION_POLICY_H_
