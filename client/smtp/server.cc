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

}  // namespace

Server::Server(asio::io_context* io, ServerOptions options, const SessionHost* host)
    : io_(io),
      options_(std::move(options)),
      read_buffer_(kReadBuffer),
      bad_handshakes_("a peer and we cannot agree on TLS", host->clock),
      turned_away_("a peer was turned away", host->clock),
      limits_(options_.client_bounds),
      host_({.session = host,
             .tls = options_.tls,
             .read_buffer = &read_buffer_,
             .handshake_timeout = options_.handshake_timeout,
             .bad_handshakes = &bad_handshakes_}),
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
  auto endpoint = std::make_unique<Endpoint>(
      Endpoint{{.session = options_.session, .implicit_tls = service.implicit_tls}, nullptr});
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
  const bool is_stranger = !options_.trusted_networks.Contains(peer);
  if (std::optional<Rejection> rejection = Judge(*endpoint, peer, is_stranger)) {
    return Turn(*endpoint, std::move(socket), *rejection, Unmapped(peer).to_string());
  }
  asio::co_spawn(*io_, Serve(endpoint, std::move(socket), peer, is_stranger), asio::detached);
}

std::optional<Server::Rejection> Server::Judge(const Endpoint& endpoint, const asio::ip::address& peer,
                                               bool is_stranger) {
  if (endpoint.options.session.protocol == Protocol::kLmtp && is_stranger) {
    return Rejection{"not_trusted", kNotTrusted, "LMTP is for trusted networks only"};
  }
  if (connections_.size() >= options_.max_connections) {
    full_ = steady_clock::now();
    return Rejection{"too_many_connections", kTooManyConnections, "Too many connections, try again later"};
  }
  if (!is_stranger) return std::nullopt;
  const ClientLimits::Verdict verdict = limits_.Admit(peer, steady_clock::now());
  if (verdict == ClientLimits::Verdict::kWelcome) return std::nullopt;
  return Rejection{"client_limit", kTooManyFromClient, Describe(verdict)};
}

asio::awaitable<void> Server::Serve(const Endpoint* endpoint, tcp::socket socket, asio::ip::address peer,
                                    bool is_stranger) {
  Connection connection(std::move(socket), Unmapped(peer).to_string(), &endpoint->options, &host_);
  connections_.insert(&connection);
  TellConnections();
  co_await connection.Run();
  connections_.erase(&connection);
  TellConnections();
  if (is_stranger) limits_.Leave(peer, connection.errors(), steady_clock::now());
  FinishDrain();
}

void Server::TellConnections() const {
  if (options_.on_connections != nullptr) options_.on_connections(connections_.size());
}

void Server::Turn(const Endpoint& endpoint, tcp::socket socket, const Rejection& rejection,
                  absl::string_view client) {
  if (options_.on_turned_away != nullptr) options_.on_turned_away(rejection.reason);
  turned_away_.Say({{"client", client}, {"reason", rejection.text}});
  // A handshake would cost more than the connection that there is no room for.
  if (endpoint.options.implicit_tls) return;
  std::string reply;
  AppendReply(rejection.code, absl::StrCat(options_.session.hostname, " ", rejection.text), &reply);
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
