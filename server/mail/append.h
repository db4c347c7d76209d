// Adding one message to a mailbox, as IMAP APPEND does: a transaction of one
// recipient, decided before an octet is taken.
#ifndef RESTANTE_SERVER_MAIL_APPEND_H_
#define RESTANTE_SERVER_MAIL_APPEND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/append_header.h"
#include "server/mail/messages.h"

namespace restante::mail {

// Begin, then Write for each piece, then Finish; each when the one before was
// done. Destroyed before Finish (not while a call runs), it leaves nothing
// behind. One owner.
class Append {
 public:
  explicit Append(Messages* messages);
  ~Append();
  Append(const Append&) = delete;
  Append& operator=(const Append&) = delete;

  // Reserves room for the whole message. With a value the request is a repeated
  // one and was answered already: nothing else is to be called.
  //
  // Errors: kInvalidArgument: larger than the store takes at all, or the request
  // id belongs to another message, or the header is not as it must be;
  // kFailedPrecondition: no room, on hold, disabled (the details say `outcome` and
  // amounts), or no further folder may be made; kAborted: the request id is in use or
  // was declared not committed; kUnavailable.
  Task<absl::StatusOr<std::optional<MessageView>>> Begin(AppendHeader header);

  // kInvalidArgument: more than was announced.
  Task<absl::Status> Write(std::string octets);

  // Stores the message, and makes its folder first if there is none; durable when
  // done. kInvalidArgument: size or CRC32C are not those announced.
  Task<absl::StatusOr<MessageView>> Finish();

 private:
  Task<absl::StatusOr<MessageView>> Stored(stored::Receipt receipt) const;
  absl::Status CheckRepeated(const stored::Receipt& receipt) const;
  absl::Status CheckState(const stored::MailboxHead& head) const;
  stored::Entry NewEntry() const;

  Messages* const messages_;
  engine::Engine* const engine_;
  AppendHeader header_;
  engine::TransactionId id_;
  uint64_t mailbox_ = 0;
  std::string address_;  // Canonical.
  std::string folder_name_;
  std::optional<uint32_t> folder_;  // Nothing: it has to be made.
  bool open_ = false;
  uint64_t received_ = 0;
  std::unique_ptr<engine::BodyWriter> writer_;
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_APPEND_H_
