// What an MTA is told about a recipient or a message: DUNNO or a refusal, never
// OK, for whether mail is let in is not the store's to say.
//
// Refused is what has no room, and what is on hold: the sender keeps it. All else
// is DUNNO. Who exists is for the MTA's own checks (see socketmap_answer.h), and
// what is over in a moment is for its queue.
#ifndef RESTANTE_CLIENT_POLICY_POLICY_DECISION_H_
#define RESTANTE_CLIENT_POLICY_POLICY_DECISION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/policy/policy_request.h"
#include "restante/v1/delivery.pb.h"

namespace restante::policy {

// `--policy-unavailable`: what is said while the store does not answer.
enum class WhenUnavailable {
  // The MTA takes the mail and keeps it in its queue.
  kDunno,
  // 451 4.3.0: the sender keeps it.
  kTempfail,
};

// What has to be asked before a request can be answered.
enum class PolicyQuestion {
  kNothing,
  // Whether the recipient can have it.
  kRecipient,
  // Whether the disk can: at END-OF-MESSAGE no recipient is named if there were
  // several, and those of other stores have a right to it.
  kDisk,
};
PolicyQuestion QuestionOf(const PolicyRequest& request);

// What to ask CheckRecipient.
v1::CheckRecipientRequest ToCheckRecipient(const PolicyRequest& request);

// The decision for kDisk, from the last that is known of the disk.
v1::Decision DecideByDisk(const v1::Capacity& capacity, std::optional<uint64_t> size);

// `DUNNO` or `452 4.2.2 Mailbox full`, for a decision or why there is none.
std::string ActionFor(const absl::StatusOr<v1::Decision>& decision, WhenUnavailable when_unavailable);

inline constexpr char kDunno[] = "DUNNO";

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_POLICY_DECISION_H_
