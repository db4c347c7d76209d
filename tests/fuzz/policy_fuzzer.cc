// Policy requests: any octets, split anywhere; never OK, and one action each.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "client/policy/policy_responder.h"
#include "tests/fuzz/responder_play.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using restante::fuzz::Check;
  FuzzedDataProvider from(data, size);
  const bool away = from.ConsumeBool();
  std::vector<size_t> sizes(from.ConsumeIntegralInRange<size_t>(1, 4));
  for (size_t& one : sizes) one = from.ConsumeIntegralInRange<size_t>(1, 100);
  const std::string octets = from.ConsumeRemainingBytesAsString();
  for (const std::string& reply :
       restante::fuzz::PlayBothWays<restante::policy::PolicyResponder>(octets, sizes, away)) {
    Check(absl::StartsWith(reply, "action=DUNNO\n") || absl::StartsWith(reply, "action=4") ||
              absl::StartsWith(reply, "action=5"),
          "an action is DUNNO or a refusal", reply);
    Check(absl::EndsWith(reply, "\n\n") && reply.find('\n') == reply.size() - 2, "an action is one line",
          reply);
  }
  return 0;
}
