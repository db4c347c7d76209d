// What one SMTP transaction came to, for the log.
#ifndef RESTANTE_CLIENT_SMTP_TRANSACTION_RECORD_H_
#define RESTANTE_CLIENT_SMTP_TRANSACTION_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/smtp/reply.h"
#include "client/smtp/xforward.h"

namespace restante::smtp {

// How it ended.
enum class TransactionEnd {
  // Durable for at least one recipient.
  kStored,
  // The same, but each of them had the message from an earlier delivery of it.
  kSuppressed,
  // A reply said no.
  kRefused,
  // RSET, a second hello, QUIT, a lost connection, idle time.
  kAborted,
  // Committed or not: nobody was told.
  kUnknown,
};

// As logs and metrics name it.
inline absl::string_view ToText(TransactionEnd end) {
  switch (end) {
    case TransactionEnd::kStored:
      return "stored";
    case TransactionEnd::kSuppressed:
      return "suppressed";
    case TransactionEnd::kRefused:
      return "refused";
    case TransactionEnd::kAborted:
      return "aborted";
    case TransactionEnd::kUnknown:
      break;
  }
  return "unknown";
}

struct RecipientRecord {
  std::string address;
  // The last word on it: RCPT's reply if that refused it, else the dot's.
  ReplyCode reply;
  // Suppressed: the transaction by which the recipient has the message.
  std::string stored_by = {};
};

// One for every MAIL with a well-formed address, whatever became of it. Addresses
// and the hello name are as the peer sent them.
struct TransactionRecord {
  absl::string_view protocol;
  std::string tls;  // Version and cipher; empty: plain.
  std::string client;
  // What the client, an MTA, said of its own by XFORWARD; may be nullptr.
  std::shared_ptr<const Forwarded> forwarded;
  std::string helo;
  std::string sender;
  // Refused recipients beyond a bound are counted, not kept.
  std::vector<RecipientRecord> recipients;
  size_t more_refused = 0;
  std::optional<uint64_t> declared_size;
  // Octets of the text as it was decoded, without our trace header.
  uint64_t size = 0;
  std::string request_id;      // 16 octets.
  std::string transaction_id;  // Empty before Begun.
  int64_t duration_micros = 0;
  TransactionEnd end = TransactionEnd::kAborted;
  // Why, in the store's or the library's words; may be empty.
  std::string detail;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_TRANSACTION_RECORD_H_
