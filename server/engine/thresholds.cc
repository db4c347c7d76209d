#include "server/engine/thresholds.h"

#include <algorithm>
#include <utility>

namespace restante::engine {
namespace {

stored::Limit ToLimit(uint64_t limit) {
  stored::Limit out;
  out.set_kind(limit >= quota::kUnlimited ? stored::Limit::UNLIMITED : stored::Limit::VALUE);
  if (limit < quota::kUnlimited) out.set_value(limit);
  return out;
}

// So that the same change says the same, in whatever order mailboxes are kept.
void Sort(std::vector<Crossing>* crossed) {
  std::sort(crossed->begin(), crossed->end(),
            [](const Crossing& a, const Crossing& b) { return a.partition < b.partition; });
}

}  // namespace

stored::Event Crossing::Apply(stored::Head* head) const {
  stored::Event event;
  stored::QuotaEvent& quota = *event.mutable_quota();
  quota.set_number(partition.number);
  quota.set_percent(percent);
  quota.set_previous_percent(previous_percent);
  quota.set_used_bytes(used_bytes);
  *quota.mutable_max_bytes() = ToLimit(max_bytes);
  if (partition.kind == PartitionId::Kind::kDomain) {
    quota.set_domain(true);
    quota.set_name(head->domain().name());
    head->mutable_domain()->set_reached_percent(percent);
  } else {
    quota.set_name(head->mailbox().address());
    quota.set_used_messages(used_messages);
    *quota.mutable_max_messages() = ToLimit(max_messages);
    head->mutable_mailbox()->set_reached_percent(percent);
  }
  return event;
}

Thresholds::Thresholds(const QuotaRules& rules)
    : percents_(rules.thresholds),
      slack_(rules.threshold_slack),
      default_bytes_(quota::Flat(rules.default_bytes)),
      default_messages_(quota::Flat(rules.default_messages)) {}

void Thresholds::Leave(uint64_t number, const Mailbox& mailbox) {
  const auto it = domains_.find(mailbox.domain);
  it->second.used_bytes -= mailbox.used_bytes;
  it->second.mailboxes.erase(number);
  if (!it->second.known && it->second.mailboxes.empty()) domains_.erase(it);
}

void Thresholds::PutMailbox(uint64_t number, const stored::MailboxHead& head) {
  const auto [it, is_new] = mailboxes_.try_emplace(number);
  Mailbox& mailbox = it->second;
  if (!is_new && mailbox.domain != head.domain()) {
    left_ = mailbox.domain;
    Leave(number, mailbox);
  }
  Domain& domain = domains_[head.domain()];
  if (is_new || mailbox.domain != head.domain()) {
    domain.mailboxes.insert(number);
    mailbox.used_bytes = 0;
  }
  domain.used_bytes += head.used_bytes() - mailbox.used_bytes;
  mailbox = {.domain = head.domain(),
             .max_bytes = quota::Flat(head.max_bytes()),
             .max_messages = quota::Flat(head.max_messages()),
             .used_bytes = head.used_bytes(),
             .used_messages = head.used_messages(),
             .reached = head.reached_percent(),
             .deleted = head.state() == stored::MailboxHead::DELETED};
}

void Thresholds::EraseMailbox(uint64_t number) {
  const auto it = mailboxes_.find(number);
  if (it == mailboxes_.end()) return;
  Leave(number, it->second);
  mailboxes_.erase(it);
}

void Thresholds::PutDomain(uint64_t number, const stored::DomainHead& head) {
  Domain& domain = domains_[number];
  domain.known = !head.deleted();
  domain.default_bytes = quota::Flat(head.default_bytes());
  domain.default_messages = quota::Flat(head.default_messages());
  domain.max_bytes = quota::Flat(head.max_bytes());
  domain.reached = head.reached_percent();
}

void Thresholds::EraseDomain(uint64_t number) {
  const auto it = domains_.find(number);
  if (it == domains_.end()) return;
  Domain& domain = it->second;
  domain.known = false;
  domain.default_bytes = domain.default_messages = domain.max_bytes = quota::kInherited;
  domain.reached = 0;
  if (domain.mailboxes.empty()) domains_.erase(it);
}

void Thresholds::AddMailbox(uint64_t number, std::vector<Crossing>* crossed) const {
  const auto it = mailboxes_.find(number);
  if (it == mailboxes_.end() || it->second.deleted) return;
  const Mailbox& mailbox = it->second;
  const Domain& domain = domains_.find(mailbox.domain)->second;
  const uint64_t max_bytes = quota::Effective(mailbox.max_bytes, domain.default_bytes, default_bytes_);
  const uint64_t max_messages =
      quota::Effective(mailbox.max_messages, domain.default_messages, default_messages_);
  const uint32_t percent =
      quota::Threshold(percents_, slack_, mailbox.reached,
                       {{mailbox.used_bytes, max_bytes}, {mailbox.used_messages, max_messages}});
  if (percent == mailbox.reached) return;
  crossed->push_back({.partition = PartitionId::Mailbox(number),
                      .percent = percent,
                      .previous_percent = mailbox.reached,
                      .used_bytes = mailbox.used_bytes,
                      .used_messages = mailbox.used_messages,
                      .max_bytes = max_bytes,
                      .max_messages = max_messages});
}

void Thresholds::AddPool(uint64_t number, std::vector<Crossing>* crossed) const {
  const auto it = domains_.find(number);
  if (it == domains_.end() || !it->second.known) return;
  const Domain& domain = it->second;
  // Nobody's default bounds a pool.
  const uint64_t max_bytes = quota::Effective(domain.max_bytes, quota::kUnlimited, quota::kUnlimited);
  const uint32_t percent =
      quota::Threshold(percents_, slack_, domain.reached, {{domain.used_bytes, max_bytes}});
  if (percent == domain.reached) return;
  crossed->push_back({.partition = PartitionId::Domain(number),
                      .percent = percent,
                      .previous_percent = domain.reached,
                      .used_bytes = domain.used_bytes,
                      .max_bytes = max_bytes});
}

std::vector<Crossing> Thresholds::Crossed(PartitionId changed) {
  std::vector<Crossing> crossed;
  if (percents_.empty()) return crossed;
  if (changed.kind == PartitionId::Kind::kMailbox) {
    AddMailbox(changed.number, &crossed);
    if (const auto it = mailboxes_.find(changed.number); it != mailboxes_.end()) {
      AddPool(it->second.domain, &crossed);
    }
    if (const uint64_t left = std::exchange(left_, 0); left != 0) AddPool(left, &crossed);
  } else if (changed.kind == PartitionId::Kind::kDomain) {
    AddPool(changed.number, &crossed);
    if (const auto it = domains_.find(changed.number); it != domains_.end()) {
      for (const uint64_t mailbox : it->second.mailboxes) AddMailbox(mailbox, &crossed);
    }
    Sort(&crossed);
  }
  return crossed;
}

std::vector<Crossing> Thresholds::AllCrossed() const {
  std::vector<Crossing> crossed;
  if (percents_.empty()) return crossed;
  for (const auto& [number, domain] : domains_) AddPool(number, &crossed);
  for (const auto& [number, mailbox] : mailboxes_) AddMailbox(number, &crossed);
  Sort(&crossed);
  return crossed;
}

}  // namespace restante::engine
