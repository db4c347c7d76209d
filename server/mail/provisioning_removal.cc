// Deleting a mailbox: marked, unnamed, emptied, erased (README.md, table).
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/directory_edit.h"
#include "server/mail/engine_calls.h"
#include "server/mail/entries.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"
#include "server/mail/provisioning.h"
#include "server/mail/provisioning_internal.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

// Entries or aliases removed in one step.
constexpr size_t kBatch = 1000;

}  // namespace

Task<absl::Status> Provisioning::DeleteMailbox(Address address, std::string etag, bool force) {
  const std::string name = MailboxName(address);
  // Not FindMailbox: a deletion that was interrupted is taken up here.
  const std::string key = AddressKey(address);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                      co_await Read(engine_, PartitionId::Directory(), std::move(keys)));
  const auto it = read.values.find(key);
  stored::DirectoryAddress entry;
  if (it == read.values.end()) co_return NotFound(name);
  if (!entry.ParseFromString(it->second)) {
    co_return absl::DataLossError(absl::StrCat(name, ": its directory entry cannot be read"));
  }
  if (entry.alias()) co_return NotFound(name);
  const uint64_t number = entry.mailbox();

  CO_RETURN_IF_ERROR(co_await Update(
      engine_, PartitionId::Mailbox(number), {},
      [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        if (view.head == nullptr) return NotFound(name);
        const stored::MailboxHead& head = view.head->mailbox();
        if (head.state() == stored::MailboxHead::DELETED) return engine::NoChange{};
        const std::string current = EtagOf(number, view.head->settings_version());
        if (!etag.empty() && etag != current) return EtagMismatch(name, current);
        if (head.used_messages() != 0 && !force) {
          return Error(
              absl::StatusCode::kFailedPrecondition, "MAILBOX_NOT_EMPTY", name,
              absl::StrCat("holds ", head.used_messages(), " messages of ", head.used_bytes(), " octets"),
              {{"messages", absl::StrCat(head.used_messages())}, {"bytes", absl::StrCat(head.used_bytes())}});
        }
        engine::Change change;
        change.head = *view.head;
        change.head.mutable_mailbox()->set_state(stored::MailboxHead::DELETED);
        return change;
      }));
  auto finished = co_await FinishMailboxDeletion(number);
  co_return std::move(finished);
}

Task<absl::Status> Provisioning::FinishMailboxDeletion(uint64_t number) {
  CO_ASSIGN_OR_RETURN(engine::ReadResult read, co_await Read(engine_, PartitionId::Mailbox(number), {}));
  if (!read.head) co_return absl::OkStatus();

  // A rename that was under way may have given it its new address already.
  std::vector<Address> addresses;
  for (const std::string& text : {read.head->mailbox().address(), read.head->mailbox().renaming_to()}) {
    if (text.empty()) continue;
    CO_ASSIGN_OR_RETURN(Address address, ParseAddress(text));
    addresses.push_back(std::move(address));
  }
  std::vector<std::string> keys = DirectoryEdit::KeysOf(addresses);
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       for (const Address& address : addresses) {
                                         ASSIGN_OR_RETURN(auto entry, edit.Find(address));
                                         if (entry && entry->mailbox() == number && !entry->alias()) {
                                           RETURN_IF_ERROR(edit.Erase(address));
                                         }
                                       }
                                       return std::move(edit).Finish();
                                     }));
  // No new alias can come now: an alias is made only of a mailbox with a name.
  CO_RETURN_IF_ERROR(co_await EraseAliasesOf(number));

  while (true) {
    CO_ASSIGN_OR_RETURN(engine::ScanPage scan, co_await Scan(engine_, PartitionId::Mailbox(number),
                                                             kEntriesFrom, kEntriesTo, kBatch));
    if (scan.items.empty()) break;
    std::vector<std::string> entries;
    for (auto& [key, value] : scan.items) entries.push_back(std::move(key));
    EntrySums erased;
    CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Mailbox(number), entries,
                                       [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                         if (view.head == nullptr) return engine::NoChange{};
                                         return EraseEntries(view, entries, std::nullopt, erased);
                                       }));
  }
  auto erased = co_await ErasePartition(PartitionId::Mailbox(number));
  co_return std::move(erased);
}

Task<absl::Status> Provisioning::EraseAliasesOf(uint64_t number) {
  const std::string prefix = ReverseKeyPrefix(number);
  while (true) {
    CO_ASSIGN_OR_RETURN(engine::ScanPage scan,
                        co_await Scan(engine_, PartitionId::Directory(), prefix, PrefixEnd(prefix), kBatch));
    std::vector<Address> aliases;
    for (const auto& [key, value] : scan.items) {
      if (std::optional<Address> address = AddressOfKey(key)) aliases.push_back(*std::move(address));
    }
    if (aliases.empty()) co_return absl::OkStatus();
    std::vector<std::string> keys = DirectoryEdit::KeysOf(aliases);
    CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Directory(), std::move(keys),
                                       [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                         DirectoryEdit edit(view);
                                         for (const Address& alias : aliases) {
                                           ASSIGN_OR_RETURN(auto entry, edit.Find(alias));
                                           if (entry && entry->alias() && entry->mailbox() == number) {
                                             RETURN_IF_ERROR(edit.Erase(alias));
                                           }
                                           edit.EraseReverse(number, alias);
                                         }
                                         return std::move(edit).Finish();
                                       }));
  }
}

}  // namespace restante::mail
