#include "client/smtp/outcome_reply.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace restante::smtp {
namespace {

struct Row {
  v1::Outcome outcome;
  ReplyCode code;
  absl::string_view text;
  // The recipient's own mailbox is why, and not something that all share.
  bool own_mailbox;
};

constexpr Row kRows[] = {
    {v1::OUTCOME_MAILBOX_FULL, kMailboxFull, "Mailbox full", true},
    {v1::OUTCOME_MAILBOX_FULL_PERMANENTLY, kMailboxFullForGood, "Mailbox full", true},
    {v1::OUTCOME_DOMAIN_FULL, kSystemFull, "The domain's storage is full", false},
    {v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT, kExceedsMailbox, "Message larger than the whole mailbox", true},
    {v1::OUTCOME_DISK_FULL, kSystemFull, "Insufficient system storage", false},
    {v1::OUTCOME_MESSAGE_TOO_LARGE, kMessageTooLarge, "Message too large for this system", false},
    {v1::OUTCOME_NO_SUCH_MAILBOX, kUnknownMailbox, "No such mailbox", true},
    {v1::OUTCOME_FOREIGN_DOMAIN, kForeignDomain, "Domain not hosted here, no relaying", true},
    {v1::OUTCOME_MAILBOX_DISABLED, kMailboxDisabled, "Mailbox disabled", true},
    {v1::OUTCOME_MAILBOX_ON_HOLD, kBusyMailbox, "Mailbox on hold", true},
    {v1::OUTCOME_NOT_CONFIGURED, kTryAgain, "No destination configured", false},
    {v1::OUTCOME_TOO_MANY_RECIPIENTS, kTooManyRecipients, "Too many recipients", false},
    {v1::OUTCOME_TOO_MANY_DELIVERIES, kBusyMailbox, "Too many deliveries to this mailbox now", true},
    {v1::OUTCOME_CLIENT_LIMIT, kBusyMailbox, "Too much under way from your address", true},
    {v1::OUTCOME_NO_RECIPIENTS, kBadSequence, "No valid recipients", false},
    {v1::OUTCOME_READ_ONLY, kReadOnly, "Storage is read-only now", false},
    {v1::OUTCOME_DRAINING, kShuttingDown, "Storage is being restarted", false},
    {v1::OUTCOME_INVALID_ADDRESS, kInvalidAddress, "Not a valid address", true},
};

const Row* Find(v1::Outcome outcome) {
  const auto* row =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.outcome == outcome; });
  return row == std::end(kRows) ? nullptr : row;
}

bool OwnMailbox(v1::Outcome outcome) {
  const Row* row = Find(outcome);
  return row != nullptr && row->own_mailbox;
}

// Of what the bound is.
std::string Bounded(absl::string_view mailbox, v1::Shortage::Scope scope) {
  switch (scope) {
    case v1::Shortage::MAILBOX:
      // Of several recipients who share one reply it may be any.
      return mailbox.empty() ? "a mailbox" : std::string(absl::StripPrefix(mailbox, "mailboxes/"));
    case v1::Shortage::DOMAIN:
      return "the domain";
    case v1::Shortage::DISK:
      return "the disk";
    case v1::Shortage::CLIENT:
      return "the client's address";
    default:
      return "a message";
  }
}

}  // namespace

std::string ExplainShortage(absl::string_view mailbox, const v1::Shortage& shortage) {
  uint64_t room = shortage.limit() - std::min(shortage.limit(), shortage.used());
  room -= std::min(room, shortage.reserved());
  return absl::StrCat(" (", Bounded(mailbox, shortage.scope()), ": limit ", shortage.limit(),
                      shortage.counts_messages() ? " messages" : " bytes", ", used ", shortage.used(),
                      ", reserved ", shortage.reserved(), ", needed ", shortage.needed(), ", missing ",
                      shortage.needed() - std::min(shortage.needed(), room), ")");
}

OutcomeReply ReplyForOutcome(v1::Outcome outcome, UnknownRecipient unknown) {
  const Row* row = Find(outcome);
  if (row == nullptr) return {kTryAgain, "Temporary failure, try again later"};
  if (unknown == UnknownRecipient::kTempfail) {
    if (outcome == v1::OUTCOME_NO_SUCH_MAILBOX) return {kUnknownMailboxForNow, row->text};
    if (outcome == v1::OUTCOME_FOREIGN_DOMAIN) return {kForeignDomainForNow, row->text};
  }
  return {row->code, row->text};
}

OutcomeReply ReplyForAll(absl::Span<const v1::Outcome> outcomes, UnknownRecipient unknown) {
  std::vector<v1::Outcome> failed;
  for (const v1::Outcome outcome : outcomes) {
    if (outcome != v1::OUTCOME_OK) failed.push_back(outcome);
  }
  if (failed.empty()) return ReplyForOutcome(v1::OUTCOME_UNSPECIFIED, unknown);

  const OutcomeReply first = ReplyForOutcome(failed.front(), unknown);
  const bool all_failed = failed.size() == outcomes.size();
  const bool same =
      std::all_of(failed.begin(), failed.end(), [&](v1::Outcome o) { return o == failed.front(); });
  const bool permanent = all_failed && std::all_of(failed.begin(), failed.end(), [&](v1::Outcome o) {
                           return ReplyForOutcome(o, unknown).code.permanent();
                         });
  if (permanent) return first;
  if (same && !first.code.permanent()) return first;
  if (std::any_of(failed.begin(), failed.end(), OwnMailbox)) {
    return {kMailboxFull, "Not every mailbox could take the message"};
  }
  return {kSystemFull, "Not every recipient's storage could take the message"};
}

}  // namespace restante::smtp
