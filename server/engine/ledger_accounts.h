// The ledger's inner half: what each mailbox and domain has used and promised,
// and whether a demand fits. Knows no disk and no transaction but by pointer.
//
// Sums are of 128 bits, for heads and exempt demands can be as large as 64 allow.
#ifndef RESTANTE_SERVER_ENGINE_LEDGER_ACCOUNTS_H_
#define RESTANTE_SERVER_ENGINE_LEDGER_ACCOUNTS_H_

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/numeric/int128.h"
#include "server/engine/engine.h"
#include "server/mail/quota.h"

namespace restante::engine {

// One transaction's reservation in one mailbox. *Held* while it counts in the
// sums, else *lost*. Held, it is *soft* until it is firm.
struct Hold {
  using List = std::list<Hold*>;

  const void* owner = nullptr;  // The transaction; compared only.
  uint64_t mailbox = 0;         // Partition number; may be gone if lost.
  uint64_t bytes = 0;           // What was granted; kept when it is lost.
  bool exempt = false;
  bool held = false;
  bool firm = false;
  int64_t made_us = 0;  // Monotonic.

  // Where it stands in its mailbox's list and, while soft, in its domain's.
  List::iterator in_mailbox{}, in_domain{};
};

class LedgerAccounts {
 public:
  explicit LedgerAccounts(QuotaRules rules) : rules_(std::move(rules)) {}

  void PutMailbox(uint64_t number, const stored::MailboxHead& head);
  void PutDomain(uint64_t number, const stored::DomainHead& head);
  void EraseMailbox(uint64_t number);
  void EraseDomain(uint64_t number);

  bool HasMailbox(uint64_t number) const;  // And it is not being deleted.
  Reserved ReservedIn(uint64_t mailbox) const;

  struct Sums {
    uint64_t used_bytes = 0, used_messages = 0, mailboxes = 0;
    Reserved reserved;
  };
  Sums SumsOf(uint64_t domain) const;

  // What is asked of a mailbox that exists.
  struct Question {
    uint64_t mailbox = 0;
    uint64_t bytes = 0;
    const void* owner = nullptr;  // Whose reservations are not taken.
    const Hold* own = nullptr;    // Counts as if it were not there, if held.
    bool grace = false;           // May be used.
    bool another_message = true;  // Else only bytes are measured.
    bool another_delivery = true;
    int64_t now_us = 0;
  };
  // How it can be had: with these taken from others, up to `room` octets.
  struct Way {
    uint64_t room = 0;
    std::vector<Hold*> taken;
  };
  using Answer = std::variant<Way, Shortage, TooManyDeliveries>;
  Answer Ask(const Question& question) const;

  // Enters a hold (not held; `mailbox` and `bytes` set; the mailbox exists).
  void Enter(Hold& hold);
  // Takes it out of all sums; without effect if it is not held.
  void Lose(Hold& hold);
  // Makes a held one firm.
  void MakeFirm(Hold& hold);
  // Raises what a held one holds.
  void Grow(Hold& hold, uint64_t bytes);

 private:
  struct Domain {
    bool known = false;  // Its head was given; else it bounds nothing.
    stored::Limit default_bytes, default_messages, max_bytes;
    uint64_t mailboxes = 0;
    absl::uint128 used_bytes = 0, used_messages = 0;
    absl::uint128 reserved_bytes = 0;
    uint64_t reserved_messages = 0;
    Hold::List soft;  // Oldest first.
  };
  struct Mailbox {
    uint64_t domain_number = 0;
    Domain* domain = nullptr;
    stored::Limit max_bytes, max_messages;
    bool deleted = false;
    uint64_t used_bytes = 0, used_messages = 0;
    absl::uint128 reserved_bytes = 0;
    Hold::List soft, firm;  // All that is held in it; soft: oldest first.

    uint64_t reserved_messages() const { return soft.size() + firm.size(); }
  };
  // What is looked past while a demand is measured.
  struct Unseen {
    absl::uint128 mailbox_bytes = 0, domain_bytes = 0;
    uint64_t messages = 0;
  };
  enum class Measure { kDeliveries, kBytes, kMessages, kDomainBytes };

  Domain* FindOrAddDomain(uint64_t number);
  void DropDomainIfIdle(uint64_t number);
  void Leave(Mailbox& mailbox);  // Its domain, with all that is held.
  void Join(Mailbox& mailbox, uint64_t domain);
  void LoseAll(Mailbox& mailbox);
  quota::Scope ScopeOf(Measure measure, const Mailbox& mailbox, const Unseen& unseen, bool grace) const;

  const QuotaRules rules_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Domain>> domains_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Mailbox>> mailboxes_;
};

}  // namespace restante::engine

#endif  // RESTANTE_SERVER_ENGINE_LEDGER_ACCOUNTS_H_
