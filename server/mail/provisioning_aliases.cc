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

std::string AliasEtag(const stored::DirectoryAddress& entry) {
  return EtagOf(static_cast<uint64_t>(entry.create_time_us()), entry.settings_version());
}

// The alias in `edit`, if it is one and `etag` is its own or not given.
absl::StatusOr<stored::DirectoryAddress> CurrentAlias(const DirectoryEdit& edit, const Address& address,
                                                      const std::string& etag) {
  ASSIGN_OR_RETURN(auto entry, edit.Find(address));
  if (!entry || !entry->alias()) return NotFound(AliasName(address));
  const std::string current = AliasEtag(*entry);
  if (!etag.empty() && etag != current) return EtagMismatch(AliasName(address), current);
  return *std::move(entry);
}

// The number of the mailbox of exactly this address.
absl::StatusOr<uint64_t> NamedMailbox(const DirectoryEdit& edit, const Address& address) {
  ASSIGN_OR_RETURN(auto entry, edit.Find(address));
  if (!entry || entry->alias()) return NotFound(MailboxName(address));
  return entry->mailbox();
}

}  // namespace

Task<absl::StatusOr<AliasView>> Provisioning::CreateAlias(Address address, Address mailbox,
                                                          std::string request_id) {
  std::vector<Address> addresses = {address, mailbox};
  std::vector<std::string> keys = DirectoryEdit::KeysOf(addresses);
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       ASSIGN_OR_RETURN(auto domain, edit.Domain(address.domain));
                                       if (!domain) return NotHosted(AliasName(address), address.domain);
                                       ASSIGN_OR_RETURN(auto there, edit.Find(address));
                                       if (there) {
                                         const bool repeated = there->alias() && !request_id.empty() &&
                                                               there->create_request_id() == request_id;
                                         if (!repeated)
                                           return AddressTaken(AliasName(address), there->alias());
                                         return engine::NoChange{};
                                       }
                                       ASSIGN_OR_RETURN(const uint64_t number, NamedMailbox(edit, mailbox));
                                       stored::DirectoryAddress entry;
                                       entry.set_mailbox(number);
                                       entry.set_alias(true);
                                       entry.set_settings_version(1);
                                       entry.set_create_time_us(clock_->WallMicros());
                                       entry.set_create_request_id(request_id);
                                       RETURN_IF_ERROR(edit.Put(address, entry));
                                       return std::move(edit).Finish();
                                     }));
  auto view = co_await GetAlias(address);
  co_return std::move(view);
}

Task<absl::StatusOr<AliasView>> Provisioning::GetAlias(Address address) {
  const std::string key = AddressKey(address);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                      co_await Read(engine_, PartitionId::Directory(), std::move(keys)));
  const auto it = read.values.find(key);
  if (it == read.values.end()) co_return NotFound(AliasName(address));
  AliasView view;
  if (!view.entry.ParseFromString(it->second)) {
    co_return absl::DataLossError(absl::StrCat(AliasName(address), ": its directory entry cannot be read"));
  }
  if (!view.entry.alias()) co_return NotFound(AliasName(address));
  CO_ASSIGN_OR_RETURN(engine::ReadResult mailbox,
                      co_await Read(engine_, PartitionId::Mailbox(view.entry.mailbox()), {}));
  if (!mailbox.head || mailbox.head->mailbox().state() == stored::MailboxHead::DELETED) {
    co_return NotFound(AliasName(address));
  }
  CO_ASSIGN_OR_RETURN(view.mailbox, ParseAddress(mailbox.head->mailbox().address()));
  view.address = std::move(address);
  view.etag = AliasEtag(view.entry);
  co_return std::move(view);
}

Task<absl::StatusOr<Page<AliasView>>> Provisioning::ListAliases(std::string domain, std::string after,
                                                                size_t limit) {
  CO_ASSIGN_OR_RETURN(auto addresses, co_await ListAddresses(domain, after, limit, true));
  Page<AliasView> page;
  page.next = addresses.next;
  for (const auto& [address, entry] : addresses.items) {
    absl::StatusOr<AliasView> view = co_await GetAlias(address);
    if (absl::IsNotFound(view.status())) continue;  // Deleted since the scan.
    if (!view.ok()) co_return view.status();
    page.items.push_back(*std::move(view));
  }
  co_return std::move(page);
}

Task<absl::StatusOr<AliasView>> Provisioning::UpdateAlias(Address address, Address mailbox,
                                                          std::string etag) {
  std::vector<Address> addresses = {address, mailbox};
  std::vector<std::string> keys = DirectoryEdit::KeysOf(addresses);
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       ASSIGN_OR_RETURN(stored::DirectoryAddress entry,
                                                        CurrentAlias(edit, address, etag));
                                       ASSIGN_OR_RETURN(const uint64_t number, NamedMailbox(edit, mailbox));
                                       entry.set_mailbox(number);
                                       entry.set_settings_version(entry.settings_version() + 1);
                                       RETURN_IF_ERROR(edit.Put(address, entry));
                                       return std::move(edit).Finish();
                                     }));
  auto view = co_await GetAlias(address);
  co_return std::move(view);
}

Task<absl::Status> Provisioning::DeleteAlias(Address address, std::string etag) {
  std::vector<Address> addresses = {address};
  std::vector<std::string> keys = DirectoryEdit::KeysOf(addresses);
  absl::Status status = co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                        [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                          DirectoryEdit edit(view);
                                          RETURN_IF_ERROR(CurrentAlias(edit, address, etag).status());
                                          RETURN_IF_ERROR(edit.Erase(address));
                                          return std::move(edit).Finish();
                                        });
  co_return std::move(status);
}

}  // namespace restante::mail
