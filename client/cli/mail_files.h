// Copies messages of the store to a Maildir, so that doing it again makes no
// second copy.
#ifndef RESTANTE_CLIENT_CLI_MAIL_FILES_H_
#define RESTANTE_CLIENT_CLI_MAIL_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/maildir.h"
#include "restante/client.h"

namespace restante::cli {

absl::Time ArrivalOf(const v1::Message& message);

// The name of a message's file: its arrival, the mailbox's id and the UID, so it
// is the same at every attempt, and different for different messages of a store.
std::string FileNameOf(const v1::Mailbox& mailbox, const v1::Message& message);

// Reads the message and writes it to tmp. Nobody sees it before Publish. kNotFound: the
// store has it no more; kDataLoss: it is damaged there. Any thread.
absl::Status Stage(Client& client, const v1::Mailbox& mailbox, const v1::Message& message, Maildir& maildir);
absl::Status Publish(const v1::Mailbox& mailbox, const v1::Message& message, Maildir& maildir);

// Both, unless the Maildir has it. Returns whether it did; durable after
// maildir.Sync().
absl::StatusOr<bool> Save(Client& client, const v1::Mailbox& mailbox, const v1::Message& message,
                          Maildir& maildir);

// Whether the Maildir holds exactly this message: reads the file back and
// compares size and CRC32C. kNotFound, kDataLoss, naming the file.
absl::Status Compare(const v1::Mailbox& mailbox, const v1::Message& message, const Maildir& maildir);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_MAIL_FILES_H_
