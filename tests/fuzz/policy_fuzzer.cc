// Policy requests: any octets, split anywhere; never OK, and one action each.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "client/policy/policy_responder.h"
#include "tests/fuzz/responder_play.h"

namespace {

void CheckReply(const std::string& reply) {
  using restante::fuzz::Check;
  Check(absl::StartsWith(reply, "action=DUNNO\n") || absl::StartsWith(reply, "action=4") ||
            absl::StartsWith(reply, "action=5"),
        "an action is DUNNO or a refusal", reply);
  Check(absl::EndsWith(reply, "\n\n") && reply.find('\n') == reply.size() - 2, "an action is one line",
        reply);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  restante::fuzz::FuzzResponder<restante::policy::PolicyResponder>(data, size, CheckReply);
  return 0;
}
