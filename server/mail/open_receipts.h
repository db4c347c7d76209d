// The open receipts of a mailbox (engine::CommitRequest), as verify sees them.
#ifndef RESTANTE_SERVER_MAIL_OPEN_RECEIPTS_H_
#define RESTANTE_SERVER_MAIL_OPEN_RECEIPTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

struct OpenReceiptProblems {
  std::vector<std::string> lines;
  bool erased = false;  // All of them.
};

// Finds those that no commit can have left: they cannot be read, or name a message
// that the mailbox never had. The second kind would swallow a message, so `repair`
// erases both. Errors: as the engine's.
Task<absl::StatusOr<OpenReceiptProblems>> CheckOpenReceipts(engine::Engine* engine, uint64_t mailbox,
                                                            bool repair);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_OPEN_RECEIPTS_H_
