// Resource names (proto restante/v1/common.proto): the one place that writes and
// reads them.
//
// Parsing takes any spelling of an address and any percent-encoding of it;
// writing gives the canonical one, so that name -> parse -> name is stable.
// Errors of all Parse functions: kInvalidArgument with what is wrong.
#ifndef RESTANTE_SERVER_MAIL_NAMES_H_
#define RESTANTE_SERVER_MAIL_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/mail/address.h"

namespace restante::mail {

// The folder that every mailbox has. Its name is compared without ASCII case
// (RFC 3501, 5.1).
inline constexpr absl::string_view kInbox = "INBOX";

// `domains/example.org`. `domain` is canonical.
std::string DomainName(absl::string_view domain);
absl::StatusOr<std::string> ParseDomainName(absl::string_view name);

// `mailboxes/alice@example.org`, of an address or of its ToString().
std::string MailboxName(absl::string_view canonical_address);
std::string MailboxName(const Address& address);
absl::StatusOr<Address> ParseMailboxName(absl::string_view name);

// `aliases/info@example.org`.
std::string AliasName(const Address& address);
absl::StatusOr<Address> ParseAliasName(absl::string_view name);

// `mailboxes/alice@example.org/folders/INBOX/messages/42`.
std::string MessageName(absl::string_view canonical_address, absl::string_view folder, uint64_t uid);
struct MessageRef {
  Address mailbox;
  std::string folder;
  uint64_t uid = 0;
};
absl::StatusOr<MessageRef> ParseMessageName(absl::string_view name);

// `mailboxes/alice@example.org`, or with `/folders/INBOX` after it.
struct ParentRef {
  Address mailbox;
  std::optional<std::string> folder;
};
absl::StatusOr<ParentRef> ParseParentName(absl::string_view name);

// Percent-encoding (RFC 3986, 2.1) of all but unreserved characters, `@`, `+`
// and `=`.
std::string PercentEncode(absl::string_view text);
absl::StatusOr<std::string> PercentDecode(absl::string_view text);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_NAMES_H_
