// Which thresholds of their limits mailboxes and the pools of domains have reached.
//
// An engine tells it every head as it is *decided*, and asks what a change has
// crossed: a few comparisons, no more, where nothing was. A head says itself which
// threshold it was last recorded at, so this is a function of the heads and nothing
// of its own can be lost. It does no I/O. Not thread-safe: an engine calls it under
// its own lock.
#ifndef RESTANTE_SERVER_ENGINE_THRESHOLDS_H_
#define RESTANTE_SERVER_ENGINE_THRESHOLDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/engine/engine.h"
#include "server/mail/quota.h"

namespace restante::engine {

// A partition that is at another threshold than its head says. It stays so until the
// head was told again (Crossing::Apply).
struct Crossing {
  PartitionId partition;
  uint32_t percent = 0, previous_percent = 0;
  uint64_t used_bytes = 0, used_messages = 0;
  uint64_t max_bytes = quota::kUnlimited, max_messages = quota::kUnlimited;

  // Makes `head` say so, and returns the event; without number and times.
  stored::Event Apply(stored::Head* head) const;
};

class Thresholds {
 public:
  explicit Thresholds(const QuotaRules& rules);

  // Adds or replaces. The sum of the domain follows.
  void PutMailbox(uint64_t number, const stored::MailboxHead& head);
  void PutDomain(uint64_t number, const stored::DomainHead& head);
  void EraseMailbox(uint64_t number);
  void EraseDomain(uint64_t number);

  // What a change of this partition has crossed: a mailbox's, its own threshold and
  // that of its domain's pool, and of the one that it left; a domain's, that of its pool and of all its
  // mailboxes. What is being deleted crosses nothing.
  std::vector<Crossing> Crossed(PartitionId changed);
  // By all, as at a start.
  std::vector<Crossing> AllCrossed() const;

 private:
  struct Domain {
    bool known = false;  // Its head was given.
    uint64_t default_bytes = quota::kInherited, default_messages = quota::kInherited;
    uint64_t max_bytes = quota::kInherited;
    uint64_t used_bytes = 0;
    uint32_t reached = 0;
    absl::flat_hash_set<uint64_t> mailboxes;
  };
  struct Mailbox {
    uint64_t domain = 0;
    uint64_t max_bytes = quota::kInherited, max_messages = quota::kInherited;
    uint64_t used_bytes = 0, used_messages = 0;
    uint32_t reached = 0;
    bool deleted = false;
  };

  void Leave(uint64_t number, const Mailbox& mailbox);
  void AddMailbox(uint64_t number, std::vector<Crossing>* crossed) const;
  void AddPool(uint64_t number, std::vector<Crossing>* crossed) const;

  const std::vector<uint32_t> percents_;
  const uint32_t slack_;
  const uint64_t default_bytes_, default_messages_;
  absl::flat_hash_map<uint64_t, Domain> domains_;
  absl::flat_hash_map<uint64_t, Mailbox> mailboxes_;
  uint64_t left_ = 0;  // Domain that a mailbox has left since Crossed; 0: none.
};

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_THRESHOLDS_H_
