// A range of a message's text in one piece.
#ifndef RESTANTE_TESTS_MAIL_READ_ALL_H_
#define RESTANTE_TESTS_MAIL_READ_ALL_H_

#include <cstdint>
#include <string>
#include <utility>

#include "server/base/task.h"
#include "server/mail/messages.h"

namespace restante::mail {

inline Task<absl::StatusOr<std::string>> ReadAll(Messages* messages, MessageRef ref, uint64_t offset = 0,
                                                 uint64_t length = UINT64_MAX) {
  CO_ASSIGN_OR_RETURN(MessageReading reading, co_await messages->Read(std::move(ref), offset, length));
  std::string text;
  while (reading.text.left() > 0) {
    CO_ASSIGN_OR_RETURN(const std::string octets, co_await messages->NextOf(&reading));
    text += octets;
  }
  co_return text;
}

}  // namespace restante::mail

#endif  // RESTANTE_TESTS_MAIL_READ_ALL_H_
