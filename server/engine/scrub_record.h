// What is kept of a scrub that came to its end.
#ifndef RESTANTE_SERVER_ENGINE_SCRUB_RECORD_H_
#define RESTANTE_SERVER_ENGINE_SCRUB_RECORD_H_

#include "restante/stored/v1/stored.pb.h"
#include "server/engine/types.h"
#include "server/engine/upkeep.h"

namespace restante::engine {

// Counts it, and keeps it if it is one of the first.
void AddDamage(const Damage& damage, stored::ScrubRecord::Result* to);

ScrubResult FromRecord(const stored::ScrubRecord::Result& from);

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_SCRUB_RECORD_H_
