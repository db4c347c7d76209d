#include "server/mail/provisioning.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"
#include "server/mail/provisioning_internal.h"
#include "server/mail/quota.h"

namespace restante::mail {

using engine::PartitionId;

std::string EtagOf(uint64_t number, uint64_t settings_version) {
  return absl::StrCat(absl::Hex(number), "-", absl::Hex(settings_version));
}

Provisioning::Provisioning(engine::Engine* engine, engine::QuotaRules rules, const Clock* clock)
    : engine_(engine), rules_(std::move(rules)), clock_(clock) {}

Task<absl::StatusOr<std::optional<uint64_t>>> Provisioning::DomainNumber(std::string name) {
  const std::string key = DomainKey(name);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                      co_await Read(engine_, PartitionId::Directory(), std::move(keys)));
  const auto it = read.values.find(key);
  if (it == read.values.end()) co_return std::optional<uint64_t>();
  stored::DirectoryDomain entry;
  if (!entry.ParseFromString(it->second)) {
    co_return absl::DataLossError(absl::StrCat(DomainName(name), ": its directory entry cannot be read"));
  }
  co_return std::optional<uint64_t>(entry.domain());
}

Task<absl::StatusOr<DomainView>> Provisioning::ReadDomain(uint64_t number, std::string name) {
  CO_ASSIGN_OR_RETURN(engine::ReadResult read, co_await Read(engine_, PartitionId::Domain(number), {}));
  if (!read.head) co_return NotFound(DomainName(name));
  DomainView view;
  view.number = number;
  view.head = *std::move(read.head);
  view.used_bytes = read.used_bytes;
  view.used_messages = read.used_messages;
  view.mailboxes = read.mailboxes;
  view.reserved = read.reserved;
  view.etag = EtagOf(number, view.head.settings_version());
  co_return std::move(view);
}

Task<absl::StatusOr<MailboxView>> Provisioning::ReadMailbox(uint64_t number, std::string address) {
  CO_ASSIGN_OR_RETURN(engine::ReadResult read, co_await Read(engine_, PartitionId::Mailbox(number), {}));
  if (!read.head || read.head->mailbox().state() == stored::MailboxHead::DELETED) {
    co_return NotFound(MailboxName(address));
  }
  const uint64_t domain_number = read.head->mailbox().domain();
  CO_ASSIGN_OR_RETURN(engine::ReadResult domain,
                      co_await Read(engine_, PartitionId::Domain(domain_number), {}, Age::kRecent));
  MailboxView view;
  view.number = number;
  view.head = *std::move(read.head);
  view.reserved = read.reserved;
  const stored::DomainHead domain_head = domain.head ? domain.head->domain() : stored::DomainHead();
  const stored::MailboxHead& head = view.head.mailbox();
  view.effective_bytes =
      quota::Effective(head.max_bytes(), domain_head.default_bytes(), rules_.default_bytes);
  view.effective_messages =
      quota::Effective(head.max_messages(), domain_head.default_messages(), rules_.default_messages);
  view.etag = EtagOf(number, view.head.settings_version());
  co_return std::move(view);
}

Task<absl::Status> Provisioning::ErasePartition(PartitionId partition) {
  absl::Status status = co_await Update(engine_, partition, {},
                                        [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                          if (view.head == nullptr) return engine::NoChange{};
                                          engine::Change change;
                                          change.head = *view.head;
                                          change.erase_partition = true;
                                          return change;
                                        });
  co_return std::move(status);
}

Task<absl::StatusOr<Page<std::pair<Address, stored::DirectoryAddress>>>> Provisioning::ListAddresses(
    std::string domain, std::string after, size_t limit, bool alias) {
  const std::string prefix = AddressKeyPrefix(domain);
  std::string from = after < prefix ? prefix : after + '\0';
  const std::string end = PrefixEnd(prefix);
  Page<std::pair<Address, stored::DirectoryAddress>> page;
  while (true) {
    CO_ASSIGN_OR_RETURN(engine::ScanPage scan,
                        co_await Scan(engine_, PartitionId::Directory(), from, end, limit));
    for (size_t i = 0; i < scan.items.size(); ++i) {
      const auto& [key, value] = scan.items[i];
      std::optional<Address> address = AddressOfKey(key);
      stored::DirectoryAddress entry;
      if (!address || !entry.ParseFromString(value)) {
        co_return absl::DataLossError(absl::StrCat("directory: the entry ", key, " cannot be read"));
      }
      if (entry.alias() != alias) continue;
      page.items.emplace_back(*std::move(address), std::move(entry));
      if (page.items.size() == limit) {
        if (scan.more || i + 1 < scan.items.size()) page.next = key;
        co_return std::move(page);
      }
    }
    if (!scan.more || scan.items.empty()) co_return std::move(page);
    from = scan.items.back().first + '\0';
  }
}

}  // namespace restante::mail
