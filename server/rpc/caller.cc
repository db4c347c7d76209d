#include "server/rpc/caller.h"

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace restante::rpc {

std::string PeerAddress(const grpc::CallbackServerContext& context) {
  // `ipv4:127.0.0.1:54321` or `ipv6:%5B::1%5D:54321`.
  const std::string peer = absl::StrReplaceAll(context.peer(), {{"%5B", "["}, {"%5D", "]"}});
  absl::string_view rest = peer;
  if (!absl::ConsumePrefix(&rest, "ipv4:") && !absl::ConsumePrefix(&rest, "ipv6:")) return peer;
  const size_t colon = rest.rfind(':');
  rest = rest.substr(0, colon);
  absl::ConsumePrefix(&rest, "[");
  absl::ConsumeSuffix(&rest, "]");
  return std::string(rest);
}

}  // namespace restante::rpc
