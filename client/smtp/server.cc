#include "client/smtp/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/smtp/connection.h"
#include "client/smtp/tls_context.h"
#include "server/base/log.h"

namespace restante::smtp {
namespace {

using asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kReadBuffer = 64 * 1024;
constexpr uint16_t kSmtpPort = 25;

// How long it counts as full after a peer was turned away.
constexpr std::chrono::seconds kStress{30};
constexpr absl::string_view kTooMany = "Too many connections, try again later";

}  // namespace

Server::Server(asio::io_context* io, ServerOptions options, const SessionHost* host)
    : io_(io),
      options_(std::move(options)),
      read_buffer_(kReadBuffer),
      limits_(options_.client_bounds),
      host_({.session = host,
             .tls = options_.tls,
             .read_buffer = &read_buffer_,
             .handshake_timeout = options_.handshake_timeout,
             .proxy_timeout = options_.proxy_timeout,
             .trusted = &options_.trusted_networks,
             .limits = &limits_,
             .turned_away =
                 [this, clock = host->clock](absl::string_view reason, const asio::ip::address& client,
                                             absl::string_view text) {
                   if (options_.on_turned_away != nullptr) options_.on_turned_away(reason);
                   turned_away_.try_emplace(std::string(reason), "a peer was turned away", clock)
                       .first->second.Say(
                           {{"client", client.to_string()}, {"kind", reason}, {"reason", text}});
                 }}),
      sweep_(*io),
      grace_(*io) {
  ScheduleSweep();
}

Server::~Server() = default;

absl::StatusOr<std::string> Server::Listen(const Service& service, absl::string_view address) {
  absl::StatusOr<tcp::endpoint> at = ParseListenAddress(address);
  if (!at.ok()) return at.status();
  if (service.protocol == Protocol::kLmtp && at->port() == kSmtpPort) {
    return absl::InvalidArgumentError(absl::StrCat("`", address, "`: LMTP is not for port 25 (RFC 2033, 5)"));
  }
  if (service.implicit_tls && options_.tls == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("`", address, "`: TLS needs a certificate"));
  }
  auto endpoint = std::make_unique<Endpoint>(Endpoint{{.session = options_.session,
                                                       .implicit_tls = service.implicit_tls,
                                                       .proxy_header = service.proxy_header},
                                                      nullptr});
  endpoint->options.session.protocol = service.protocol;
  endpoint->options.session.offer_tls = options_.tls != nullptr;
  absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Open(
      io_, *at, [this, opened = endpoint.get()](tcp::socket socket, const asio::ip::address& peer) {
        Take(opened, std::move(socket), peer);
      });
  if (!listener.ok()) return listener.status();
  endpoint->listener = *std::move(listener);
  endpoints_.push_back(std::move(endpoint));
  return endpoints_.back()->listener->address();
}

void Server::Take(const Endpoint* endpoint, tcp::socket socket, const asio::ip::address& peer) {
  if (endpoint->options.proxy_header && !options_.trusted_networks.Contains(peer)) {
    return host_.turned_away("not_trusted", Unmapped(peer), "PROXY is for trusted networks only");
  }
  if (connections_.size() >= options_.max_connections) {
    full_ = steady_clock::now();
    host_.turned_away("too_many_connections", Unmapped(peer), kTooMany);
    return Turn(*endpoint, std::move(socket));
  }
  asio::co_spawn(*io_, Serve(endpoint, std::move(socket), peer), asio::detached);
}

asio::awaitable<void> Server::Serve(const Endpoint* endpoint, tcp::socket socket, asio::ip::address peer) {
  Connection connection(std::move(socket), peer, &endpoint->options, &host_);
  connections_.insert(&connection);
  TellConnections();
  co_await connection.Run();
  connections_.erase(&connection);
  TellConnections();
  FinishDrain();
}

void Server::TellConnections() const {
  if (options_.on_connections != nullptr) options_.on_connections(connections_.size());
}

void Server::Turn(const Endpoint& endpoint, tcp::socket socket) {
  // A handshake would cost more than the connection that there is no room for, and
  // nothing is said before a proxy's header.
  if (endpoint.options.implicit_tls || endpoint.options.proxy_header) return;
  std::string reply;
  AppendReply(kTooManyConnections, absl::StrCat(options_.session.hostname, " ", kTooMany), &reply);
  // The peer waits for the greeting: an empty socket takes one line.
  (void)::send(socket.native_handle(), reply.data(), reply.size(), MSG_NOSIGNAL);
  std::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void Server::ScheduleSweep() {
  const milliseconds period =
      std::clamp<milliseconds>(options_.idle_timeout / 8, milliseconds(10), milliseconds(1000));
  sweep_.expires_after(period);
  sweep_.async_wait([this](std::error_code error) {
    if (error) return;
    const auto now = steady_clock::now();
    Connection::Patience patience{options_.idle_timeout, options_.idle_timeout};
    if (full_.has_value() && now - *full_ < kStress) {
      // Those who come now need the room more than those who say nothing.
      patience = {std::min(patience.outside, options_.stress_patience.outside),
                  std::min(patience.within, options_.stress_patience.within)};
    }
    // None of them ends within Sweep: that is for its coroutine to do later.
    for (Connection* connection : connections_) connection->Sweep(now, patience);
    if (options_.tls != nullptr) options_.tls->ReloadIfChanged();
    ScheduleSweep();
  });
}

void Server::Drain(milliseconds grace, std::function<void()> done) {
  drained_ = std::move(done);
  for (auto& endpoint : endpoints_) endpoint->listener->Close();
  for (Connection* connection : connections_) connection->Shutdown(/*now=*/false);
  grace_.expires_after(grace);
  grace_.async_wait([this](std::error_code error) {
    if (error) return;
    for (Connection* connection : connections_) connection->Shutdown(/*now=*/true);
    // What still waits for the store ends without a word: the sender keeps it.
    grace_.expires_after(std::chrono::seconds(1));
    grace_.async_wait([this](std::error_code cancelled) {
      if (cancelled) return;
      for (Connection* connection : connections_) connection->Kill();
    });
  });
  FinishDrain();
}

void Server::FinishDrain() {
  if (drained_ == nullptr || !connections_.empty()) return;
  sweep_.cancel();
  grace_.cancel();
  std::exchange(drained_, nullptr)();
}

}  // namespace restante::smtp
