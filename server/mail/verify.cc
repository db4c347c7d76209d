#include "server/mail/verify.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/audit.h"
#include "server/mail/directory.h"
#include "server/mail/engine_calls.h"
#include "server/mail/names.h"
#include "server/mail/open_receipts.h"
#include "server/mail/quota_drift.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

constexpr size_t kPage = 1000;

std::string Amount(uint64_t bytes, uint64_t messages) {
  return absl::StrCat(bytes, " octets in ", messages, " messages");
}

struct Sums {
  uint64_t bytes = 0, messages = 0, mailboxes = 0, addresses = 0;
};

// What several partitions do not agree about.
struct Disagreements {
  std::vector<std::string> problems;
  // Domains whose number of addresses is wrong, by their problem.
  struct Count {
    std::string domain;
    uint64_t counted = 0, actual = 0;
  };
  std::map<std::string, Count> counts;
};

// One look at all of it.
Task<absl::StatusOr<Disagreements>> CompareParts(engine::Engine* engine) {
  Disagreements found;
  std::vector<std::string>& problems = found.problems;
  std::map<uint64_t, Sums> domains;
  std::map<uint64_t, std::string> named;  // Mailbox -> address in the directory.
  std::map<std::string, uint64_t> addresses;

  std::string from = AddressKeyPrefix("");
  while (true) {
    CO_ASSIGN_OR_RETURN(engine::ScanPage page, co_await Scan(engine, PartitionId::Directory(), from,
                                                             PrefixEnd(AddressKeyPrefix("")), kPage));
    for (const auto& [key, value] : page.items) {
      std::optional<Address> address = AddressOfKey(key);
      stored::DirectoryAddress entry;
      if (!address || !entry.ParseFromString(value)) {
        problems.push_back(absl::StrCat("directory: the entry ", key, " cannot be read"));
        continue;
      }
      ++addresses[address->domain];
      if (!entry.alias()) named[entry.mailbox()] = address->ToString();
    }
    if (!page.more || page.items.empty()) break;
    from = page.items.back().first + '\0';
  }

  uint64_t after = 0;
  while (true) {
    CO_ASSIGN_OR_RETURN(auto mailboxes,
                        co_await ListPartitions(engine, PartitionId::Kind::kMailbox, after, kPage));
    if (mailboxes.empty()) break;
    after = mailboxes.back().first;
    for (const auto& [number, head] : mailboxes) {
      const stored::MailboxHead& mailbox = head.mailbox();
      Sums& sums = domains[mailbox.domain()];
      sums.bytes += mailbox.used_bytes();
      sums.messages += mailbox.used_messages();
      sums.mailboxes += 1;
      if (mailbox.state() == stored::MailboxHead::DELETED) continue;
      const auto it = named.find(number);
      if (it == named.end()) {
        problems.push_back(absl::StrCat(MailboxName(mailbox.address()),
                                        ": the directory does not name it (partition ", number, ", ",
                                        Amount(mailbox.used_bytes(), mailbox.used_messages()), ")"));
        continue;
      }
      if (it->second != mailbox.address()) {
        problems.push_back(absl::StrCat(MailboxName(mailbox.address()), ": the directory calls it ",
                                        MailboxName(it->second)));
      }
      named.erase(it);
    }
  }
  for (const auto& [number, address] : named) {
    problems.push_back(absl::StrCat(MailboxName(address), ": its partition ", number, " is missing"));
  }

  from = "d/";
  while (true) {
    CO_ASSIGN_OR_RETURN(engine::ScanPage page,
                        co_await Scan(engine, PartitionId::Directory(), from, "d0", kPage));
    for (const auto& [key, value] : page.items) {
      const std::string domain = key.substr(2);
      stored::DirectoryDomain entry;
      if (!entry.ParseFromString(value)) {
        problems.push_back(absl::StrCat(DomainName(domain), ": its directory entry cannot be read"));
        continue;
      }
      if (entry.addresses() != addresses[domain]) {
        problems.push_back(absl::StrCat(DomainName(domain), ": counts ", entry.addresses(),
                                        " addresses, has ", addresses[domain]));
        found.counts[problems.back()] = {domain, entry.addresses(), addresses[domain]};
      }
      addresses.erase(domain);
      CO_ASSIGN_OR_RETURN(engine::ReadResult read,
                          co_await Read(engine, PartitionId::Domain(entry.domain()), {}));
      if (!read.head) {
        problems.push_back(
            absl::StrCat(DomainName(domain), ": its partition ", entry.domain(), " is missing"));
        continue;
      }
      const Sums& sums = domains[entry.domain()];
      if (read.used_bytes != sums.bytes || read.used_messages != sums.messages ||
          read.mailboxes != sums.mailboxes) {
        problems.push_back(absl::StrCat(DomainName(domain), ": counts ",
                                        Amount(read.used_bytes, read.used_messages), " in ", read.mailboxes,
                                        " mailboxes, they hold ", Amount(sums.bytes, sums.messages), " in ",
                                        sums.mailboxes));
      }
    }
    if (!page.more || page.items.empty()) break;
    from = page.items.back().first + '\0';
  }
  for (const auto& [domain, count] : addresses) {
    problems.push_back(absl::StrCat(DomainName(domain), ": is not hosted and has ", count, " addresses"));
  }
  co_return std::move(found);
}

