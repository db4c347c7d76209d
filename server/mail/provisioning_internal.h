// What the sources of Provisioning share.
#ifndef RESTANTE_SERVER_MAIL_PROVISIONING_INTERNAL_H_
#define RESTANTE_SERVER_MAIL_PROVISIONING_INTERNAL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace restante::mail {

// Different for every resource and every change of its settings.
std::string EtagOf(uint64_t number, uint64_t settings_version);

// kFailedPrecondition, DOMAIN_NOT_HOSTED.
absl::Status NotHosted(absl::string_view resource, absl::string_view domain);
// kAlreadyExists, ADDRESS_EXISTS.
absl::Status AddressTaken(absl::string_view resource, bool by_alias);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_PROVISIONING_INTERNAL_H_
