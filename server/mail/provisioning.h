// Domains, mailboxes and aliases: made, changed, listed, renamed, deleted.
//
// What takes several partitions is a sequence of steps, each in one partition;
// README.md has the table of what a crash between two of them leaves. Names in
// error texts are resource names; errors carry details (mail/errors.h). All
// methods: kUnavailable and kDataLoss as the engine says.
#ifndef RESTANTE_SERVER_MAIL_PROVISIONING_H_
#define RESTANTE_SERVER_MAIL_PROVISIONING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/address.h"
#include "server/mail/directory.h"

namespace restante::mail {

struct DomainView {
  uint64_t number = 0;
  stored::Head head;
  uint64_t used_bytes = 0, used_messages = 0, mailboxes = 0;
  engine::Reserved reserved;
  std::string etag;
};

struct MailboxView {
  uint64_t number = 0;
  stored::Head head;
  engine::Reserved reserved;
  // After inheritance; quota::kUnlimited if nothing bounds it.
  uint64_t effective_bytes = 0, effective_messages = 0;
  std::string etag;
};

struct AliasView {
  Address address;
  Address mailbox;
  stored::DirectoryAddress entry;
  std::string etag;
};

// What is absent keeps its value (update) or its default (create).
struct DomainSettings {
  std::optional<stored::Limit> default_bytes, default_messages, max_bytes;
  std::optional<uint32_t> over_quota;
  std::optional<std::string> catch_all;  // Canonical address; empty: none.
};
struct MailboxSettings {
  std::optional<stored::Limit> max_bytes, max_messages;
  std::optional<stored::MailboxHead::State> state;
};

template <typename T>
struct Page {
  std::vector<T> items;
  std::string next;  // Continue after this; empty: no more.
};

// Any thread. Outlives its calls. Request ids and etags may be empty: none given.
class Provisioning {
 public:
  Provisioning(engine::Engine* engine, engine::QuotaRules rules, const Clock* clock);

  // --- domains; names are canonical ------------------------------------------

  // kAlreadyExists unless `request_id` is the creator's. kNotFound: no such
  // catch-all.
  Task<absl::StatusOr<DomainView>> CreateDomain(std::string name, DomainSettings settings,
                                                std::string request_id);
  Task<absl::StatusOr<DomainView>> GetDomain(std::string name);
  // In the order of names; `after` as a page's `next`, empty: from the start.
  Task<absl::StatusOr<Page<DomainView>>> ListDomains(std::string after, size_t limit);
  Task<absl::StatusOr<DomainView>> UpdateDomain(std::string name, DomainSettings settings, std::string etag);
  // kFailedPrecondition while it has mailboxes or aliases.
  Task<absl::Status> DeleteDomain(std::string name, std::string etag);

  // --- mailboxes ----------------------------------------------------------------

  // kFailedPrecondition: the domain is not hosted. kAlreadyExists: a mailbox or
  // alias has the address, unless `request_id` is the creator's.
  Task<absl::StatusOr<MailboxView>> CreateMailbox(Address address, MailboxSettings settings,
                                                  std::string request_id);
  Task<absl::StatusOr<MailboxView>> GetMailbox(Address address);
  // By address, domain by domain; only of one domain unless `domain` is empty.
  Task<absl::StatusOr<Page<MailboxView>>> ListMailboxes(std::string domain, std::string after, size_t limit);
  Task<absl::StatusOr<MailboxView>> UpdateMailbox(Address address, MailboxSettings settings,
                                                  std::string etag);
  // kFailedPrecondition while it holds messages, unless `force`.
  Task<absl::Status> DeleteMailbox(Address address, std::string etag, bool force);
  // The old address becomes an alias. Not subject to the new domain's pool.
  // kFailedPrecondition, kAlreadyExists as CreateMailbox; an alias of the mailbox
  // itself may become its address.
  Task<absl::StatusOr<MailboxView>> RenameMailbox(Address from, Address to, std::string request_id,
                                                  std::string etag);

  // --- aliases ------------------------------------------------------------------

  // kNotFound: no such mailbox. Others as CreateMailbox.
  Task<absl::StatusOr<AliasView>> CreateAlias(Address address, Address mailbox, std::string request_id);
  Task<absl::StatusOr<AliasView>> GetAlias(Address address);
  Task<absl::StatusOr<Page<AliasView>>> ListAliases(std::string domain, std::string after, size_t limit);
  Task<absl::StatusOr<AliasView>> UpdateAlias(Address address, Address mailbox, std::string etag);
  Task<absl::Status> DeleteAlias(Address address, std::string etag);

  // --- at the start ------------------------------------------------------------

  // Finishes deletions and renames that a crash interrupted and removes what
  // creations left unnamed. Before anything else is called.
  void RecoverInterrupted(engine::Done<absl::Status> done);

  engine::Engine* engine() const { return engine_; }
  const engine::QuotaRules& rules() const { return rules_; }

 private:
  Task<absl::StatusOr<std::optional<uint64_t>>> DomainNumber(std::string name);
  Task<absl::StatusOr<DomainView>> ReadDomain(uint64_t number, std::string name);
  Task<absl::StatusOr<MailboxView>> ReadMailbox(uint64_t number, std::string address);
  Task<absl::Status> CheckCatchAll(std::string address);
  Task<absl::Status> FinishDomainDeletion(uint64_t number, std::string name);
  Task<absl::StatusOr<MailboxView>> AnswerRepeatedCreate(Address address, std::string request_id);
  Task<absl::Status> FinishMailboxDeletion(uint64_t number);
  Task<absl::Status> EraseAliasesOf(uint64_t number);
  Task<absl::Status> FinishRename(uint64_t number, Address from, Address to);
  Task<absl::Status> ErasePartition(engine::PartitionId partition);
  Task<absl::Status> RecoverDomains();
  Task<absl::Status> RecoverMailboxes();
  Task<absl::Status> RecoverTask();
  // Directory entries below a prefix, aliases or mailboxes only.
  Task<absl::StatusOr<Page<std::pair<Address, stored::DirectoryAddress>>>> ListAddresses(std::string domain,
                                                                                         std::string after,
                                                                                         size_t limit,
                                                                                         bool alias);

  engine::Engine* const engine_;
  const engine::QuotaRules rules_;
  const Clock* const clock_;
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_PROVISIONING_H_
