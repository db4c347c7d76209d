// A client of a LoopServer, for tests that read a conversation as they go.
#ifndef RESTANTE_TESTS_SMTP_LOOP_CLIENT_H_
#define RESTANTE_TESTS_SMTP_LOOP_CLIENT_H_

#include <string>

#include "tests/smtp/client_socket.h"
#include "tests/smtp/socket_target.h"

namespace restante::smtp {

// Closes itself.
class Client {
 public:
  explicit Client(LoopServer* server) : server_(server), socket_(server->Connect()) {}

  // All of it, if the server takes it.
  void Send(std::string octets) {
    server_->Until([&] {
      const ssize_t n = socket_.Send(octets);
      if (n > 0) octets.erase(0, static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN) octets.clear();
      return octets.empty();
    });
  }

  // What comes until it ends with a line that begins with `code` and a blank, or the end.
  std::string Read(const std::string& code) {
    std::string all;
    server_->Until([&] {
      char buffer[4096];
      const ssize_t n = socket_.Receive(buffer, sizeof(buffer));
      if (n > 0) all.append(buffer, static_cast<size_t>(n));
      if (n == 0) closed_ = true;
      const size_t line = all.size() < 2 ? std::string::npos : all.rfind('\n', all.size() - 2);
      const size_t begin = line == std::string::npos ? 0 : line + 1;
      return closed_ ||
             (!all.empty() && all.back() == '\n' && all.compare(begin, code.size() + 1, code + " ") == 0);
    });
    return all;
  }

  bool ClosedByServer() {
    Read("never");
    return closed_;
  }

  // False when it fails.
  bool StartTls(const ClientSocket::TlsSettings& settings) {
    return server_->Until([&] { return socket_.Handshake(settings) || socket_.tls_failed(); }) &&
           !socket_.tls_failed();
  }
  bool StartTls() { return StartTls(ClientSocket::TlsSettings()); }

  ClientSocket& socket() { return socket_; }
  int fd() const { return socket_.fd(); }
  void Close() { socket_.Close(); }

 private:
  LoopServer* server_;
  ClientSocket socket_;
  bool closed_ = false;
};

}  // namespace restante::smtp

#endif  // RESTANTE_TESTS_SMTP_LOOP_CLIENT_H_
