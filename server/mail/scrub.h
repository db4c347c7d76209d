// Scrubbing, with what is damaged by the names that people know.
#ifndef RESTANTE_SERVER_MAIL_SCRUB_H_
#define RESTANTE_SERVER_MAIL_SCRUB_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

struct NamedDamage {
  std::string file;
  uint64_t offset = 0;
  std::string problem;
  // `mailboxes/.../messages/42`, of those that cannot be read because of it.
  std::vector<std::string> messages;
};

// (A mailbox that is gone by now is in none of them.)
Task<std::vector<NamedDamage>> NameDamages(engine::Engine* engine, std::vector<engine::Damage> damages);

struct ScrubProgress {
  uint64_t checked_bytes = 0, total_bytes = 0;
  std::vector<NamedDamage> damages;  // Found since the last call.
};

// Engine::Scrub. `report` is called one call at a time, on any thread; it returns
// whether to go on. kCancelled if not; other errors of the engine.
Task<absl::Status> Scrub(engine::Engine* engine, uint64_t bytes_per_second,
                         std::function<bool(ScrubProgress)> report);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_SCRUB_H_
