#include "client/smtp/transport.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace restante::smtp {
namespace {

using Outcome = Transport::Outcome;

// After a call of the system that returned -1.
Outcome OfErrno(Outcome would_block) {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? would_block : Outcome::kBroken;
}

}  // namespace

Transport::Result Transport::Read(std::vector<char>* buffer) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    size_t octets = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer->data(), buffer->size(), &octets);
    return {OfSsl(result), octets};
  }
  const ssize_t n = ::recv(socket_.native_handle(), buffer->data(), buffer->size(), 0);
  if (n < 0) return {OfErrno(Outcome::kReadable)};
  return {n == 0 ? Outcome::kEnd : Outcome::kDone, static_cast<size_t>(n)};
}

Transport::Result Transport::Write(absl::string_view octets) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), octets.data(), octets.size(), &written);
    return {OfSsl(result), written};
  }
  const ssize_t n = ::send(socket_.native_handle(), octets.data(), octets.size(), MSG_NOSIGNAL);
  if (n < 0) return {OfErrno(Outcome::kWritable)};
  return {Outcome::kDone, static_cast<size_t>(n)};
}

Transport::Outcome Transport::Handshake() {
  ERR_clear_error();
  return OfSsl(SSL_do_handshake(ssl_.get()));
}

std::string Transport::Description() const {
  return absl::StrCat(SSL_get_version(ssl_.get()), " ", SSL_get_cipher_name(ssl_.get()));
}

Unread Transport::unread() {
  Unread result = UnreadOf(socket_.native_handle());
  // Of a record that has come in part, OpenSSL has taken that part off the socket.
  if (ssl_ != nullptr && SSL_has_pending(ssl_.get())) result.octets += SSL3_RT_MAX_PLAIN_LENGTH;
  return result;
}

void Transport::EndWrites() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    (void)SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  std::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

Transport::Outcome Transport::OfSsl(int result) {
  if (result == 1) return Outcome::kDone;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Outcome::kReadable;
    case SSL_ERROR_WANT_WRITE:
      return Outcome::kWritable;
    case SSL_ERROR_ZERO_RETURN:
      return Outcome::kEnd;
    case SSL_ERROR_SYSCALL:
      break;
    default: {
      const char* text = ERR_reason_error_string(ERR_peek_last_error());
      reason_ = text == nullptr ? "no reason given" : text;
    }
  }
  ERR_clear_error();
  return Outcome::kBroken;
}

}  // namespace restante::smtp
