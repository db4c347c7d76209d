#include "client/policy/policy_decision.h"

#include "absl/strings/str_cat.h"
#include "client/policy/address_bounds.h"
#include "client/smtp/outcome_reply.h"

namespace restante::policy {
namespace {

std::string Refusal(v1::Outcome outcome) {
  const smtp::OutcomeReply reply = smtp::ReplyForOutcome(outcome, smtp::UnknownRecipient::kReject);
  return absl::StrCat(smtp::FormatCode(reply.code), " ", reply.text);
}

}  // namespace

PolicyQuestion QuestionOf(const PolicyRequest& request) {
  const bool at_end = request.protocol_state == "END-OF-MESSAGE";
  if (!at_end && request.protocol_state != "RCPT") return PolicyQuestion::kNothing;
  if (MayBeAddress(request.recipient)) return PolicyQuestion::kRecipient;
  return at_end && request.recipient.empty() ? PolicyQuestion::kDisk : PolicyQuestion::kNothing;
}

v1::CheckRecipientRequest ToCheckRecipient(const PolicyRequest& request) {
  v1::CheckRecipientRequest check;
  check.set_address(request.recipient);
  if (MayBeAddress(request.sender)) check.set_sender(request.sender);
  if (request.size.has_value()) check.set_size(*request.size);
  return check;
}

v1::Decision DecideByDisk(const v1::Capacity& capacity, std::optional<uint64_t> size) {
  v1::Decision decision;
  if (!capacity.has_time()) {
    // Never heard of it.
    decision.set_outcome(v1::OUTCOME_UNAVAILABLE);
  } else if (capacity.full() || size.value_or(1) > capacity.available_bytes()) {
    decision.set_outcome(v1::OUTCOME_DISK_FULL);
    v1::Shortage& shortage = *decision.mutable_shortage();
    shortage.set_scope(v1::Shortage::DISK);
    shortage.set_limit(capacity.limit_bytes());
    shortage.set_used(capacity.used_bytes());
    shortage.set_reserved(capacity.reserved_bytes());
    shortage.set_needed(size.value_or(1));
  } else {
    decision.set_outcome(v1::OUTCOME_OK);
  }
  return decision;
}

std::string ActionFor(const absl::StatusOr<v1::Decision>& decision, WhenUnavailable when_unavailable) {
  const v1::Outcome outcome = decision.ok() ? decision->outcome() : v1::OUTCOME_UNAVAILABLE;
  switch (outcome) {
    case v1::OUTCOME_MAILBOX_FULL:
    case v1::OUTCOME_MAILBOX_FULL_PERMANENTLY:
    case v1::OUTCOME_DOMAIN_FULL:
    case v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT:
    case v1::OUTCOME_DISK_FULL:
    case v1::OUTCOME_MESSAGE_TOO_LARGE:
    case v1::OUTCOME_MAILBOX_ON_HOLD:
      return Refusal(outcome);
    case v1::OUTCOME_UNAVAILABLE:
      return when_unavailable == WhenUnavailable::kTempfail ? Refusal(outcome) : kDunno;
    default:
      return kDunno;
  }
}

}  // namespace restante::policy
