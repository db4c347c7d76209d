// One line for each refusal of the policy.
#ifndef RESTANTE_CLIENT_POLICY_REFUSAL_LOG_H_
#define RESTANTE_CLIENT_POLICY_REFUSAL_LOG_H_

#include "client/policy/responder.h"

namespace restante::policy {

void LogRefusal(const Refusal& refusal);

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_REFUSAL_LOG_H_
