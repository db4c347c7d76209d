// The folders of a mailbox: their names, and how they come into being.
#ifndef RESTANTE_SERVER_MAIL_FOLDERS_H_
#define RESTANTE_SERVER_MAIL_FOLDERS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

namespace stored = ::restante::stored::v1;

// INBOX included. The head of a mailbox names them all and is written with every
// message.
inline constexpr int kMaxFolders = 1000;
inline constexpr size_t kMaxFolderOctets = 255;

// What MessageService says of folders' names (proto restante/v1/message.proto).
// kInvalidArgument with what is wrong.
absl::Status CheckFolderName(absl::string_view name);

// The folder of that name; kNotFound if the mailbox has none.
absl::StatusOr<stored::Folder> FindFolder(const stored::MailboxHead& head, absl::string_view folder);
// INBOX is always there.
bool HasFolder(const stored::MailboxHead& head, uint32_t id);
// The name of that folder; an id that is not there is INBOX's.
std::string NameOfFolder(const stored::MailboxHead& head, uint32_t id);

// kFailedPrecondition, TOO_MANY_FOLDERS: the mailbox may have no other.
absl::Status CheckFolderCount(const stored::MailboxHead& head);

// Makes a folder unless it is there, durably: a UIDVALIDITY is taken from the
// directory's head, then the mailbox's head names the folder. What a crash leaves
// between the two is a number that nobody gets. `name` was checked.
//
// Errors: kNotFound: no such mailbox (any more); as CheckFolderCount; those of the
// engine.
Task<absl::StatusOr<stored::Folder>> MakeFolder(engine::Engine* engine, uint64_t mailbox, std::string name);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_FOLDERS_H_
