// The reference model of the engine port: everything in maps under one mutex,
// gone with the process. For tests, and to say what the port means.
#ifndef RESTANTE_SERVER_ENGINE_MEMORY_MEMORY_ENGINE_H_
#define RESTANTE_SERVER_ENGINE_MEMORY_MEMORY_ENGINE_H_

#include <cstdint>
#include <memory>

#include "server/base/clock.h"
#include "server/engine/commit_entry.h"
#include "server/engine/engine.h"
#include "server/mail/quota.h"

namespace restante::engine {

struct MemoryOptions {
  QuotaRules rules;
  // Must outlive the engine.
  const Clock* clock = Clock::System();
  // What bodies may occupy, octets; each counts once, however many entries name it.
  uint64_t max_disk = quota::kUnlimited;
  // How long an open receipt serves a retry.
  uint64_t retry_window_seconds = kRetryWindowSeconds;
  // How long events are kept, of store time.
  uint64_t event_retention_seconds = kEventRetentionSeconds;
};

// Every callback is called before the function that took it returns, after the
// lock was released. Update functions run under the lock.
std::unique_ptr<Engine> NewMemoryEngine(MemoryOptions options);

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_MEMORY_MEMORY_ENGINE_H_
