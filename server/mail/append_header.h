// What is said about a message before it is appended.
#ifndef RESTANTE_SERVER_MAIL_APPEND_HEADER_H_
#define RESTANTE_SERVER_MAIL_APPEND_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/mail/names.h"

namespace restante::mail {

struct AppendHeader {
  ParentRef parent;
  // Who calls, and its id for the request: 16 octets, or empty for none.
  std::string caller;
  std::string request_id;
  uint64_t size = 0;
  std::optional<uint32_t> crc32c;
  std::optional<int64_t> arrival_us;  // Default: now.
  uint32_t flags = 0;                 // As an entry has them.
  std::vector<std::string> keywords;
  std::string sender;
  std::string recipient;  // Default: the mailbox's address.
  // Charged and counted as exempt; refused for the disk only.
  bool ignore_quota = false;
  // As in engine::CommitRequest: a warning.
  bool unmeasured = false;
  // Taken also when the mailbox is on hold.
  bool while_on_hold = false;
};

// Checks folder, keywords and envelope (proto restante/v1/message.proto), and drops
// keywords that are there already. kInvalidArgument names the field.
absl::Status CheckHeader(AppendHeader& header);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_APPEND_HEADER_H_
