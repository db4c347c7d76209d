// Names of folders as directories of a Maildir++ tree: INBOX is the tree itself,
// `Lists/IETF` is `.Lists.IETF`.
//
// Levels are in modified UTF-7 (RFC 3501, 5.1.3), as Dovecot and Courier write them.
// A dot within a level is encoded, too (`&AC4-`, as Courier does), so that different
// folders have different directories. Dovecot, where no folder can have a dot, does not
// show such a one.
#ifndef RESTANTE_CLIENT_CLI_FOLDER_NAMES_H_
#define RESTANTE_CLIENT_CLI_FOLDER_NAMES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::cli {

inline constexpr absl::string_view kInbox = "INBOX";

// `name` is not INBOX.
std::string DirectoryOfFolder(absl::string_view name);

// The folder of a directory that begins with a dot. A level that is not modified UTF-7
// is taken as it is if it is UTF-8. kInvalidArgument: there is an empty level, or one
// that is neither.
absl::StatusOr<std::string> FolderOfDirectory(absl::string_view directory);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_FOLDER_NAMES_H_
