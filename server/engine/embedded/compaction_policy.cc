#include "server/engine/embedded/compaction_policy.h"

#include <algorithm>

namespace restante::embedded {
namespace {

// Below this a log has no erased keys to speak of.
constexpr uint64_t kFewErasedBytes = uint64_t{1} << 20;

}  // namespace

uint64_t DeadBytes(const SegmentUse& use, bool oldest) {
  // Group records may be compressed: what lives in them is no more than they are.
  const uint64_t key_bytes = use.size - std::min(use.size, use.body_bytes);
  const uint64_t erased = oldest ? 0 : std::min(use.erased_bytes, key_bytes);
  const uint64_t live_keys =
      use.live_key_bytes ? std::min(*use.live_key_bytes + erased, key_bytes) : key_bytes;
  const uint64_t live = use.live_bytes + live_keys;
  return use.size - std::min(use.size, live);
}

std::optional<uint64_t> ChooseSegment(absl::Span<const SegmentUse> uses, const CompactionRules& rules) {
  const auto fits = [&](const SegmentUse& use, uint64_t dead) { return use.size - dead <= rules.room; };
  std::optional<uint64_t> best;
  double best_share = 0;
  uint64_t total = 0, erased = 0;
  for (size_t i = 0; i < uses.size(); ++i) {
    const SegmentUse& use = uses[i];
    const uint64_t dead = DeadBytes(use, i == 0);
    total += use.size;
    if (i > 0) erased += use.erased_bytes;
    if (use.stuck || (use.newest && dead < rules.newest_dead_bytes)) continue;
    // One without a group gives back its name.
    const double share = use.size == 0 ? 1 : static_cast<double>(dead) / static_cast<double>(use.size);
    if (share < rules.dead_share || share <= best_share || !fits(use, dead)) continue;
    best = use.number;
    best_share = share;
  }
  if (best) return best;
  if (uses.size() > 1 && !uses[0].stuck && fits(uses[0], DeadBytes(uses[0], true)) &&
      erased > kFewErasedBytes &&
      static_cast<double>(erased) > rules.erased_share * static_cast<double>(total)) {
    return uses[0].number;
  }
  return std::nullopt;
}

}  // namespace restante::embedded
