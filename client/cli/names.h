// Addresses and resource names (proto/restante/v1/common.proto).
#ifndef RESTANTE_CLIENT_CLI_NAMES_H_
#define RESTANTE_CLIENT_CLI_NAMES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace restante::cli {

// The collection and the percent-encoded id. The store makes ids canonical. An
// `id` that is already such a name stays as it is.
std::string DomainName(absl::string_view id);
std::string MailboxName(absl::string_view address);
std::string AliasName(absl::string_view address);

// Of a folder, and of a message in it; the mailbox is given by name.
std::string FolderName(absl::string_view mailbox, absl::string_view folder);
std::string MessageName(absl::string_view mailbox, absl::string_view folder, uint64_t uid);
// The folder of a message given by name, percent-decoded.
std::string FolderOf(absl::string_view message);

// The address or domain that a name stands for, percent-decoded.
std::string IdOf(absl::string_view name);
// The same percent-encoded: holds no slash, so it can be a file's name.
std::string EncodedIdOf(absl::string_view name);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_NAMES_H_
