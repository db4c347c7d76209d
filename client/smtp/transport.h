// Octets to and from one peer: as they are, or through TLS.
#ifndef RESTANTE_CLIENT_SMTP_TRANSPORT_H_
#define RESTANTE_CLIENT_SMTP_TRANSPORT_H_

#include <asio/ip/tcp.hpp>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/smtp/socket_state.h"
#include "client/smtp/tls_context.h"

namespace restante::smtp {

// Never blocks. Plain until BeginTls(), and costs no more than its socket until then.
class Transport {
 public:
  enum class Outcome {
    kDone,
    // Call again when the socket is readable, or writable.
    kReadable,
    kWritable,
    // The peer sends no more.
    kEnd,
    // The connection is of no use any more.
    kBroken,
  };
  struct Result {
    Outcome outcome = Outcome::kBroken;
    size_t octets = 0;
  };

  // `socket` is non-blocking.
  explicit Transport(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  // `buffer` has room for a whole record of TLS (16 KiB).
  Result Read(std::vector<char>* buffer);
  Result Write(absl::string_view octets);

  // Speaks TLS from here on, as `ssl` does, which belongs to this socket:
  // Handshake() until it is done comes first.
  void BeginTls(SslPtr ssl) { ssl_ = std::move(ssl); }
  Outcome Handshake();
  bool tls() const { return ssl_ != nullptr; }
  // Version and cipher, `TLSv1.3 TLS_AES_256_GCM_SHA384`.
  std::string Description() const;
  // Why TLS is broken, if not by the connection's end.
  const std::string& reason() const { return reason_; }

  // What has come from the peer and was not read. In TLS at least as much as it will
  // be when it is decrypted.
  Unread unread();

  // Nothing more is written. In TLS the peer is told so first (RFC 8446, 6.1), if the
  // handshake was done.
  void EndWrites();

  // For waiting, and for reading past TLS.
  asio::ip::tcp::socket& socket() { return socket_; }

 private:
  Outcome OfSsl(int result);

  asio::ip::tcp::socket socket_;
  SslPtr ssl_;
  std::string reason_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_TRANSPORT_H_
