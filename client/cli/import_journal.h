// What was imported, in a file on this side: for repeats that come so late that the
// store has forgotten what was deleted from it since. What is in the store, and what
// was in it less than a day ago, is known without it (importer.h), so it need not be
// synced, and may be lost.
#ifndef RESTANTE_CLIENT_CLI_IMPORT_JOURNAL_H_
#define RESTANTE_CLIENT_CLI_IMPORT_JOURNAL_H_

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "client/cli/local_files.h"

namespace restante::cli {

// A line for each message: its request id in hexadecimal. One file does for any number
// of mailboxes. Any thread may add.
class ImportJournal {
 public:
  // Adds what the file has to `known`; it is made if it is missing. Lines that are none
  // of ours, as a power cut may leave, count for nothing.
  absl::Status Open(const std::string& path, absl::flat_hash_set<std::string>* known);
  // Without effect unless it is open.
  absl::Status Add(const std::string& request_id) const;

 private:
  std::string path_;
  OpenFile file_{-1};
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_IMPORT_JOURNAL_H_
