// Socketmap look-ups: any octets, split anywhere; each answer is a netstring.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "client/policy/netstring.h"
#include "client/policy/socketmap_responder.h"
#include "tests/fuzz/responder_play.h"

namespace {

void CheckReply(const std::string& reply) {
  using restante::fuzz::Check;
  restante::policy::NetstringParser parser;
  const absl::StatusOr<size_t> used = parser.Consume(reply);
  Check(used.ok() && *used == reply.size() && parser.complete(), "an answer is a netstring", reply);
  const std::string text = parser.Take();
  Check(absl::StartsWith(text, "OK ") || text == "NOTFOUND " || absl::StartsWith(text, "TEMP ") ||
            absl::StartsWith(text, "PERM "),
        "an answer begins with its status", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  restante::fuzz::FuzzResponder<restante::policy::SocketmapResponder>(data, size, CheckReply);
  return 0;
}
