// The listeners, and all connections that came by them.
#ifndef RESTANTE_CLIENT_SMTP_SERVER_H_
#define RESTANTE_CLIENT_SMTP_SERVER_H_

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/smtp/client_limits.h"
#include "client/smtp/connection.h"
#include "client/smtp/listener.h"
#include "client/smtp/networks.h"
#include "client/smtp/session.h"
#include "server/base/repeated_warning.h"

namespace restante::smtp {

class TlsContext;

// What is spoken at an address.
struct Service {
  Protocol protocol = Protocol::kSmtp;
  // TLS from the first octet on (RFC 8314, 3), and not by STARTTLS.
  bool implicit_tls = false;
  // Each connection begins with the header of the PROXY protocol, 1 or 2, and only
  // trusted networks may connect. The client that it names is who all else is about:
  // who may speak LMTP, logs, `Received`, bounds.
  bool proxy_header = false;
};

struct ServerOptions {
  // `protocol` and `offer_tls` are the listener's.
  SessionOptions session;
  // At the same time, over all listeners; more are told 421. For a while after that
  // peers may be silent for stress_patience only.
  uint32_t max_connections = 15'000;
  // For each client address outside of trusted_networks.
  ClientBounds client_bounds;
  std::chrono::milliseconds idle_timeout{300'000};
  // Short for a person and long for a program.
  Connection::Patience stress_patience{std::chrono::seconds(5), std::chrono::seconds(30)};
  // Who may speak LMTP, whose PROXY header is believed, and who is not bound by
  // client_bounds.
  Networks trusted_networks = Networks::Loopback();
  // Outlives the server, which looks whether its files have changed. nullptr: there
  // is no TLS.
  TlsContext* tls = nullptr;
  std::chrono::milliseconds handshake_timeout{30'000};
  std::chrono::milliseconds proxy_timeout{5'000};
  // A peer was turned away before it said anything, or for what it said instead of
  // TLS; `reason` is one word for the kind.
  // May be absent.
  std::function<void(absl::string_view reason)> on_turned_away = nullptr;
  // So many peers are connected now. May be absent.
  std::function<void(size_t)> on_connections = nullptr;
};

// All on the io_context's one thread. Must not be destroyed before the
// io_context has stopped running.
class Server {
 public:
  Server(asio::io_context* io, ServerOptions options, const SessionHost* host);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Listens at `address` (`127.0.0.1:2525`, `[::1]:2525`; port 0: any free one)
  // and returns it with the port. LMTP is never spoken at port 25 (RFC 2033, 5).
  // Errors: kInvalidArgument for an address that is none, and for implicit TLS
  // without a certificate; kUnavailable when the system does not let us have it.
  absl::StatusOr<std::string> Listen(const Service& service, absl::string_view address);

  // Stops accepting; idle peers are told 421, transactions may go on for `grace`;
  // `done` is called when no connection is left.
  void Drain(std::chrono::milliseconds grace, std::function<void()> done);

  size_t connections() const { return connections_.size(); }

 private:
  // One address.
  struct Endpoint {
    ConnectionOptions options;
    std::unique_ptr<Listener> listener;
  };

  asio::awaitable<void> Serve(const Endpoint* endpoint, asio::ip::tcp::socket socket, asio::ip::address peer);
  void Take(const Endpoint* endpoint, asio::ip::tcp::socket socket, const asio::ip::address& peer);
  // Closes, with a reply where one may be said at once.
  void Turn(const Endpoint& endpoint, asio::ip::tcp::socket socket);
  void TellConnections() const;
  void ScheduleSweep();
  void FinishDrain();

  asio::io_context* const io_;
  const ServerOptions options_;
  std::vector<char> read_buffer_;
  // By the kind of the reason, so that what many are turned away for does not hide
  // the others.
  std::map<std::string, RepeatedWarning> turned_away_;
  ClientLimits limits_;
  // When there was last no room for a peer.
  std::optional<std::chrono::steady_clock::time_point> full_;
  const ConnectionHost host_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::unordered_set<Connection*> connections_;
  asio::steady_timer sweep_;
  asio::steady_timer grace_;
  std::function<void()> drained_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_SERVER_H_
