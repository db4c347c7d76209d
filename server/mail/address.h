// Mail addresses (RFC 5321, 4.1.2; RFC 6531, 3.3) in their canonical form, by
// which they are compared and kept.
#ifndef RESTANTE_SERVER_MAIL_ADDRESS_H_
#define RESTANTE_SERVER_MAIL_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::mail {

// A canonical address. Local part: what quoting means, not how it was written;
// NFC, ASCII letters in lower case. Domain: A-labels in lower case, or an address
// literal with its brackets.
struct Address {
  std::string local;
  std::string domain;

  // `local@domain`; the local part is quoted only where it must be. Parses back
  // to the same address.
  std::string ToString() const;

  friend bool operator==(const Address&, const Address&) = default;
};

// Reads a mailbox without angle brackets: dot-string or quoted-string, `@`,
// domain or address literal. A source route before it (`@a,@b:user@c`) is
// ignored. The local part may have 64 octets, the domain 255.
//
// Errors: kInvalidArgument with what is wrong; the input is not repeated.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// Reads a domain (in U-labels or A-labels, RFC 5890) or an address literal
// (`[192.0.2.1]`, `[IPv6:2001:db8::1]`) and returns its canonical form.
//
// Errors: kInvalidArgument with what is wrong; the input is not repeated.
absl::StatusOr<std::string> ParseDomain(absl::string_view text);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_ADDRESS_H_
