// Parameters for delivery status notifications (RFC 3461): what may be said, for the
// store and for its front end.
#ifndef RESTANTE_SERVER_MAIL_DSN_H_
#define RESTANTE_SERVER_MAIL_DSN_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "restante/v1/delivery.pb.h"

namespace restante::dsn {

// Octets.
inline constexpr size_t kMaxEnvelopeId = 100;
inline constexpr size_t kMaxOriginalRecipient = 500;

// All of these: kInvalidArgument with what is wrong, to stand behind the field's
// name: `has 101 octets, at most 100 are taken`.

// ENVID (4.4): xtext (4) of at least one character that stands for printable ASCII.
absl::Status CheckEnvelopeId(absl::string_view envid);

// ORCPT (4.2): `addr-type;xtext`, the xtext as for ENVID. With `utf8` UTF-8 may follow
// the type `utf-8` as it is (RFC 6533, 3).
absl::Status CheckOriginalRecipient(absl::string_view orcpt, bool utf8);

// NOTIFY (4.1): NEVER alone, or each of the others at most once.
absl::Status CheckNotify(absl::Span<const int> notify);

// The parameters that an event has, if any; the status names the field.
absl::Status Check(const v1::Begin& begin);
absl::Status Check(const v1::Recipient& recipient);

}  // namespace restante::dsn

#endif  // RESTANTE_SERVER_MAIL_DSN_H_
