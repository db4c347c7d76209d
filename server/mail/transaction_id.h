// How a delivery is named for ever.
#ifndef RESTANTE_SERVER_MAIL_TRANSACTION_ID_H_
#define RESTANTE_SERVER_MAIL_TRANSACTION_ID_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/engine/types.h"

namespace restante::mail {

// The first 16 octets of SHA-256 over the caller's identity (with its length in
// front, so that no two pairs run together) and the request id. Nobody can name
// another caller's transaction.
engine::TransactionId MakeTransactionId(absl::string_view caller, absl::string_view request_id);

// What retries of a message are recognised by (engine::CommitRequest): the same
// hash over reverse path and digest. 16 octets.
std::string MakeRetryKey(absl::string_view reverse_path, absl::string_view digest);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_TRANSACTION_ID_H_
