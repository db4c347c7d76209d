// Socketmap look-ups: any octets, split anywhere; each answer is a netstring.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "client/policy/netstring.h"
#include "client/policy/socketmap_responder.h"
#include "tests/fuzz/responder_play.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using restante::fuzz::Check;
  FuzzedDataProvider from(data, size);
  const bool away = from.ConsumeBool();
  std::vector<size_t> sizes(from.ConsumeIntegralInRange<size_t>(1, 4));
  for (size_t& one : sizes) one = from.ConsumeIntegralInRange<size_t>(1, 100);
  const std::string octets = from.ConsumeRemainingBytesAsString();
  for (const std::string& reply :
       restante::fuzz::PlayBothWays<restante::policy::SocketmapResponder>(octets, sizes, away)) {
    restante::policy::NetstringParser parser;
    const absl::StatusOr<size_t> used = parser.Consume(reply);
    Check(used.ok() && *used == reply.size() && parser.complete(), "an answer is a netstring", reply);
    const std::string text = parser.Take();
    Check(absl::StartsWith(text, "OK ") || text == "NOTFOUND " || absl::StartsWith(text, "TEMP ") ||
              absl::StartsWith(text, "PERM "),
          "an answer begins with its status", text);
  }
  return 0;
}
