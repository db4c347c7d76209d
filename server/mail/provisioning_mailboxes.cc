#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/directory_edit.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"
#include "server/mail/provisioning.h"
#include "server/mail/provisioning_internal.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

void Apply(const MailboxSettings& settings, stored::MailboxHead& head) {
  if (settings.max_bytes) *head.mutable_max_bytes() = *settings.max_bytes;
  if (settings.max_messages) *head.mutable_max_messages() = *settings.max_messages;
  if (settings.state) head.set_state(*settings.state);
}

}  // namespace

absl::Status NotHosted(absl::string_view resource, absl::string_view domain) {
  return Error(absl::StatusCode::kFailedPrecondition, "DOMAIN_NOT_HOSTED", resource,
               absl::StrCat(DomainName(domain), " is not hosted"), {{"domain", DomainName(domain)}});
}

absl::Status AddressTaken(absl::string_view resource, bool by_alias) {
  return Error(absl::StatusCode::kAlreadyExists, "ADDRESS_EXISTS", resource,
               by_alias ? "an alias has the address" : "a mailbox has the address");
}

// An address that somebody else has got: the first answer if it was the same
// request, else ALREADY_EXISTS.
Task<absl::StatusOr<MailboxView>> Provisioning::AnswerRepeatedCreate(Address address,
                                                                     std::string request_id) {
  absl::StatusOr<FoundMailbox> found = co_await FindMailbox(engine_, address);
  if (!found.ok() && !absl::IsNotFound(found.status())) co_return found.status();
  const bool is_mailbox = found.ok();
  if (!is_mailbox || request_id.empty() || found->read.head->create_request_id() != request_id) {
    co_return AddressTaken(MailboxName(address), !is_mailbox);
  }
  auto view = co_await ReadMailbox(found->number, address.ToString());
  co_return std::move(view);
}

Task<absl::StatusOr<MailboxView>> Provisioning::CreateMailbox(Address address, MailboxSettings settings,
                                                              std::string request_id) {
  const std::string name = MailboxName(address);
  bool taken = false;
  uint32_t uid_validity = 0;
  uint64_t domain = 0;
  std::vector<Address> addresses = {address};
  const std::vector<std::string> keys = DirectoryEdit::KeysOf(addresses);
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), keys,
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       ASSIGN_OR_RETURN(auto domain_entry, edit.Domain(address.domain));
                                       if (!domain_entry) return NotHosted(name, address.domain);
                                       domain = domain_entry->domain();
                                       ASSIGN_OR_RETURN(auto there, edit.Find(address));
                                       taken = there.has_value();
                                       if (taken) return engine::NoChange{};
                                       const std::optional<uint32_t> next = edit.TakeUidValidity();
                                       if (!next) return UidValiditiesExhausted(name);
                                       uid_validity = *next;
                                       return std::move(edit).Finish();
                                     }));
  if (taken) {
    auto answer = co_await AnswerRepeatedCreate(address, request_id);
    co_return std::move(answer);
  }

  const uint64_t number = engine_->NewNumber();
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Mailbox(number), {},
                                     [&](const engine::View&) -> absl::StatusOr<engine::Verdict> {
                                       engine::Change change;
                                       change.head.set_settings_version(1);
                                       change.head.set_create_time_us(clock_->WallMicros());
                                       change.head.set_create_request_id(request_id);
                                       stored::MailboxHead& head = *change.head.mutable_mailbox();
                                       head.set_address(address.ToString());
                                       head.set_domain(domain);
                                       head.set_uid_next(1);
                                       stored::Folder& inbox = *head.add_folders();
                                       inbox.set_name(std::string(kInbox));
                                       inbox.set_uid_validity(uid_validity);
                                       Apply(settings, head);
                                       return change;
                                     }));

  // The mailbox is nobody's until the directory names it; here a deletion of the
  // domain and another creation of the address are excluded.
  bool hosted = false;
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), keys,
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       ASSIGN_OR_RETURN(auto domain_entry, edit.Domain(address.domain));
                                       ASSIGN_OR_RETURN(auto there, edit.Find(address));
                                       hosted = domain_entry && domain_entry->domain() == domain;
                                       taken = there.has_value();
                                       if (!hosted || taken) return engine::NoChange{};
                                       stored::DirectoryAddress entry;
                                       entry.set_mailbox(number);
                                       RETURN_IF_ERROR(edit.Put(address, entry));
                                       return std::move(edit).Finish();
                                     }));
  if (hosted && !taken) {
    auto view = co_await ReadMailbox(number, address.ToString());
    co_return std::move(view);
  }
  CO_RETURN_IF_ERROR(co_await ErasePartition(PartitionId::Mailbox(number)));
  if (!hosted) co_return NotHosted(name, address.domain);
  auto answer = co_await AnswerRepeatedCreate(address, request_id);
  co_return std::move(answer);
}

Task<absl::StatusOr<MailboxView>> Provisioning::GetMailbox(Address address) {
  CO_ASSIGN_OR_RETURN(FoundMailbox found, co_await FindMailbox(engine_, address));
  auto view = co_await ReadMailbox(found.number, address.ToString());
  co_return std::move(view);
}

Task<absl::StatusOr<Page<MailboxView>>> Provisioning::ListMailboxes(std::string domain, std::string after,
                                                                    size_t limit) {
  CO_ASSIGN_OR_RETURN(auto addresses, co_await ListAddresses(domain, after, limit, false));
  Page<MailboxView> page;
  page.next = addresses.next;
  for (const auto& [address, entry] : addresses.items) {
    absl::StatusOr<MailboxView> view = co_await ReadMailbox(entry.mailbox(), address.ToString());
    if (absl::IsNotFound(view.status())) continue;  // Deleted since the scan.
    if (!view.ok()) co_return view.status();
    page.items.push_back(*std::move(view));
  }
  co_return std::move(page);
}

Task<absl::StatusOr<MailboxView>> Provisioning::UpdateMailbox(Address address, MailboxSettings settings,
                                                              std::string etag) {
  const std::string name = MailboxName(address);
  CO_ASSIGN_OR_RETURN(FoundMailbox found, co_await FindMailbox(engine_, address));
  CO_RETURN_IF_ERROR(co_await Update(
      engine_, PartitionId::Mailbox(found.number), {},
      [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        if (view.head == nullptr || view.head->mailbox().state() == stored::MailboxHead::DELETED) {
          return NotFound(name);
        }
        const std::string current = EtagOf(found.number, view.head->settings_version());
        if (!etag.empty() && etag != current) return EtagMismatch(name, current);
        engine::Change change;
        change.head = *view.head;
        change.head.set_settings_version(view.head->settings_version() + 1);
        Apply(settings, *change.head.mutable_mailbox());
        return change;
      }));
  auto view = co_await ReadMailbox(found.number, address.ToString());
  co_return std::move(view);
}

}  // namespace restante::mail
