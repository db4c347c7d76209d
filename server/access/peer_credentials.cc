#include "server/access/peer_credentials.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace restante::access {
namespace {

constexpr absl::string_view kScheme = "Bearer ";

absl::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

}  // namespace

Credentials PeerCredentials(const grpc::AuthContext* authentication,
                            const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  Credentials credentials;
  if (authentication != nullptr) {
    for (const char* property :
         {GRPC_X509_CN_PROPERTY_NAME, GRPC_PEER_DNS_PROPERTY_NAME, GRPC_PEER_URI_PROPERTY_NAME}) {
      for (const grpc::string_ref& name : authentication->FindPropertyValues(property)) {
        if (!name.empty()) credentials.certificate_names.emplace_back(name.data(), name.size());
      }
    }
  }
  const auto [first, last] = metadata.equal_range("authorization");
  for (auto it = first; it != last; ++it) {
    const absl::string_view value = View(it->second);
    const absl::string_view token = value.substr(std::min(kScheme.size(), value.size()));
    credentials.malformed = credentials.malformed || credentials.token.has_value() ||
                            !absl::StartsWithIgnoreCase(value, kScheme) || !CheckToken(token).ok();
    if (!credentials.malformed) credentials.token = TokenHash::Of(token);
  }
  return credentials;
}

}  // namespace restante::access
