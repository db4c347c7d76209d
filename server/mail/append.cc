#include "server/mail/append.h"

#include <openssl/rand.h>

#include <map>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "restante/v1/common.pb.h"
#include "server/mail/directory.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/folders.h"
#include "server/mail/recipient_decision.h"
#include "server/mail/transaction_id.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

absl::Status Refused(v1::Outcome outcome, absl::string_view resource, absl::string_view text,
                     std::map<std::string, std::string> metadata = {}) {
  const std::string name = v1::Outcome_Name(outcome);
  metadata["outcome"] = name;
  return Error(absl::StatusCode::kFailedPrecondition, name.substr(sizeof("OUTCOME_") - 1), resource, text,
               std::move(metadata));
}

absl::Status NoRoom(const engine::Shortage& shortage, absl::string_view resource) {
  const uint64_t taken = shortage.used + shortage.reserved;
  const uint64_t left = shortage.limit > taken ? shortage.limit - taken : 0;
  const absl::string_view unit = shortage.counts_messages ? " messages" : " octets";
  return Refused(OutcomeOf(shortage, false), resource,
                 absl::StrCat("needs ", shortage.needed, unit, ", ", left, " left of ", shortage.limit),
                 {{"scope", v1::Shortage::Scope_Name(ToShortage(shortage).scope())},
                  {"limit", absl::StrCat(shortage.limit)},
                  {"used", absl::StrCat(shortage.used)},
                  {"reserved", absl::StrCat(shortage.reserved)},
                  {"needed", absl::StrCat(shortage.needed)}});
}

}  // namespace

Append::Append(Messages* messages) : messages_(messages), engine_(messages->engine()) {}

Append::~Append() {
  writer_.reset();
  if (open_) engine_->Close(id_);
}

// OK if a receipt is that of this request.
absl::Status Append::CheckRepeated(const stored::Receipt& receipt) const {
  const std::string name = MailboxName(address_);
  if (!receipt.committed()) {
    return Error(absl::StatusCode::kAborted, "REQUEST_ID_ABORTED", name,
                 "the request id was declared not committed; it never commits");
  }
  if (receipt.recipients_size() != 1 || receipt.recipients(0).mailbox() != mailbox_ ||
      receipt.size() != header_.size || (header_.crc32c && receipt.crc32c() != *header_.crc32c)) {
    return InvalidField("header.request_id", "was used for another message");
  }
  return absl::OkStatus();
}

absl::Status Append::CheckState(const stored::MailboxHead& head) const {
  if (head.state() == stored::MailboxHead::HOLD && !header_.while_on_hold) {
    return Refused(v1::OUTCOME_MAILBOX_ON_HOLD, MailboxName(address_), "is on hold");
  }
  if (head.state() == stored::MailboxHead::DISABLED) {
    return Refused(v1::OUTCOME_MAILBOX_DISABLED, MailboxName(address_), "is disabled");
  }
  return absl::OkStatus();
}

