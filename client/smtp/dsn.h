// Words of the parameters for delivery status notifications: RFC 3461. What ENVID and
// ORCPT take is in server/mail/dsn.h.
#ifndef RESTANTE_CLIENT_SMTP_DSN_H_
#define RESTANTE_CLIENT_SMTP_DSN_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "restante/v1/common.pb.h"

namespace restante::smtp {

// RET (4.3): FULL or HDRS, in any case.
std::optional<v1::Ret> ParseRet(absl::string_view value);

// NOTIFY (4.1), in any case: NEVER alone, or a list of SUCCESS, FAILURE and DELAY,
// each at most once; in the order given.
std::optional<std::vector<v1::Notify>> ParseNotify(absl::string_view value);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_DSN_H_
