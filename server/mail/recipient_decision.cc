#include "server/mail/recipient_decision.h"

#include <algorithm>
#include <variant>

#include "server/mail/names.h"
#include "server/mail/quota.h"

namespace restante::mail {

v1::Shortage ToShortage(const engine::Shortage& shortage) {
  using Scope = engine::Shortage::Scope;
  v1::Shortage out;
  switch (shortage.scope) {
    case Scope::kNone:
      break;
    case Scope::kMailbox:
      out.set_scope(v1::Shortage::MAILBOX);
      break;
    case Scope::kDomain:
      out.set_scope(v1::Shortage::DOMAIN);
      break;
    case Scope::kDisk:
      out.set_scope(v1::Shortage::DISK);
      break;
  }
  out.set_counts_messages(shortage.counts_messages);
  out.set_limit(shortage.limit);
  out.set_used(shortage.used);
  out.set_reserved(shortage.reserved);
  out.set_needed(shortage.needed);
  return out;
}

bool IsPermfail(const stored::DomainHead& domain) { return domain.over_quota() == 1; }

v1::Outcome OutcomeOf(const engine::Shortage& shortage, bool permfail) {
  switch (shortage.scope) {
    case engine::Shortage::Scope::kMailbox:
      return permfail && shortage.full_without_reservations ? v1::OUTCOME_MAILBOX_FULL_PERMANENTLY
                                                            : v1::OUTCOME_MAILBOX_FULL;
    case engine::Shortage::Scope::kDomain:
      return v1::OUTCOME_DOMAIN_FULL;
    case engine::Shortage::Scope::kDisk:
      return v1::OUTCOME_DISK_FULL;
    case engine::Shortage::Scope::kNone:
      break;
  }
  return v1::OUTCOME_UNAVAILABLE;
}

std::optional<v1::Decision> DecideWithoutRoom(const std::string& address, const Resolution& resolution,
                                              std::optional<uint64_t> declared,
                                              const engine::QuotaRules& rules) {
  v1::Decision decision;
  decision.set_address(address);
  switch (resolution.kind) {
    case Resolution::Kind::kMailbox:
      break;
    case Resolution::Kind::kNoSuchMailbox:
      decision.set_outcome(v1::OUTCOME_NO_SUCH_MAILBOX);
      return decision;
    case Resolution::Kind::kForeignDomain:
      decision.set_outcome(v1::OUTCOME_FOREIGN_DOMAIN);
      return decision;
    case Resolution::Kind::kNotConfigured:
      decision.set_outcome(v1::OUTCOME_NOT_CONFIGURED);
      return decision;
    case Resolution::Kind::kInvalid:
      decision.set_outcome(v1::OUTCOME_INVALID_ADDRESS);
      return decision;
  }
  decision.set_mailbox(MailboxName(resolution.head.address()));
  switch (resolution.head.state()) {
    case stored::MailboxHead::HOLD:
      decision.set_outcome(v1::OUTCOME_MAILBOX_ON_HOLD);
      return decision;
    case stored::MailboxHead::DISABLED:
      decision.set_outcome(v1::OUTCOME_MAILBOX_DISABLED);
      return decision;
    case stored::MailboxHead::DELETED:
      decision.set_outcome(v1::OUTCOME_NO_SUCH_MAILBOX);
      decision.clear_mailbox();
      return decision;
    default:
      break;
  }
  if (declared && !resolution.exempt) {
    const uint64_t limit =
        quota::Effective(resolution.head.max_bytes(), resolution.domain.default_bytes(), rules.default_bytes);
    if (limit != 0 && limit != quota::kUnlimited && *declared > limit + kSizeTolerance) {
      decision.set_outcome(v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT);
      v1::Shortage& shortage = *decision.mutable_shortage();
      shortage.set_scope(v1::Shortage::MAILBOX);
      shortage.set_limit(limit);
      shortage.set_used(resolution.head.used_bytes());
      shortage.set_needed(*declared);
      return decision;
    }
  }
  return std::nullopt;
}

v1::Decision DecideByRoom(const std::string& address, const Resolution& resolution,
                          const absl::StatusOr<engine::ReserveResult>& result) {
  v1::Decision decision;
  decision.set_address(address);
  if (!result.ok()) {
    decision.set_outcome(absl::IsNotFound(result.status()) ? v1::OUTCOME_NO_SUCH_MAILBOX
                                                           : v1::OUTCOME_UNAVAILABLE);
    return decision;
  }
  decision.set_mailbox(MailboxName(resolution.head.address()));
  if (const auto* granted = std::get_if<engine::Granted>(&*result)) {
    decision.set_outcome(v1::OUTCOME_OK);
    decision.set_reserved_bytes(granted->bytes);
  } else if (const auto* shortage = std::get_if<engine::Shortage>(&*result)) {
    decision.set_outcome(OutcomeOf(*shortage, IsPermfail(resolution.domain)));
    *decision.mutable_shortage() = ToShortage(*shortage);
  } else {
    decision.set_outcome(v1::OUTCOME_TOO_MANY_DELIVERIES);
  }
  return decision;
}

engine::Demand DemandFor(const Resolution& resolution, std::optional<uint64_t> declared,
                         std::optional<uint64_t> expected, uint64_t reserve_unknown) {
  engine::Demand demand;
  demand.exempt = resolution.exempt;
  if (declared && *declared > 0) {
    demand.bytes = demand.at_least = std::max(*declared, expected.value_or(0));
  } else {
    demand.at_least = std::max<uint64_t>(1, expected.value_or(0));
    demand.bytes = std::max(reserve_unknown, demand.at_least);
  }
  return demand;
}

}  // namespace restante::mail
