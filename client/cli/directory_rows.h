// A directory as a file: what domains, mailboxes and aliases there shall be, one a
// row, as CSV (RFC 4180, with a line of column names) or as JSON, one object a line
// (`restante mailbox list --output json` writes such).
//
//     {"domain": "example.org", "default_bytes": "1G", "max_bytes": "500G"}
//     {"mailbox": "alice@example.org", "bytes": "2G", "state": "active"}
//     {"alias": "info@example.org", "mailbox": "alice@example.org"}
#ifndef RESTANTE_CLIENT_CLI_DIRECTORY_ROWS_H_
#define RESTANTE_CLIENT_CLI_DIRECTORY_ROWS_H_

#include <cstddef>
#include <istream>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace restante::cli {

struct DirectoryRow {
  enum class Kind { kDomain, kMailbox, kAlias };

  size_t line = 0;  // Where it begins, from 1.
  Kind kind = Kind::kMailbox;
  std::string name;  // `example.org`, `alice@example.org`
  // What is given, by the row's kind; a value is as the command line takes it:
  // - domain: default_bytes, default_messages, max_bytes, over_quota, catch_all
  // - mailbox: bytes, messages, state
  // - alias: mailbox
  std::map<std::string, std::string> fields;
};

const char* KindName(DirectoryRow::Kind kind);  // `mailbox`

// The key by which two names are the same to this program: without ASCII case.
std::string NameKey(absl::string_view name);

// Reads all rows. What `list` prints and nobody can set is skipped. `*problems`: one
// line for each row that is wrong, with its place (`FILE:LINE: ...`). kDataLoss when
// the file cannot be read.
absl::Status ReadDirectoryRows(std::istream& in, const std::string& file, std::vector<DirectoryRow>* rows,
                               std::vector<std::string>* problems);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_DIRECTORY_ROWS_H_
