// The client's end of a connection to a server in the same thread: plain, and in
// TLS from some octet on. Never blocks.
#ifndef RESTANTE_TESTS_SMTP_CLIENT_SOCKET_H_
#define RESTANTE_TESTS_SMTP_CLIENT_SOCKET_H_

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <string>

#include "client/smtp/tls_context.h"

namespace restante::smtp {

class ClientSocket {
 public:
  // Takes the socket; one that is -1 is closed already.
  explicit ClientSocket(int fd) : fd_(fd) {}
  ~ClientSocket() { Close(); }
  ClientSocket(const ClientSocket&) = delete;

  // As send and recv: octets, 0 at the end of the peer's, -1 with errno EAGAIN when
  // it would block.
  ssize_t Send(const std::string& octets);
  ssize_t Receive(char* buffer, size_t size);

  // Another step of a TLS handshake; to be called until it is true, or tls_failed().
  // `settings`: which context to use, and a session to be resumed.
  struct TlsSettings {
    int max_version = 0;
    SSL_SESSION* resume = nullptr;
  };
  bool Handshake(const TlsSettings& settings);
  bool Handshake() { return Handshake(TlsSettings()); }
  bool tls_failed() const { return tls_failed_; }
  SSL* ssl() { return ssl_.get(); }
  // In TLS: whether the peer ended with close_notify.
  bool ended_properly() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

  // Not told to the peer in TLS.
  void Close();
  // Tells it, without which OpenSSL resumes no session.
  void CloseTls() { SSL_shutdown(ssl_.get()); }
  int fd() const { return fd_; }

 private:
  ssize_t OfSsl(int result, size_t octets);

  int fd_;
  SslContextPtr context_;
  SslPtr ssl_;
  bool tls_failed_ = false;
};

}  // namespace restante::smtp

#endif  // RESTANTE_TESTS_SMTP_CLIENT_SOCKET_H_
