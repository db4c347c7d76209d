// What a check finds that can be set right.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_REPAIR_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_REPAIR_H_

#include <cstddef>
#include <cstdint>

#include "server/engine/embedded/engine_impl.h"

namespace restante::embedded {

// Numbers are set right by what they were wrong by at the moment of the check:
// every change since has kept the difference as it was.
struct EmbeddedEngine::Repair {
  size_t problem = 0;  // Which of those found.
  enum Kind { kReferences, kFigures, kFile } kind = kReferences;
  uint64_t number = 0;  // Of a body, or a segment.
  // What is missing.
  int64_t references = 0;
  int64_t live_bodies = 0, live_bytes = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_ENGINE_REPAIR_H_
