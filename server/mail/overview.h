// The store as a whole, in figures.
#ifndef RESTANTE_SERVER_MAIL_OVERVIEW_H_
#define RESTANTE_SERVER_MAIL_OVERVIEW_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/provisioning.h"

namespace restante::mail {

struct MailboxFill {
  MailboxView mailbox;
  double share = 0;  // The larger of the shares used of its two limits; 1 is full.
};

struct DomainFill {
  std::string domain;  // example.org
  uint64_t used_bytes = 0, max_bytes = 0;
  double share = 0;
};

struct Overview {
  uint64_t domains = 0, mailboxes = 0;
  uint64_t used_bytes = 0, used_messages = 0;
  engine::Reserved reserved;
  // Fullest first; none that is empty or without a limit.
  std::vector<MailboxFill> fullest;
  std::vector<DomainFill> fullest_domains;
};

// Sums over the domains, and the `fullest` mailboxes and domains nearest to their limit.
Task<absl::StatusOr<Overview>> ReadOverview(Provisioning* provisioning, size_t fullest);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_OVERVIEW_H_
