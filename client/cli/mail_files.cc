#include "client/cli/mail_files.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "client/cli/names.h"
#include "client/lib/crc32c.h"
#include "server/base/status_macros.h"

namespace restante::cli {

std::string FileNameOf(const v1::Mailbox& mailbox, const v1::Message& message) {
  return absl::StrCat(message.arrival_time().seconds(), ".M", EncodedIdOf(MailboxName(mailbox.id())), "V",
                      mailbox.uid_validity(), "U", message.uid(), ".restante");
}

absl::StatusOr<bool> Save(Client& client, const v1::Mailbox& mailbox, const v1::Message& message,
                          Maildir& maildir) {
  std::string name = FileNameOf(mailbox, message);
  if (!maildir.Find(name).empty()) return false;
  ASSIGN_OR_RETURN(std::string text, FetchMessage(client, message));
  absl::Time arrival = absl::FromUnixSeconds(message.arrival_time().seconds()) +
                       absl::Nanoseconds(message.arrival_time().nanos());
  std::string recipient = message.recipient().empty() ? IdOf(mailbox.name()) : message.recipient();
  RETURN_IF_ERROR(maildir.Write(name, ToMaildirFile(message.sender(), recipient, std::move(text)), arrival));
  return true;
}

absl::Status Compare(const v1::Mailbox& mailbox, const v1::Message& message, const Maildir& maildir) {
  std::string path = maildir.Find(FileNameOf(mailbox, message));
  if (path.empty()) {
    return absl::NotFoundError(absl::StrCat(maildir.path(), ": UID ", message.uid(), " has gone"));
  }
  ASSIGN_OR_RETURN(std::string file, ReadWholeFile(path));
  absl::StatusOr<std::string> text = FromMaildirFile(std::move(file));
  if (!text.ok()) return Annotate(text.status(), path);
  if (text->size() != message.size_bytes() || client_internal::ExtendCrc32c(0, *text) != message.crc32c()) {
    return absl::DataLossError(absl::StrCat(path, ": holds ", text->size(),
                                            " bytes of text that are not those of the message (",
                                            message.size_bytes(), " bytes)"));
  }
  return absl::OkStatus();
}

}  // namespace restante::cli
