// What was wrong with a command, for the log and the metrics.
#ifndef RESTANTE_CLIENT_SMTP_COMMAND_ERROR_H_
#define RESTANTE_CLIENT_SMTP_COMMAND_ERROR_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "client/smtp/reply.h"

namespace restante::smtp {

// Of syntax, sequence or time.
struct CommandError {
  absl::string_view protocol;
  // The peer's address, and its name as it gave it.
  absl::string_view client;
  absl::string_view helo;
  Reply reply;
  // The session's errors so far, with this one.
  uint32_t errors = 0;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_COMMAND_ERROR_H_
