// Whether a recipient can have a message of some size: the one place that turns
// directory, mailbox state and room into an Outcome, for RCPT and CheckRecipient.
#ifndef RESTANTE_SERVER_MAIL_RECIPIENT_DECISION_H_
#define RESTANTE_SERVER_MAIL_RECIPIENT_DECISION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "restante/v1/delivery.pb.h"
#include "server/engine/engine.h"
#include "server/mail/directory.h"

namespace restante::mail {

// A declared size may exceed a mailbox's whole limit by so much before it is
// refused for good: senders count differently.
inline constexpr uint64_t kSizeTolerance = 64 * 1024;

v1::Shortage ToShortage(const engine::Shortage& shortage);

// What a shortage means for the sender; `permfail`: the domain's policy.
v1::Outcome OutcomeOf(const engine::Shortage& shortage, bool permfail);

bool IsPermfail(const stored::DomainHead& domain);

// The decision that the directory alone allows: nullopt when room is to be asked
// for. Fills address and mailbox.
std::optional<v1::Decision> DecideWithoutRoom(const std::string& address, const Resolution& resolution,
                                              std::optional<uint64_t> declared,
                                              const engine::QuotaRules& rules);

// The decision after asking for room.
v1::Decision DecideByRoom(const std::string& address, const Resolution& resolution,
                          const absl::StatusOr<engine::ReserveResult>& result);

// What to ask for. `expected`: the size that such a message outgrew before.
engine::Demand DemandFor(const Resolution& resolution, std::optional<uint64_t> declared,
                         std::optional<uint64_t> expected, uint64_t reserve_unknown);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_RECIPIENT_DECISION_H_
