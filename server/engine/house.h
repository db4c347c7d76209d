// Where a store is at home: what a move (moving/move.h) leaves in the directories of both
// places, and what everybody looks at before he serves a store.
//
//     the place it leaves      the place it goes to
//     MOVING_OUT               (empty)
//     MOVING_OUT               MOVING_IN       being filled, and compared
//     MOVED_OUT                MOVING_IN       the commit point: all of it is there
//     MOVED_OUT                MOVED_IN        to be served
//
// So at any moment one of the two may be served at most, and whoever finds the one that
// may not is told of the other.
#ifndef RESTANTE_SERVER_ENGINE_HOUSE_H_
#define RESTANTE_SERVER_ENGINE_HOUSE_H_

#include <string>

#include "absl/status/status.h"
#include "server/engine/types.h"

namespace restante::engine {

// The key in the directory; no other begins with it.
inline constexpr char kHouseKey[] = "h";

// kFailedPrecondition, one line that names the other place and what to do: the store must
// not be served here.
absl::Status WhyNotServed(const stored::House& house);

// A time, in microseconds since 1970, as people write it: `2026-11-27 06:00:00 UTC`.
std::string TimeText(int64_t time_us);

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_HOUSE_H_
