// What an MTA in front says of the client that it had: Postfix's XFORWARD
// (XFORWARD_README), for logs and bounds.
#ifndef RESTANTE_CLIENT_SMTP_XFORWARD_H_
#define RESTANTE_CLIENT_SMTP_XFORWARD_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "client/smtp/reply.h"

namespace restante::smtp {

// Empty: not said, or not known there. Printable ASCII of at most 255 octets.
struct Forwarded {
  std::string name;
  std::string address;  // IP address in text.
  std::string port;
  std::string protocol;
  std::string helo;
  std::string ident;   // Of the message, there.
  std::string source;  // LOCAL or REMOTE.
};

// Reads `NAME=xtext ...` and sets what is said in it. The reply that refuses it, and
// then nothing is set.
std::optional<Reply> ParseXforward(absl::string_view argument, Forwarded* forwarded);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_XFORWARD_H_
