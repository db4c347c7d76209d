#include "client/cli/mail_files.h"

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/local_files.h"
#include "client/cli/message_file.h"
#include "client/cli/names.h"
#include "client/lib/crc32c.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

// Of a file: not found are messages that the store has no more, and nothing else.
absl::Status Local(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::FailedPreconditionError(status.message()) : status;
}

}  // namespace

std::string FileNameOf(const v1::Mailbox& mailbox, const v1::Message& message) {
  return absl::StrCat(message.arrival_time().seconds(), ".M", EncodedIdOf(MailboxName(mailbox.id())), "V",
                      mailbox.uid_validity(), "U", message.uid(), ".restante");
}

absl::Time ArrivalOf(const v1::Message& message) {
  return absl::FromUnixSeconds(message.arrival_time().seconds()) +
         absl::Nanoseconds(message.arrival_time().nanos());
}

absl::Status Stage(Client& client, const v1::Mailbox& mailbox, const v1::Message& message, Maildir& maildir) {
  ASSIGN_OR_RETURN(std::string text, FetchMessage(client, message));
  const std::string recipient = message.recipient().empty() ? IdOf(mailbox.name()) : message.recipient();
  return Local(maildir.Stage(FileNameOf(mailbox, message),
                             ToMessageFile(message.sender(), recipient, std::move(text)),
                             ArrivalOf(message)));
}

absl::Status Publish(const v1::Mailbox& mailbox, const v1::Message& message, Maildir& maildir) {
  return Local(maildir.Publish(FileNameOf(mailbox, message), FolderOf(message.name()), message.flags(),
                               message.keywords()));
}

absl::StatusOr<bool> Save(Client& client, const v1::Mailbox& mailbox, const v1::Message& message,
                          Maildir& maildir) {
  if (!maildir.Find(FileNameOf(mailbox, message)).empty()) return false;
  RETURN_IF_ERROR(Stage(client, mailbox, message, maildir));
  RETURN_IF_ERROR(Publish(mailbox, message, maildir));
  return true;
}

absl::Status Compare(const v1::Mailbox& mailbox, const v1::Message& message, const Maildir& maildir) {
  std::string path = maildir.Find(FileNameOf(mailbox, message));
  if (path.empty()) {
    return absl::NotFoundError(absl::StrCat(maildir.path(), ": UID ", message.uid(), " has gone"));
  }
  ASSIGN_OR_RETURN(std::string file, ReadWholeFile(path));
  const FileMessage held = ParseMessageFile(file);
  if (!held.has_envelope || held.text.size() != message.size_bytes() ||
      client_internal::ExtendCrc32c(0, held.text) != message.crc32c()) {
    return absl::DataLossError(absl::StrCat(path, ": holds ", held.text.size(),
                                            " bytes of text that are not those of the message (",
                                            message.size_bytes(), " bytes)"));
  }
  return absl::OkStatus();
}

}  // namespace restante::cli
