#include "client/policy/socketmap_answer.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/policy/address_bounds.h"
#include "client/smtp/reply.h"

namespace restante::policy {
namespace {

constexpr absl::string_view kDomainMap = "domain";
constexpr absl::string_view kMailboxMap = "mailbox";

// The blank is part of it (socketmap_table(5)).
constexpr char kNotFound[] = "NOTFOUND ";

bool IsHex(char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); }

// The address in `mailboxes/alice%23@example.org`.
std::string AddressOf(absl::string_view name) {
  absl::ConsumePrefix(&name, "mailboxes/");
  std::string address;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '%' && i + 2 < name.size() && IsHex(name[i + 1]) && IsHex(name[i + 2])) {
      absl::StrAppend(&address, absl::HexStringToBytes(name.substr(i + 1, 2)));
      i += 2;
    } else {
      address.push_back(name[i]);
    }
  }
  return address;
}

}  // namespace

absl::StatusOr<std::string> AddressToCheck(const SocketmapRequest& request, absl::string_view nobody) {
  std::string address;
  if (request.map == kDomainMap) {
    address = absl::StrCat(nobody, "@", request.key);
  } else if (request.map == kMailboxMap) {
    address = absl::StartsWith(request.key, "@") ? absl::StrCat(nobody, request.key) : request.key;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("there is no map `", smtp::Shorten(request.map),
                                                   "`, only ", kDomainMap, " and ", kMailboxMap));
  }
  if (!MayBeAddress(address)) return absl::NotFoundError("the key is no address");
  return address;
}

std::string SocketmapAnswer(const SocketmapRequest& request, const absl::StatusOr<v1::Decision>& decision) {
  if (absl::IsInvalidArgument(decision.status())) return absl::StrCat("PERM ", decision.status().message());
  if (absl::IsNotFound(decision.status())) return kNotFound;
  const bool domain = request.map == kDomainMap;
  switch (decision.ok() ? decision->outcome() : v1::OUTCOME_UNAVAILABLE) {
    case v1::OUTCOME_FOREIGN_DOMAIN:
    case v1::OUTCOME_INVALID_ADDRESS:
      return kNotFound;
    case v1::OUTCOME_NO_SUCH_MAILBOX:
    case v1::OUTCOME_MAILBOX_DISABLED:
      return domain ? absl::StrCat("OK ", request.key) : kNotFound;
    case v1::OUTCOME_OK:
    case v1::OUTCOME_MAILBOX_FULL:
    case v1::OUTCOME_MAILBOX_FULL_PERMANENTLY:
    case v1::OUTCOME_DOMAIN_FULL:
    case v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT:
    case v1::OUTCOME_DISK_FULL:
    case v1::OUTCOME_MAILBOX_ON_HOLD:
    case v1::OUTCOME_TOO_MANY_DELIVERIES:
      return absl::StrCat("OK ", domain ? request.key : AddressOf(decision->mailbox()));
    case v1::OUTCOME_NOT_CONFIGURED:
      return "TEMP the store has no domain, or no destination for postmaster";
    default:
      return "TEMP the store does not answer";
  }
}

}  // namespace restante::policy
