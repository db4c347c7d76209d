// A listening TCP socket.
#ifndef RESTANTE_CLIENT_SMTP_LISTENER_H_
#define RESTANTE_CLIENT_SMTP_LISTENER_H_

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::smtp {

// `127.0.0.1:2525`, `[::1]:2525`, `localhost:2525`; kInvalidArgument for others.
absl::StatusOr<asio::ip::tcp::endpoint> ParseListenAddress(absl::string_view text);

// All on the io_context's one thread. Must not be destroyed before the io_context
// has stopped running.
class Listener {
 public:
  // A connected socket, non-blocking and without delay, and whose it is.
  using OnPeer = std::function<void(asio::ip::tcp::socket, const asio::ip::address&)>;

  // Begins to accept; port 0 is any free one. kUnavailable when the system does
  // not let us have the address.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(asio::io_context* io,
                                                        const asio::ip::tcp::endpoint& endpoint,
                                                        OnPeer on_peer);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // With the port.
  const std::string& address() const { return address_; }

  // Accepts no more.
  void Close();

 private:
  Listener(asio::ip::tcp::acceptor acceptor, std::string address, OnPeer on_peer);

  asio::awaitable<void> Accept();

  asio::ip::tcp::acceptor acceptor_;
  const std::string address_;
  const OnPeer on_peer_;
  std::chrono::steady_clock::time_point last_warning_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_LISTENER_H_
