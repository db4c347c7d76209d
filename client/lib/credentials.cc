#include "client/lib/credentials.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/lib/store_names.h"
#include "server/access/token.h"
#include "server/base/status_macros.h"

namespace restante {
namespace client_internal {
namespace {

// Whether what is said to `target` stays on this machine.
bool IsLocal(absl::string_view target) {
  if (absl::StartsWith(target, "unix:") || absl::StartsWith(target, "unix-abstract:")) return true;
  for (const absl::string_view scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (absl::ConsumePrefix(&target, scheme)) break;
  }
  if (absl::ConsumePrefix(&target, "[")) return absl::StartsWith(target, "::1]");
  const absl::string_view host = target.substr(0, target.rfind(':'));
  const bool v4 = host.find_first_not_of("0123456789.") == absl::string_view::npos;
  return host == "localhost" || (v4 && absl::StartsWith(host, "127."));
}

}  // namespace

absl::Status CheckCombination(const StoreCredentials& credentials, absl::string_view target) {
  if (credentials.certificate_file.empty() != credentials.key_file.empty()) {
    return absl::InvalidArgumentError(credentials.key_file.empty()
                                          ? "the certificate for the store needs its key"
                                          : "the key for the store needs its certificate");
  }
  if (!credentials.ca_file.empty()) return absl::OkStatus();
  if (!credentials.certificate_file.empty()) {
    return absl::InvalidArgumentError(
        "the certificate for the store needs an authority, by which the store's is believed");
  }
  if (!credentials.token_file.empty() && !IsLocal(target)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the token would go in the clear to ", target,
                     ": it needs an authority, by which the store's certificate is believed"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PemTexts> ReadCertificates(const StoreCredentials& credentials) {
  ASSIGN_OR_RETURN(PemTexts texts, ReadPemFiles({.certificate = credentials.certificate_file,
                                                 .key = credentials.key_file,
                                                 .authorities = credentials.ca_file}));
  if (texts.expires <= absl::Now()) {
    return absl::FailedPreconditionError(
        absl::StrCat("`", credentials.certificate_file, "`: the certificate has expired on ",
                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", texts.expires, absl::UTCTimeZone())));
  }
  return texts;
}

}  // namespace client_internal

absl::Status CheckCredentials(const StoreCredentials& credentials, absl::string_view target) {
  ASSIGN_OR_RETURN(const std::vector<client_internal::StoreName> names,
                   client_internal::ParseStoreNames(target));
  for (const client_internal::StoreName& name : names) {
    RETURN_IF_ERROR(client_internal::CheckCombination(credentials, name.target));
  }
  RETURN_IF_ERROR(client_internal::ReadCertificates(credentials).status());
  if (credentials.token_file.empty()) return absl::OkStatus();
  return access::ReadToken(credentials.token_file).status();
}

}  // namespace restante
