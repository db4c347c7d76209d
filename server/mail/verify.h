// Checks the whole store while mail flows, and sets it right if it is told to.
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
  uint64_t repaired_problems = 0;     // Of all that were found.
  // Mailboxes whose usage is not the sum of their messages, and by how many octets.
  uint64_t drifted_mailboxes = 0, drifted_bytes = 0;
};

// Compares, in this order: each mailbox's usage with the sum of its messages, and
// its UIDs and MODSEQs with its head; each domain's usage with the sum of its
// mailboxes; the directory with mailboxes and domains; and what the engine can
// check (Engine::VerifyBodies). A difference between partitions counts only if it
// is found twice, for both sides may have changed in between.
//
// With `repair`, numbers are set right: usage, next UID and highest MODSEQ of a
// mailbox, addresses of a domain, and what the engine can (Engine::RepairBodies);
// each problem says whether it was. Nobody's mail is added or removed.
//
// `report` is called after each mailbox and step, one call at a time, on any
// thread; it returns whether to go on. kCancelled if not.
Task<absl::Status> Verify(engine::Engine* engine, std::function<bool(VerifyProgress)> report,
                          bool repair = false);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_VERIFY_H_
