// The trace header that this host writes: RFC 5321, 4.4.
#ifndef RESTANTE_CLIENT_SMTP_RECEIVED_HEADER_H_
#define RESTANTE_CLIENT_SMTP_RECEIVED_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace restante::smtp {

struct ReceivedHeader {
  // As it was given; shown without what does not belong into a name and cut to
  // 255 octets.
  absl::string_view helo;
  // The peer's IP address in text.
  absl::string_view address;
  // This host's name.
  absl::string_view hostname;
  // SMTP, ESMTP, LMTP, ESMTPS or LMTPS (RFC 3848), UTF8SMTP and its like (RFC 6531).
  absl::string_view protocol;

  // `Received: from helo ([address]) by hostname with ESMTP id ...; date`, folded
  // and with CRLF at its end. There is no `for` clause, so that one text serves
  // all recipients. The time is UTC.
  //
  // Its length depends on neither the time nor the transaction, as long as ids
  // have kTransactionIdLength octets: so it is known before the store has said
  // what the id is.
  std::string Format(absl::string_view transaction_id, int64_t wall_micros) const;
  size_t length() const;

  static constexpr size_t kTransactionIdLength = 32;
};

// A hello name as logs and headers show it: at most 255 octets, each that is not
// of a domain or an address literal replaced by '?'; never empty.
std::string SanitizeHelo(absl::string_view helo);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_RECEIVED_HEADER_H_
