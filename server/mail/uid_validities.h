// UIDVALIDITY (RFC 9051, 2.3.1.1) after a restore.
#ifndef RESTANTE_SERVER_MAIL_UID_VALIDITIES_H_
#define RESTANTE_SERVER_MAIL_UID_VALIDITIES_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

// Gives every folder of every mailbox a new UIDVALIDITY, and returns how many there
// are: what was stored between the backup and its restore is gone, so its UIDs will
// be given to other messages. To be called once, before anybody else uses the
// store; interrupted, it is called again on a new copy of the backup.
//
// The new numbers are above all that the lost time line can have given, which
// nobody knows any more: it counted on from where the backup does, at less than one
// a second, or in bursts of less than a million. Both times are microseconds since
// 1970; another restore of the same backup, a second later, gives other numbers.
//
// kFailedPrecondition: the 32 bits do not suffice.
Task<absl::StatusOr<uint64_t>> RenewUidValidities(engine::Engine* engine, int64_t backup_us,
                                                  int64_t restore_us);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_UID_VALIDITIES_H_