Task<absl::StatusOr<std::optional<MessageView>>> Append::Begin(AppendHeader header) {
  header_ = std::move(header);
  CO_RETURN_IF_ERROR(CheckHeader(header_));
  CO_ASSIGN_OR_RETURN(FoundMailbox found, co_await FindMailbox(engine_, header_.parent.mailbox));
  const stored::MailboxHead& head = found.read.head->mailbox();
  mailbox_ = found.number;
  address_ = head.address();
  const std::string name = MailboxName(address_);
  folder_name_ = header_.parent.folder.value_or(std::string(kInbox));
  if (const absl::StatusOr<stored::Folder> there = FindFolder(head, folder_name_); there.ok()) {
    folder_ = there->id();
  }
  std::string request_id = header_.request_id;
  if (request_id.empty()) {
    request_id.resize(16);
    if (RAND_bytes(reinterpret_cast<uint8_t*>(request_id.data()), 16) != 1) {
      co_return absl::InternalError("the system gives no random octets");
    }
  }
  id_ = MakeTransactionId(header_.caller, request_id);
  if (header_.size > messages_->max_message()) {
    co_return Refused(
        v1::OUTCOME_MESSAGE_TOO_LARGE, name,
        absl::StrCat("the message has ", header_.size, " octets, ", messages_->max_message(), " are allowed"),
        {{"scope", "MESSAGE"},
         {"limit", absl::StrCat(messages_->max_message())},
         {"needed", absl::StrCat(header_.size)}});
  }

  CO_ASSIGN_OR_RETURN(engine::OpenResult opened,
                      co_await Await<absl::StatusOr<engine::OpenResult>>(
                          [this](auto done) { engine_->Open(id_, header_.size, std::move(done)); }));
  if (std::holds_alternative<engine::InUse>(opened)) {
    co_return Error(absl::StatusCode::kAborted, "REQUEST_ID_IN_USE", name, "the request id is in use now");
  }
  if (const auto* receipt = std::get_if<stored::Receipt>(&opened)) {
    CO_RETURN_IF_ERROR(CheckRepeated(*receipt));
    CO_ASSIGN_OR_RETURN(MessageView view, co_await Stored(*receipt));
    co_return std::optional<MessageView>(std::move(view));
  }
  if (const auto* shortage = std::get_if<engine::Shortage>(&opened)) co_return NoRoom(*shortage, name);
  open_ = true;

  // A repeated request is answered above even if mail is not taken any more.
  CO_RETURN_IF_ERROR(CheckState(head));
  if (!folder_) CO_RETURN_IF_ERROR(CheckFolderCount(head));
  engine::Demand demand;
  demand.exempt = header_.ignore_quota;
  demand.bytes = header_.size;
  demand.at_least = header_.size;
  absl::StatusOr<engine::ReserveResult> reserved = co_await Await<absl::StatusOr<engine::ReserveResult>>(
      [this, demand](auto done) { engine_->Reserve(id_, mailbox_, demand, std::move(done)); });
  if (absl::IsNotFound(reserved.status())) co_return NotFound(name);
  if (!reserved.ok()) co_return reserved.status();
  if (const auto* shortage = std::get_if<engine::Shortage>(&*reserved)) co_return NoRoom(*shortage, name);
  if (const auto* many = std::get_if<engine::TooManyDeliveries>(&*reserved)) {
    co_return Error(absl::StatusCode::kUnavailable, "TOO_MANY_DELIVERIES", name,
                    absl::StrCat(many->limit, " deliveries are under way"));
  }
  CO_ASSIGN_OR_RETURN(engine::Confirmed confirmed,
                      co_await Await<absl::StatusOr<engine::Confirmed>>(
                          [this](auto done) { engine_->Confirm(id_, std::move(done)); }));
  if (confirmed.disk) co_return NoRoom(*confirmed.disk, name);
  if (!confirmed.lost.empty()) co_return NoRoom(confirmed.lost.front().shortage, name);
  writer_ = engine_->NewBody(header_.size);
  co_return std::optional<MessageView>();
}

Task<absl::Status> Append::Write(std::string octets) {
  if (octets.size() > header_.size - received_) {
    co_return InvalidField("chunk",
                           absl::StrCat("more octets than the ", header_.size, " that were announced"));
  }
  received_ += octets.size();
  absl::Status status = co_await Await<absl::Status>(
      [this, &octets](auto done) { writer_->Append(std::move(octets), std::move(done)); });
  co_return std::move(status);
}

stored::Entry Append::NewEntry() const {
  stored::Entry entry;
  entry.set_arrival_us(header_.arrival_us.value_or(messages_->clock()->WallMicros()));
  entry.set_folder(*folder_);
  entry.set_flags(header_.flags);
  for (const std::string& keyword : header_.keywords) entry.add_keywords(keyword);
  entry.set_exempt(header_.ignore_quota);
  entry.mutable_envelope()->set_sender(header_.sender);
  entry.mutable_envelope()->set_recipient(header_.recipient.empty() ? address_ : header_.recipient);
  entry.set_request_id(header_.request_id);
  return entry;
}

