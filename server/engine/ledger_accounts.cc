#include "server/engine/ledger_accounts.h"

#include <algorithm>
#include <utility>

namespace restante::engine {
namespace {

uint64_t Clip(absl::uint128 amount) {
  return static_cast<uint64_t>(std::min(amount, absl::uint128(UINT64_MAX)));
}

}  // namespace

// --- heads -----------------------------------------------------------------------

LedgerAccounts::Domain* LedgerAccounts::FindOrAddDomain(uint64_t number) {
  std::unique_ptr<Domain>& domain = domains_[number];
  if (!domain) domain = std::make_unique<Domain>();
  return domain.get();
}

void LedgerAccounts::DropDomainIfIdle(uint64_t number) {
  const auto it = domains_.find(number);
  if (it != domains_.end() && !it->second->known && it->second->mailboxes == 0) domains_.erase(it);
}

void LedgerAccounts::Leave(Mailbox& mailbox) {
  Domain& domain = *mailbox.domain;
  domain.mailboxes--;
  domain.used_bytes -= mailbox.used_bytes;
  domain.used_messages -= mailbox.used_messages;
  domain.reserved_bytes -= mailbox.reserved_bytes;
  domain.reserved_messages -= mailbox.reserved_messages();
  for (Hold* hold : mailbox.soft) domain.soft.erase(hold->in_domain);
  mailbox.domain = nullptr;
  DropDomainIfIdle(mailbox.domain_number);
}

void LedgerAccounts::Join(Mailbox& mailbox, uint64_t number) {
  Domain& domain = *FindOrAddDomain(number);
  mailbox.domain_number = number;
  mailbox.domain = &domain;
  domain.mailboxes++;
  domain.used_bytes += mailbox.used_bytes;
  domain.used_messages += mailbox.used_messages;
  domain.reserved_bytes += mailbox.reserved_bytes;
  domain.reserved_messages += mailbox.reserved_messages();
  // Both lists are ordered by time already.
  auto place = domain.soft.begin();
  for (Hold* hold : mailbox.soft) {
    while (place != domain.soft.end() && (*place)->made_us <= hold->made_us) ++place;
    hold->in_domain = domain.soft.insert(place, hold);
  }
}

void LedgerAccounts::PutMailbox(uint64_t number, const stored::MailboxHead& head) {
  std::unique_ptr<Mailbox>& mailbox = mailboxes_[number];
  if (!mailbox) {
    mailbox = std::make_unique<Mailbox>();
    Join(*mailbox, head.domain());
  } else if (mailbox->domain_number != head.domain()) {
    Leave(*mailbox);
    Join(*mailbox, head.domain());
  }
  Domain& domain = *mailbox->domain;
  domain.used_bytes -= mailbox->used_bytes;
  domain.used_messages -= mailbox->used_messages;
  mailbox->max_bytes = head.max_bytes();
  mailbox->max_messages = head.max_messages();
  mailbox->used_bytes = head.used_bytes();
  mailbox->used_messages = head.used_messages();
  mailbox->deleted = head.state() == stored::MailboxHead::DELETED;
  domain.used_bytes += mailbox->used_bytes;
  domain.used_messages += mailbox->used_messages;
  // Nothing may be stored any more, or its entries would outlive the deletion.
  if (mailbox->deleted) LoseAll(*mailbox);
}

void LedgerAccounts::EraseMailbox(uint64_t number) {
  const auto it = mailboxes_.find(number);
  if (it == mailboxes_.end()) return;
  LoseAll(*it->second);
  Leave(*it->second);
  mailboxes_.erase(it);
}

void LedgerAccounts::PutDomain(uint64_t number, const stored::DomainHead& head) {
  Domain& domain = *FindOrAddDomain(number);
  domain.known = true;
  domain.default_bytes = head.default_bytes();
  domain.default_messages = head.default_messages();
  domain.max_bytes = head.max_bytes();
}

void LedgerAccounts::EraseDomain(uint64_t number) {
  const auto it = domains_.find(number);
  if (it == domains_.end()) return;
  Domain& domain = *it->second;
  domain.known = false;
  domain.default_bytes.Clear();
  domain.default_messages.Clear();
  domain.max_bytes.Clear();
  DropDomainIfIdle(number);
}

bool LedgerAccounts::HasMailbox(uint64_t number) const {
  const auto it = mailboxes_.find(number);
  return it != mailboxes_.end() && !it->second->deleted;
}

Reserved LedgerAccounts::ReservedIn(uint64_t mailbox) const {
  const auto it = mailboxes_.find(mailbox);
  if (it == mailboxes_.end()) return {};
  return {.bytes = Clip(it->second->reserved_bytes), .messages = it->second->reserved_messages()};
}

LedgerAccounts::Sums LedgerAccounts::SumsOf(uint64_t number) const {
  const auto it = domains_.find(number);
  if (it == domains_.end()) return {};
  const Domain& domain = *it->second;
  return {.used_bytes = Clip(domain.used_bytes),
          .used_messages = Clip(domain.used_messages),
          .mailboxes = domain.mailboxes,
          .reserved = {.bytes = Clip(domain.reserved_bytes), .messages = domain.reserved_messages}};
}

// --- holds -----------------------------------------------------------------------

void LedgerAccounts::Enter(Hold& hold) {
  Mailbox& mailbox = *mailboxes_.find(hold.mailbox)->second;
  Domain& domain = *mailbox.domain;
  hold.held = true;
  mailbox.reserved_bytes += hold.bytes;
  domain.reserved_bytes += hold.bytes;
  domain.reserved_messages++;
  if (hold.firm) {
    hold.in_mailbox = mailbox.firm.insert(mailbox.firm.end(), &hold);
  } else {
    // The clock never goes back: the ends are the places by time.
    hold.in_mailbox = mailbox.soft.insert(mailbox.soft.end(), &hold);
    hold.in_domain = domain.soft.insert(domain.soft.end(), &hold);
  }
}

void LedgerAccounts::Lose(Hold& hold) {
  if (!hold.held) return;
  Mailbox& mailbox = *mailboxes_.find(hold.mailbox)->second;
  Domain& domain = *mailbox.domain;
  mailbox.reserved_bytes -= hold.bytes;
  domain.reserved_bytes -= hold.bytes;
  domain.reserved_messages--;
  if (hold.firm) {
    mailbox.firm.erase(hold.in_mailbox);
  } else {
    mailbox.soft.erase(hold.in_mailbox);
    domain.soft.erase(hold.in_domain);
  }
  hold.held = false;
  hold.firm = false;
}

void LedgerAccounts::LoseAll(Mailbox& mailbox) {
  while (!mailbox.soft.empty()) Lose(*mailbox.soft.front());
  while (!mailbox.firm.empty()) Lose(*mailbox.firm.front());
}

void LedgerAccounts::MakeFirm(Hold& hold) {
  if (hold.firm) return;
  Mailbox& mailbox = *mailboxes_.find(hold.mailbox)->second;
  mailbox.domain->soft.erase(hold.in_domain);
  mailbox.firm.splice(mailbox.firm.end(), mailbox.soft, hold.in_mailbox);
  hold.firm = true;
}

void LedgerAccounts::Grow(Hold& hold, uint64_t bytes) {
  Mailbox& mailbox = *mailboxes_.find(hold.mailbox)->second;
  mailbox.reserved_bytes += bytes - hold.bytes;
  mailbox.domain->reserved_bytes += bytes - hold.bytes;
  hold.bytes = bytes;
}

// --- who gets room ---------------------------------------------------------------

quota::Scope LedgerAccounts::ScopeOf(Measure measure, const Mailbox& mailbox, const Unseen& unseen,
                                     bool grace) const {
  const Domain& domain = *mailbox.domain;
  const uint64_t grace_bytes = grace ? std::min(rules_.grace_bytes, quota::kUnlimited) : 0;
  switch (measure) {
    case Measure::kDeliveries:
      return {.counts_messages = true,
              .limit = rules_.deliveries_per_mailbox,
              .reserved = mailbox.reserved_messages() - unseen.messages};
    case Measure::kBytes:
      return {.limit = quota::Effective(mailbox.max_bytes, domain.default_bytes, rules_.default_bytes),
              .used = mailbox.used_bytes,
              .reserved = Clip(mailbox.reserved_bytes - unseen.mailbox_bytes),
              .grace = grace_bytes};
    case Measure::kMessages:
      return {
          .counts_messages = true,
          .limit = quota::Effective(mailbox.max_messages, domain.default_messages, rules_.default_messages),
          .used = mailbox.used_messages,
          .reserved = mailbox.reserved_messages() - unseen.messages};
    case Measure::kDomainBytes:
      break;
  }
  return {.kind = Shortage::Scope::kDomain,
          .limit = domain.max_bytes.kind() == stored::Limit::VALUE
                       ? std::min(domain.max_bytes.value(), quota::kUnlimited)
                       : quota::kUnlimited,
          .used = Clip(domain.used_bytes),
          .reserved = Clip(domain.reserved_bytes - unseen.domain_bytes),
          .grace = grace_bytes};
}

LedgerAccounts::Answer LedgerAccounts::Ask(const Question& question) const {
  const Mailbox& mailbox = *mailboxes_.find(question.mailbox)->second;
  Unseen own;
  if (question.own != nullptr && question.own->held) {
    own = {.mailbox_bytes = question.own->bytes, .domain_bytes = question.own->bytes, .messages = 1};
  }
  Unseen unseen = own;
  Way way;
  absl::flat_hash_set<const Hold*> taken;
  for (const Measure measure :
       {Measure::kDeliveries, Measure::kBytes, Measure::kMessages, Measure::kDomainBytes}) {
    if (measure == Measure::kDeliveries && !question.another_delivery) continue;
    if (measure == Measure::kMessages && !question.another_message) continue;
    const bool bytes = measure == Measure::kBytes || measure == Measure::kDomainBytes;
    const uint64_t needed = bytes ? question.bytes : 1;
    auto lacks = [&](const Unseen& without) {
      return quota::Lacks(ScopeOf(measure, mailbox, without, question.grace), needed);
    };
    if (!lacks(unseen)) continue;
    // The refusal tells the figures as they are, not as they might be.
    const Shortage shortage = *lacks(own);
    bool fits = false;
    if (!shortage.full_without_reservations) {
      // Oldest first, and no more than are needed.
      const bool whole_domain = measure == Measure::kDomainBytes;
      for (Hold* hold : whole_domain ? mailbox.domain->soft : mailbox.soft) {
        if (question.now_us - hold->made_us < rules_.soft_after_us) break;
        if (hold->owner == question.owner || (bytes && hold->bytes == 0)) continue;
        if (!taken.insert(hold).second) continue;
        way.taken.push_back(hold);
        unseen.domain_bytes += hold->bytes;
        if (hold->mailbox == question.mailbox) {
          unseen.mailbox_bytes += hold->bytes;
          unseen.messages++;
        }
        fits = !lacks(unseen);
        if (fits) break;
      }
    }
    if (fits) continue;
    if (measure == Measure::kDeliveries) return TooManyDeliveries{.limit = rules_.deliveries_per_mailbox};
    return shortage;
  }
  way.room = std::min(quota::Room(ScopeOf(Measure::kBytes, mailbox, unseen, question.grace)),
                      quota::Room(ScopeOf(Measure::kDomainBytes, mailbox, unseen, question.grace)));
  return way;
}

}  // namespace restante::engine
