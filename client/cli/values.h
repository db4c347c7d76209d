// Values of options: limits, states, policies; and outcomes in words.
#ifndef RESTANTE_CLIENT_CLI_VALUES_H_
#define RESTANTE_CLIENT_CLI_VALUES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "restante/v1/common.pb.h"
#include "restante/v1/mailbox.pb.h"

namespace restante::cli {

// A size with K M G T, or digits alone unless `size`; `unlimited`; `inherit`.
// kInvalidArgument, naming the text and what is taken.
absl::StatusOr<v1::Limit> ParseLimit(absl::string_view text, bool size);

// `active`, `hold`, `disabled`.
absl::StatusOr<v1::Mailbox::State> ParseState(absl::string_view text);
std::string StateText(v1::Mailbox::State state);

// `tempfail`, `permfail`.
absl::StatusOr<v1::OverQuotaPolicy> ParsePolicy(absl::string_view text);
std::string PolicyText(v1::OverQuotaPolicy policy);

// The outcome's name without prefix, in lower case: `mailbox full`.
std::string OutcomeText(v1::Outcome outcome);
// `needs 20480 bytes, 1024 left of 307200`; empty without a scope.
std::string ShortageText(const v1::Shortage& shortage);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_VALUES_H_
