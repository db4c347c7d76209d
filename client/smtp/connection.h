// One peer: a socket, and the Session that speaks for us.
#ifndef RESTANTE_CLIENT_SMTP_CONNECTION_H_
#define RESTANTE_CLIENT_SMTP_CONNECTION_H_

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/smtp/session.h"

namespace restante::smtp {

// All on the thread of the socket's io_context. Holds no read buffer while the
// peer is silent: all connections read into the one they are given, and the
// session copies what must stay.
class Connection {
 public:
  // `socket` is non-blocking. `read_buffer` is shared and outlives all of them.
  Connection(asio::ip::tcp::socket socket, std::string client, const SessionOptions* options,
             const SessionHost* host, std::vector<char>* read_buffer);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The whole conversation. The connection must live until it returns.
  asio::awaitable<void> Run();

  // To be called now and then: acts on a peer that has been idle for `idle`.
  void Sweep(std::chrono::steady_clock::time_point now, std::chrono::milliseconds idle);

  // As Session::Shutdown.
  void Shutdown(bool now);

  // Ends Run without another word.
  void Kill();

 private:
  enum class Waiting { kForNothing, kToRead, kToWrite, kForStore, kToLinger };

  // Lets Run look again at what the session wants.
  void Wake();
  // False when the peer is gone.
  asio::awaitable<bool> Flush();
  asio::awaitable<bool> WaitForSocket(asio::ip::tcp::socket::wait_type type, Waiting why);
  // Reads on until the peer has closed: closing with octets unread would make
  // the kernel throw away our last reply.
  asio::awaitable<void> Linger();

  asio::ip::tcp::socket socket_;
  std::vector<char>* const read_buffer_;
  // Cancelled to wake Run; never expires.
  asio::steady_timer wake_;
  bool killed_ = false;
  Waiting waiting_ = Waiting::kForNothing;
  // How long the store's word is waited for.
  const std::chrono::milliseconds patience_;
  // When the peer was last seen to do something, as of the last sweep.
  std::chrono::steady_clock::time_point active_;
  uint64_t seen_progress_ = 0;
  Session session_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_CONNECTION_H_
