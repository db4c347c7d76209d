#include "client/lib/store_names.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace restante::client_internal {
namespace {

StoreName ParseStoreName(absl::string_view text) {
  StoreName name{.target = std::string(text), .host = "", .port = ""};
  if (!absl::ConsumePrefix(&text, "dns:///")) absl::ConsumePrefix(&text, "dns:");
  // Another scheme, a DNS server of its own and an IPv6 address have a slash or two
  // colons.
  const size_t colon = text.find(':');
  if (colon == absl::string_view::npos || colon != text.rfind(':') || absl::StrContains(text, '/'))
    return name;
  const absl::string_view host = text.substr(0, colon);
  const absl::string_view port = text.substr(colon + 1);
  const bool digits = !port.empty() && std::all_of(port.begin(), port.end(), absl::ascii_isdigit);
  const bool address = host.find_first_not_of("0123456789.") == absl::string_view::npos;
  if (!digits || address || absl::EqualsIgnoreCase(host, "localhost")) return name;
  name.host = std::string(host);
  name.port = std::string(port);
  return name;
}

}  // namespace

absl::StatusOr<std::vector<StoreName>> ParseStoreNames(absl::string_view target) {
  std::vector<StoreName> names;
  for (const absl::string_view part : absl::StrSplit(target, ',')) {
    const absl::string_view text = absl::StripAsciiWhitespace(part);
    if (text.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", target, "`: an address of a store is missing, or a comma too many is there"));
    }
    const bool again =
        std::any_of(names.begin(), names.end(), [&](const StoreName& name) { return name.target == text; });
    if (!again) names.push_back(ParseStoreName(text));
  }
  return names;
}

absl::StatusOr<std::vector<std::string>> SystemResolver::Resolve(const std::string& host,
                                                                 const std::string& port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrCat(host, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  std::vector<std::string> result;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    std::string address =
        at->ai_family == AF_INET6 ? absl::StrCat("[", text, "]:", port) : absl::StrCat(text, ":", port);
    result.push_back(std::move(address));
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

}  // namespace restante::client_internal
