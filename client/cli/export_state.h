// How far an incremental export into a Maildir has come: a small file in it.
//
// UIDs ascend, and a message that is seen means that all before it were: so one number
// says what was exported, whatever a mail server has done with the files since: moved,
// flagged, filed elsewhere, deleted. A message is exported once in its life.
//
// A page of messages goes out in steps, each durable before the next:
//
//     1. files in tmp                                   nobody sees them
//     2. state: uid = the page's last, moving_from = the last of the page before
//     3. each file renamed to where it is seen
//
// A crash behind 1 leaves files in tmp, which the next run writes again. A crash behind
// 2: what is still in tmp is renamed by the next run; what is not has been seen, and may
// be deleted since. Names found in the Maildir would not do for that.
#ifndef RESTANTE_CLIENT_CLI_EXPORT_STATE_H_
#define RESTANTE_CLIENT_CLI_EXPORT_STATE_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace restante::cli {

struct ExportState {
  // Of another UIDVALIDITY than the mailbox has now (after a restore) it says nothing.
  uint32_t uid_validity = 0;
  uint64_t uid = 0;
  // Step 3 may not be done for messages above this one, up to `uid`.
  uint64_t moving_from = 0;
  // Below `uid`, and could not be read: the next run tries them again.
  std::set<uint64_t> unread;

  // Of a file that is not there: zeros. kFailedPrecondition: it is no such file.
  static absl::StatusOr<ExportState> Read(const std::string& path);
  absl::Status Write(const std::string& path) const;
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_EXPORT_STATE_H_
