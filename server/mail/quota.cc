#include "server/mail/quota.h"

#include <algorithm>

#include "absl/numeric/int128.h"

namespace restante::quota {
namespace {

using absl::uint128;

// Sums of three amounts of 64 bits need 66.
uint128 Bound(const Scope& scope) { return uint128(scope.limit) + scope.grace; }
uint128 Taken(const Scope& scope) { return uint128(scope.used) + scope.reserved; }

}  // namespace

uint64_t Effective(const stored::Limit& mailbox, const stored::Limit& domain_default,
                   const stored::Limit& server_default) {
  for (const stored::Limit* limit : {&mailbox, &domain_default, &server_default}) {
    if (limit->kind() == stored::Limit::VALUE) return std::min(limit->value(), kUnlimited);
    if (limit->kind() == stored::Limit::UNLIMITED) return kUnlimited;
  }
  return kUnlimited;
}

uint64_t Room(const Scope& scope) {
  const uint128 bound = Bound(scope);
  const uint128 taken = Taken(scope);
  if (taken >= bound) return 0;
  return static_cast<uint64_t>(std::min<uint128>(bound - taken, absl::Uint128Max() >> 64));
}

std::optional<engine::Shortage> Lacks(const Scope& scope, uint64_t needed) {
  const uint128 bound = Bound(scope);
  if (Taken(scope) + needed <= bound) return std::nullopt;
  engine::Shortage shortage;
  shortage.scope = scope.kind;
  shortage.counts_messages = scope.counts_messages;
  shortage.limit = scope.limit;
  shortage.used = scope.used;
  shortage.reserved = scope.reserved;
  shortage.needed = needed;
  shortage.full_without_reservations = uint128(scope.used) + needed > bound;
  return shortage;
}

uint64_t Flat(const stored::Limit& limit) {
  switch (limit.kind()) {
    case stored::Limit::VALUE:
      return std::min(limit.value(), kUnlimited);
    case stored::Limit::UNLIMITED:
      return kUnlimited;
    default:
      return kInherited;
  }
}

uint32_t Threshold(const std::vector<uint32_t>& thresholds, uint32_t slack, uint32_t before,
                   std::initializer_list<Fill> fills) {
  const auto at_least = [&](uint32_t percent) {
    for (const Fill& fill : fills) {
      if (fill.used == 0 || fill.limit >= kUnlimited) continue;
      if (uint128(fill.used) * 100 >= uint128(fill.limit) * percent) return true;
    }
    return false;
  };
  uint32_t holds = 0;
  for (const uint32_t threshold : thresholds) {
    const bool held = threshold <= before;
    if (at_least(held && threshold > slack ? threshold - slack : threshold)) holds = threshold;
  }
  // One that is no threshold any more stays until it is left.
  if (before > holds && at_least(before > slack ? before - slack : before)) holds = before;
  return holds;
}

}  // namespace restante::quota
