// Renaming a mailbox: intent, directory, address (README.md, table).
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/directory_edit.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"
#include "server/mail/provisioning.h"
#include "server/mail/provisioning_internal.h"

namespace restante::mail {

using engine::PartitionId;

Task<absl::StatusOr<MailboxView>> Provisioning::RenameMailbox(Address from, Address to,
                                                              std::string request_id, std::string etag) {
  const std::string name = MailboxName(from);
  const std::string new_name = MailboxName(to);
  if (from == to) co_return InvalidField("new_name", "is the present name");

  // A repeated request finds the mailbox at its new address.
  absl::StatusOr<FoundMailbox> found = co_await FindMailbox(engine_, from);
  if (!found.ok()) {
    if (!absl::IsNotFound(found.status()) || request_id.empty()) co_return found.status();
    absl::StatusOr<FoundMailbox> there = co_await FindMailbox(engine_, to);
    if (!there.ok() || there->read.head->mailbox().rename_request_id() != request_id)
      co_return found.status();
    if (there->read.head->mailbox().renaming_to() == to.ToString()) {
      CO_RETURN_IF_ERROR(co_await FinishRename(there->number, from, to));
    }
    auto view = co_await ReadMailbox(there->number, to.ToString());
    co_return std::move(view);
  }
  const uint64_t number = found->number;

  // Another rename that was interrupted is finished first.
  const stored::MailboxHead& before = found->read.head->mailbox();
  if (!before.renaming_to().empty() && before.renaming_to() != to.ToString()) {
    CO_ASSIGN_OR_RETURN(Address other, ParseAddress(before.renaming_to()));
    absl::Status finished = co_await FinishRename(number, from, std::move(other));
    if (finished.ok()) co_return NotFound(name);  // It has another address now.
    if (absl::IsUnavailable(finished)) co_return std::move(finished);
  }

  CO_RETURN_IF_ERROR(co_await Update(
      engine_, PartitionId::Mailbox(number), {},
      [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        if (view.head == nullptr || view.head->mailbox().state() == stored::MailboxHead::DELETED ||
            view.head->mailbox().address() != from.ToString()) {
          return NotFound(name);
        }
        const std::string& other = view.head->mailbox().renaming_to();
        if (!other.empty() && other != to.ToString()) {
          return Error(absl::StatusCode::kAborted, "RENAME_UNDER_WAY", name,
                       absl::StrCat("is being renamed to ", MailboxName(other)));
        }
        const bool taken_up = other == to.ToString();
        const std::string current = EtagOf(number, view.head->settings_version());
        if (!taken_up && !etag.empty() && etag != current) return EtagMismatch(name, current);
        engine::Change change;
        change.head = *view.head;
        if (!taken_up) change.head.set_settings_version(view.head->settings_version() + 1);
        change.head.mutable_mailbox()->set_renaming_to(to.ToString());
        change.head.mutable_mailbox()->set_rename_request_id(request_id);
        return change;
      }));
  CO_RETURN_IF_ERROR(co_await FinishRename(number, from, to));
  auto view = co_await ReadMailbox(number, to.ToString());
  co_return std::move(view);
}

Task<absl::Status> Provisioning::FinishRename(uint64_t number, Address from, Address to) {
  // The directory decides, in one step. It may have been made before.
  absl::Status refusal;
  uint64_t domain = 0;
  std::vector<Address> addresses = {from, to};
  std::vector<std::string> keys = DirectoryEdit::KeysOf(addresses);
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       refusal = absl::OkStatus();
                                       ASSIGN_OR_RETURN(auto domain_entry, edit.Domain(to.domain));
                                       ASSIGN_OR_RETURN(auto from_entry, edit.Find(from));
                                       ASSIGN_OR_RETURN(auto to_entry, edit.Find(to));
                                       if (domain_entry) domain = domain_entry->domain();
                                       if (to_entry && to_entry->mailbox() == number && !to_entry->alias())
                                         return engine::NoChange{};
                                       if (!from_entry || from_entry->mailbox() != number ||
                                           from_entry->alias()) {
                                         refusal = NotFound(MailboxName(from));
                                       } else if (!domain_entry) {
                                         refusal = NotHosted(MailboxName(to), to.domain);
                                       } else if (to_entry && to_entry->mailbox() != number) {
                                         refusal = AddressTaken(MailboxName(to), to_entry->alias());
                                       }
                                       if (!refusal.ok()) return engine::NoChange{};
                                       stored::DirectoryAddress primary;
                                       primary.set_mailbox(number);
                                       stored::DirectoryAddress alias;
                                       alias.set_mailbox(number);
                                       alias.set_alias(true);
                                       alias.set_settings_version(1);
                                       alias.set_create_time_us(clock_->WallMicros());
                                       RETURN_IF_ERROR(edit.Put(to, primary));
                                       RETURN_IF_ERROR(edit.Put(from, alias));
                                       return std::move(edit).Finish();
                                     }));

  // Whoever knows what the directory says writes it down, or gives the intent up.
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Mailbox(number), {},
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       if (view.head == nullptr ||
                                           view.head->mailbox().state() == stored::MailboxHead::DELETED) {
                                         return engine::NoChange{};
                                       }
                                       engine::Change change;
                                       change.head = *view.head;
                                       stored::MailboxHead& head = *change.head.mutable_mailbox();
                                       if (head.renaming_to() == to.ToString()) head.clear_renaming_to();
                                       if (refusal.ok()) {
                                         head.set_address(to.ToString());
                                         head.set_domain(domain);
                                       }
                                       return change;
                                     }));
  co_return std::move(refusal);
}

}  // namespace restante::mail
