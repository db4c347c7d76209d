// Checks the whole store while mail flows; changes nothing.
#ifndef RESTANTE_SERVER_MAIL_VERIFY_H_
#define RESTANTE_SERVER_MAIL_VERIFY_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

struct VerifyProgress {
  uint64_t checked_mailboxes = 0, total_mailboxes = 0;
  uint64_t checked_messages = 0, checked_bodies = 0;
  std::vector<std::string> problems;  // Found since the last call.
};

// Compares, in this order: each mailbox's usage with the sum of its messages, and
// its UIDs and MODSEQs with its head; each domain's usage with the sum of its
// mailboxes; the directory with mailboxes and domains; and what the engine can
// check (Engine::VerifyBodies). A difference between partitions counts only if it
// is found twice, for both sides may have changed in between.
//
// `report` is called after each mailbox and step, one call at a time, on any
// thread; it returns whether to go on. kCancelled if not.
Task<absl::Status> Verify(engine::Engine* engine, std::function<bool(VerifyProgress)> report);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_VERIFY_H_
