// Adding up one mailbox, while mail flows, at one moment.
#ifndef RESTANTE_SERVER_MAIL_AUDIT_H_
#define RESTANTE_SERVER_MAIL_AUDIT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/entries.h"

namespace restante::mail {

struct Audit {
  EntrySums recorded, actual;  // At the same moment.
  bool corrected = false;      // They differed, and the record was set right.
  // Entries that stand under another key than theirs, or are of a folder that is not
  // there, one line each.
  std::vector<std::string> misplaced;
  // UIDs and MODSEQs that are still to be given, one line each, and what would
  // have to be given next instead.
  std::vector<std::string> too_early;
  uint64_t uid_next = 0, highest_modseq = 0;
  bool raised = false;  // There were such, and the head was set right.

  bool Clean() const { return recorded == actual && misplaced.empty() && too_early.empty(); }
};

// Reads the entries page by page and adds those that came meanwhile in the update
// that compares; begins again when one was expunged meanwhile (MODSEQ rises by
// one for each message added and each expunge, UIDNEXT for each message only).
// Corrects the record, and raises what is given next, only with `correct`.
//
// Errors: kNotFound: no such partition; kUnavailable: the mailbox changed in each of
// ten attempts.
Task<absl::StatusOr<Audit>> AuditMailbox(engine::Engine* engine, uint64_t mailbox, bool correct);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_AUDIT_H_