// Whether it was: not if it changed meanwhile.
Task<bool> SetCountRight(engine::Engine* engine, Disagreements::Count count) {
  const std::string key = DomainKey(count.domain);
  bool set = false;
  std::vector<std::string> keys = {key};
  const absl::Status status =
      co_await Update(engine, PartitionId::Directory(), std::move(keys),
                      [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                        set = false;
                        const auto it = view.values.find(key);
                        stored::DirectoryDomain entry;
                        if (it == view.values.end() || !entry.ParseFromString(it->second) ||
                            entry.addresses() != count.counted) {
                          return engine::NoChange{};
                        }
                        set = true;
                        entry.set_addresses(count.actual);
                        engine::Change change;
                        if (view.head != nullptr) change.head = *view.head;
                        change.puts.emplace_back(key, entry.SerializeAsString());
                        return change;
                      });
  co_return set&& status.ok();
}

// With what became of it.
std::string Told(std::string problem, bool repair, bool repaired) {
  return repair ? absl::StrCat(problem, repaired ? engine::kSetRight : engine::kNotSetRight) : problem;
}

}  // namespace

Task<absl::Status> Verify(engine::Engine* engine, std::function<bool(VerifyProgress)> report, bool repair) {
  VerifyProgress progress;
  // Says what is new and forgets it.
  const auto tell = [&] {
    VerifyProgress now = progress;
    progress.problems.clear();
    return report(std::move(now));
  };
  const auto found = [&](std::string problem, bool repaired) {
    progress.problems.push_back(Told(std::move(problem), repair, repaired));
    progress.repaired_problems += repaired;
  };

  uint64_t after = 0;
  while (true) {
    CO_ASSIGN_OR_RETURN(auto domains,
                        co_await ListPartitions(engine, PartitionId::Kind::kDomain, after, kPage));
    if (domains.empty()) break;
    after = domains.back().first;
    for (const auto& [number, head] : domains) {
      CO_ASSIGN_OR_RETURN(engine::ReadResult read, co_await Read(engine, PartitionId::Domain(number), {}));
      progress.total_mailboxes += read.mailboxes;
    }
  }

  after = 0;
  while (true) {
    CO_ASSIGN_OR_RETURN(auto mailboxes,
                        co_await ListPartitions(engine, PartitionId::Kind::kMailbox, after, kPage));
    if (mailboxes.empty()) break;
    after = mailboxes.back().first;
    for (const auto& [number, head] : mailboxes) {
      absl::StatusOr<Audit> audit = co_await AuditMailbox(engine, number, repair);
      if (absl::IsNotFound(audit.status())) continue;  // Deleted meanwhile.
      const std::string name = MailboxName(head.mailbox().address());
      if (audit.ok()) {
        progress.checked_messages += audit->actual.messages;
        progress.drifted_mailboxes += QuotaDrift::Of(*audit).mailboxes;
        progress.drifted_bytes += QuotaDrift::Of(*audit).bytes;
        for (std::string& problem : audit->misplaced) found(std::move(problem), false);
        for (std::string& problem : audit->too_early) found(std::move(problem), audit->raised);
        if (audit->recorded != audit->actual) {
          found(absl::StrCat(
                    name, ": counts ", Amount(audit->recorded.bytes, audit->recorded.messages), ", holds ",
                    Amount(audit->actual.bytes, audit->actual.messages), " (exempt: counts ",
                    Amount(audit->recorded.exempt_bytes, audit->recorded.exempt_messages), ", holds ",
                    Amount(audit->actual.exempt_bytes, audit->actual.exempt_messages), ")"),
                audit->corrected);
        }
      } else {
        found(std::string(audit.status().message()), false);
      }
      absl::StatusOr<OpenReceiptProblems> receipts = co_await CheckOpenReceipts(engine, number, repair);
      if (receipts.ok()) {
        for (std::string& problem : receipts->lines) found(std::move(problem), receipts->erased);
      } else {
        found(absl::StrCat(name, ": ", receipts.status().message()), false);
      }
      ++progress.checked_mailboxes;
      progress.total_mailboxes = std::max(progress.total_mailboxes, progress.checked_mailboxes);
      if (!tell()) co_return absl::CancelledError("the check was given up");
    }
  }

  CO_ASSIGN_OR_RETURN(Disagreements first, co_await CompareParts(engine));
  if (!first.problems.empty()) {
    CO_ASSIGN_OR_RETURN(const Disagreements again, co_await CompareParts(engine));
    for (std::string& problem : first.problems) {
      if (std::find(again.problems.begin(), again.problems.end(), problem) == again.problems.end()) continue;
      const auto count = first.counts.find(problem);
      bool repaired = false;
      if (repair && count != first.counts.end()) repaired = co_await SetCountRight(engine, count->second);
      found(std::move(problem), repaired);
    }
  }
  if (!tell()) co_return absl::CancelledError("the check was given up");

  const auto checked = [&](uint64_t bodies) {
    progress.checked_bodies = bodies;
    tell();
  };
  if (repair) {
    CO_ASSIGN_OR_RETURN(engine::Repairs repairs,
                        co_await Await<absl::StatusOr<engine::Repairs>>(
                            [&](auto done) { engine->RepairBodies(checked, std::move(done)); }));
    progress.problems = std::move(repairs.problems);
    progress.repaired_problems += repairs.repaired;
  } else {
    using Problems = std::vector<std::string>;
    CO_ASSIGN_OR_RETURN(progress.problems, co_await Await<absl::StatusOr<Problems>>([&](auto done) {
                          engine->VerifyBodies(checked, std::move(done));
                        }));
  }
  tell();
  co_return absl::OkStatus();
}

}  // namespace restante::mail
