// What a start does about changes that the last run did not finish (README.md,
// table).
#include <utility>

#include "server/mail/engine_calls.h"
#include "server/mail/names.h"
#include "server/mail/provisioning.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

constexpr size_t kBatch = 1000;

}  // namespace

void Provisioning::RecoverInterrupted(engine::Done<absl::Status> done) {
  Start(RecoverTask(), std::move(done));
}

Task<absl::Status> Provisioning::RecoverTask() {
  // Mailboxes first: a domain can go when its last address is gone.
  CO_RETURN_IF_ERROR(co_await RecoverMailboxes());
  auto status = co_await RecoverDomains();
  co_return std::move(status);
}

Task<absl::Status> Provisioning::RecoverMailboxes() {
  uint64_t after = 0;
  while (true) {
    CO_ASSIGN_OR_RETURN(auto mailboxes,
                        co_await ListPartitions(engine_, PartitionId::Kind::kMailbox, after, kBatch));
    if (mailboxes.empty()) co_return absl::OkStatus();
    after = mailboxes.back().first;

    std::vector<std::string> keys;
    std::vector<std::pair<uint64_t, std::string>> named;
    for (auto& [number, head] : mailboxes) {
      const stored::MailboxHead& mailbox = head.mailbox();
      if (mailbox.state() == stored::MailboxHead::DELETED) {
        CO_RETURN_IF_ERROR(co_await FinishMailboxDeletion(number));
        continue;
      }
      if (!mailbox.renaming_to().empty()) {
        CO_ASSIGN_OR_RETURN(Address address, ParseAddress(mailbox.address()));
        CO_ASSIGN_OR_RETURN(Address to, ParseAddress(mailbox.renaming_to()));
        // A refusal is an end, too: the mailbox keeps its address.
        absl::Status finished = co_await FinishRename(number, std::move(address), std::move(to));
        if (absl::IsUnavailable(finished) || absl::IsDataLoss(finished)) co_return std::move(finished);
        continue;
      }
      // One that holds mail had a name once: that would be damage, for verify to
      // tell, and nothing to remove.
      if (mailbox.used_messages() != 0) continue;
      CO_ASSIGN_OR_RETURN(const Address address, ParseAddress(mailbox.address()));
      keys.push_back(AddressKey(address));
      named.emplace_back(number, AddressKey(address));
    }
    if (keys.empty()) continue;
    CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                        co_await Read(engine_, PartitionId::Directory(), std::move(keys)));
    for (const auto& [number, key] : named) {
      stored::DirectoryAddress entry;
      const auto it = read.values.find(key);
      if (it != read.values.end() && entry.ParseFromString(it->second) && entry.mailbox() == number) continue;
      CO_RETURN_IF_ERROR(co_await ErasePartition(PartitionId::Mailbox(number)));
    }
  }
}

Task<absl::Status> Provisioning::RecoverDomains() {
  uint64_t after = 0;
  while (true) {
    CO_ASSIGN_OR_RETURN(auto domains,
                        co_await ListPartitions(engine_, PartitionId::Kind::kDomain, after, kBatch));
    if (domains.empty()) co_return absl::OkStatus();
    after = domains.back().first;
    for (auto& [number, head] : domains) {
      const std::string name = head.domain().name();
      CO_ASSIGN_OR_RETURN(std::optional<uint64_t> named, co_await DomainNumber(name));
      if (named != number) {
        CO_RETURN_IF_ERROR(co_await ErasePartition(PartitionId::Domain(number)));
      } else if (head.domain().deleted()) {
        // Refused when an address came in between: the domain stays.
        absl::Status finished = co_await FinishDomainDeletion(number, name);
        if (absl::IsUnavailable(finished) || absl::IsDataLoss(finished)) co_return std::move(finished);
      }
    }
  }
}

}  // namespace restante::mail
