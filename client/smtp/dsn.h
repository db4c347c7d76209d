// Values of the parameters for delivery status notifications: RFC 3461.
#ifndef RESTANTE_CLIENT_SMTP_DSN_H_
#define RESTANTE_CLIENT_SMTP_DSN_H_

#include "absl/strings/string_view.h"

namespace restante::smtp {

// RET (4.3): FULL or HDRS, in any case.
bool IsRet(absl::string_view value);

// ENVID (4.4): xtext (4) of 1 to 100 octets that stands for printable ASCII.
bool IsEnvelopeId(absl::string_view value);

// NOTIFY (4.1), in any case: NEVER alone, or a list of SUCCESS, FAILURE and DELAY,
// each at most once.
bool IsNotify(absl::string_view value);

// ORCPT (4.2): `type;xtext` of at most 500 octets in all, the xtext as for ENVID.
// With `smtputf8` UTF-8 may follow the type `utf-8` as it is (RFC 6533, 3).
bool IsOriginalRecipient(absl::string_view value, bool smtputf8);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_DSN_H_
