#include "tests/smtp/client_socket.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace restante::smtp {

ssize_t ClientSocket::Send(const std::string& octets) {
  if (ssl_ == nullptr) return ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ERR_clear_error();
  size_t sent = 0;
  const int result = SSL_write_ex(ssl_.get(), octets.data(), octets.size(), &sent);
  return OfSsl(result, sent);
}

ssize_t ClientSocket::Receive(char* buffer, size_t size) {
  if (ssl_ == nullptr) return ::recv(fd_, buffer, size, MSG_DONTWAIT);
  ERR_clear_error();
  size_t received = 0;
  const int result = SSL_read_ex(ssl_.get(), buffer, size, &received);
  return OfSsl(result, received);
}

ssize_t ClientSocket::OfSsl(int result, size_t octets) {
  if (result == 1) return static_cast<ssize_t>(octets);
  const int error = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
  return -1;
}

bool ClientSocket::Handshake(const TlsSettings& settings) {
  if (ssl_ == nullptr) {
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_mode(context_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // To see it when a protocol is not offered, and not what the system's settings say.
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_.get(), settings.max_version);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), fd_);
    SSL_set_connect_state(ssl_.get());
    if (settings.resume != nullptr) SSL_set_session(ssl_.get(), settings.resume);
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return true;
  tls_failed_ = OfSsl(result, 0) == 0 || errno != EAGAIN;
  return false;
}

void ClientSocket::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace restante::smtp