Task<absl::StatusOr<MessageView>> Append::Finish() {
  if (received_ != header_.size) {
    co_return InvalidField("header.size_bytes",
                           absl::StrCat("is ", header_.size, ", ", received_, " octets came"));
  }
  using Body = std::unique_ptr<engine::StagedBody>;
  CO_ASSIGN_OR_RETURN(Body body, co_await Await<absl::StatusOr<Body>>(
                                     [this](auto done) { writer_->Finish(std::move(done)); }));
  if (header_.crc32c && *header_.crc32c != body->crc32c()) {
    co_return InvalidField("header.crc32c", absl::StrCat("is ", absl::Hex(*header_.crc32c, absl::kZeroPad8),
                                                         ", the octets that came have ",
                                                         absl::Hex(body->crc32c(), absl::kZeroPad8)));
  }
  if (!folder_) {
    absl::StatusOr<stored::Folder> made = co_await MakeFolder(engine_, mailbox_, folder_name_);
    if (absl::IsNotFound(made.status())) co_return NotFound(MailboxName(address_));
    if (!made.ok()) co_return made.status();
    folder_ = made->id();
  }
  engine::CommitRequest request;
  request.transaction = id_;
  request.entries.emplace_back(mailbox_, NewEntry());
  request.unmeasured = header_.unmeasured;
  request.receipt.set_committed(true);
  request.receipt.set_size(body->size());
  request.receipt.set_crc32c(body->crc32c());
  stored::ReceiptRecipient& recipient = *request.receipt.add_recipients();
  recipient.set_address(address_);
  recipient.set_decided(v1::OUTCOME_OK);
  recipient.set_outcome(v1::OUTCOME_OK);
  recipient.set_mailbox(mailbox_);
  recipient.set_mailbox_name(MailboxName(address_));
  recipient.set_reserved_bytes(header_.size);
  request.body = std::move(body);
  open_ = false;  // Commit ends the transaction, whatever comes of it.
  absl::StatusOr<stored::Receipt> receipt = co_await Await<absl::StatusOr<stored::Receipt>>(
      [this, &request](auto done) { engine_->Commit(std::move(request), std::move(done)); });
  if (absl::IsFailedPrecondition(receipt.status())) co_return NotFound(MailboxName(address_));
  if (absl::IsAborted(receipt.status())) {
    co_return Error(absl::StatusCode::kUnavailable, "WRITE_ERROR", MailboxName(address_),
                    receipt.status().message());
  }
  if (!receipt.ok()) co_return receipt.status();
  auto view = co_await Stored(*std::move(receipt));
  co_return std::move(view);
}

// The message of a receipt; without what only its entry knows if that was
// expunged meanwhile.
Task<absl::StatusOr<MessageView>> Append::Stored(stored::Receipt receipt) const {
  const uint64_t uid = receipt.recipients(0).uid();
  MessageView view;
  view.mailbox = address_;
  view.folder = folder_name_;
  const std::string key = engine::EntryKey(uid);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                      co_await Read(engine_, PartitionId::Mailbox(mailbox_), std::move(keys)));
  if (const auto it = read.values.find(key); it != read.values.end()) {
    CO_ASSIGN_OR_RETURN(view.entry, ParseEntry(it->second));
    // A repeated request may name another folder than the first.
    if (read.head) view.folder = NameOfFolder(read.head->mailbox(), view.entry.folder());
  } else {
    view.entry.set_uid(uid);
    view.entry.set_size(receipt.size());
    view.entry.set_crc32c(receipt.crc32c());
    view.entry.set_transaction_id(std::string(id_.octets.begin(), id_.octets.end()));
    view.entry.set_request_id(header_.request_id);
  }
  co_return std::move(view);
}

}  // namespace restante::mail
