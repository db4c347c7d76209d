// A mailbox as a Maildir.
#ifndef RESTANTE_CLIENT_CLI_EXPORT_MAILDIR_H_
#define RESTANTE_CLIENT_CLI_EXPORT_MAILDIR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/context.h"
#include "client/cli/export_state.h"
#include "client/cli/local_files.h"
#include "client/cli/maildir.h"
#include "client/cli/output.h"

namespace restante::cli {

class MaildirExport {
 public:
  MaildirExport(Context& context, v1::Mailbox mailbox, const std::string& path, bool incremental);

  // Writes what the Maildir does not have; incrementally, what no run before wrote. A
  // damaged message is named and counted, and does not stop it.
  absl::Status Run();

  struct Figures {
    uint64_t written = 0, bytes = 0, present = 0, damaged = 0;
  };
  const Figures& figures() const { return figures_; }

 private:
  // Many at once; what became of each.
  std::vector<absl::Status> StageAll(const std::vector<const v1::Message*>& messages);
  absl::Status ExportPage(const v1::ListMessagesResponse& page);
  absl::Status Lock();
  absl::Status FinishMoving();
  absl::Status RetryUnread();
  absl::Status Damaged(const absl::Status& status);
  void Wrote(const v1::Message& message);

  Context& context_;
  const v1::Mailbox mailbox_;
  const bool incremental_;
  Maildir maildir_;
  OpenFile lock_{-1};  // On the directory, while it runs incrementally.
  const std::string state_path_;
  ExportState state_;
  Figures figures_;
  Progress progress_;
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_EXPORT_MAILDIR_H_
