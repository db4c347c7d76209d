// The arithmetic of quotas: who gets room, and why not. Pure, written once, used
// by every engine (this file and its source are a library of their own that
// knows nothing above or below it but engine/types.h).
#ifndef RESTANTE_SERVER_MAIL_QUOTA_H_
#define RESTANTE_SERVER_MAIL_QUOTA_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "restante/stored/v1/stored.pb.h"
#include "server/engine/types.h"

namespace restante::quota {

namespace stored = ::restante::stored::v1;

// "No bound." Large enough for any sum, small enough never to overflow one.
inline constexpr uint64_t kUnlimited = uint64_t{1} << 62;

// A limit after inheritance: the first of mailbox, domain default and server
// default that is not INHERIT; kUnlimited if none bounds it.
uint64_t Effective(const stored::Limit& mailbox, const stored::Limit& domain_default,
                   const stored::Limit& server_default);

// The same for limits as one number each, as Flat makes them.
inline constexpr uint64_t kInherited = UINT64_MAX;
uint64_t Flat(const stored::Limit& limit);
inline uint64_t Effective(uint64_t mailbox, uint64_t domain_default, uint64_t server_default) {
  for (const uint64_t limit : {mailbox, domain_default, server_default}) {
    if (limit != kInherited) return limit;
  }
  return kUnlimited;
}

// One bound and what counts against it. `grace` may be used by growth only.
struct Scope {
  engine::Shortage::Scope kind = engine::Shortage::Scope::kMailbox;
  bool counts_messages = false;
  uint64_t limit = kUnlimited;
  uint64_t used = 0;
  uint64_t reserved = 0;
  uint64_t grace = 0;
};

// What may still be promised: limit + grace - used - reserved, never below 0.
uint64_t Room(const Scope& scope);

// nullopt if `needed` more fits: used + reserved + needed <= limit + grace,
// without overflow for any values. Else why not.
std::optional<engine::Shortage> Lacks(const Scope& scope, uint64_t needed);

// --- thresholds ------------------------------------------------------------------

// What is measured against thresholds: the fullest counts.
struct Fill {
  uint64_t used = 0;
  uint64_t limit = kUnlimited;
};

// The highest of `thresholds` (percent, ascending) that holds, 0 for none. One holds
// from used >= threshold * limit on; one up to `before`, which held so far, until used
// falls `slack` percent of the limit below it. Where nothing is used none does.
uint32_t Threshold(const std::vector<uint32_t>& thresholds, uint32_t slack, uint32_t before,
                   std::initializer_list<Fill> fills);

}  // namespace restante::quota

#endif  // RESTANTE_SERVER_MAIL_QUOTA_H_
