// The PROXY header: whatever begins a connection, it is understood within bounds, and
// as much of it as there is says the same.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/smtp/proxy_header.h"
#include "tests/fuzz/check.h"

namespace restante::smtp {
namespace {

using fuzz::Check;
using fuzz::CheckEqual;
using State = ProxyHeader::State;

void CheckClient(absl::string_view client) {
  if (client.empty()) return;
  const bool v6 = client.find(':') != absl::string_view::npos;
  const std::string again =
      absl::StrCat("PROXY ", v6 ? "TCP6" : "TCP4", " ", client, " ", client, " 1 2\r\n");
  const ProxyHeader header = ParseProxyHeader(again);
  Check(header.state == State::kComplete, "an address that was read can be read again", client);
  CheckEqual(header.client, client, "an address is itself");
}

void Look(absl::string_view octets) {
  const ProxyHeader whole = ParseProxyHeader(octets);
  Check(whole.state != State::kIncomplete || octets.size() < ProxyHeader::kMaxLength,
        "nothing is waited for beyond the bound", octets);
  Check(whole.state != State::kMalformed || !whole.reason.empty(), "what is no header is told why", octets);
  State before = State::kIncomplete;
  for (size_t n = 0; n <= octets.size() && n <= ProxyHeader::kMaxLength; ++n) {
    const ProxyHeader part = ParseProxyHeader(octets.substr(0, n));
    Check(before == State::kIncomplete || part.state == before, "a word once said stands",
          octets.substr(0, n));
    if (part.state == State::kComplete) {
      if (before == State::kIncomplete)
        Check(part.length == n, "a header is whole at its last octet", octets);
      CheckEqual(part.client, whole.client, "what follows a header changes nothing");
    }
    before = part.state;
  }
  if (whole.state == State::kComplete) {
    Check(whole.length <= octets.size() && whole.length <= ProxyHeader::kMaxLength, "a header has come",
          octets);
    CheckClient(whole.client);
  }
}

}  // namespace
}  // namespace restante::smtp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  restante::smtp::Look({reinterpret_cast<const char*>(data), size});
  return 0;
}
