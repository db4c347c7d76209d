#include "client/smtp/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/smtp/connection.h"
#include "server/base/log.h"

namespace restante::smtp {
namespace {

using asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kReadBuffer = 64 * 1024;
constexpr uint16_t kSmtpPort = 25;

}  // namespace

Server::Server(asio::io_context* io, ServerOptions options, const SessionHost* host)
    : io_(io),
      options_(std::move(options)),
      host_(host),
      read_buffer_(kReadBuffer),
      sweep_(*io),
      grace_(*io) {
  ScheduleSweep();
}

Server::~Server() = default;

absl::StatusOr<std::string> Server::Listen(Protocol protocol, absl::string_view address) {
  absl::StatusOr<tcp::endpoint> endpoint = ParseListenAddress(address);
  if (!endpoint.ok()) return endpoint.status();
  if (protocol == Protocol::kLmtp && endpoint->port() == kSmtpPort) {
    return absl::InvalidArgumentError(absl::StrCat("`", address, "`: LMTP is not for port 25 (RFC 2033, 5)"));
  }
  auto service = std::make_unique<Service>(Service{options_.session, nullptr});
  service->session.protocol = protocol;
  absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Open(
      io_, *endpoint, [this, opened = service.get()](tcp::socket socket, const asio::ip::address& peer) {
        Take(opened, std::move(socket), peer);
      });
  if (!listener.ok()) return listener.status();
  service->listener = *std::move(listener);
  services_.push_back(std::move(service));
  return services_.back()->listener->address();
}

void Server::Take(const Service* service, tcp::socket socket, const asio::ip::address& peer) {
  if (connections_.size() >= options_.max_connections) {
    return Turn(std::move(socket), kTooManyConnections, "Too many connections, try again later");
  }
  const std::string client = Unmapped(peer).to_string();
  if (service->session.protocol == Protocol::kLmtp && !options_.trusted_networks.Contains(peer)) {
    Log(LogLevel::kWarning, "LMTP refused: not from a trusted network", {{"client", client}});
    return Turn(std::move(socket), kNotTrusted, "LMTP is for trusted networks only");
  }
  asio::co_spawn(*io_, Serve(service, std::move(socket), client), asio::detached);
}

asio::awaitable<void> Server::Serve(const Service* service, tcp::socket socket, std::string client) {
  Connection connection(std::move(socket), std::move(client), &service->session, host_, &read_buffer_);
  connections_.insert(&connection);
  co_await connection.Run();
  connections_.erase(&connection);
  FinishDrain();
}

void Server::Turn(tcp::socket socket, ReplyCode code, absl::string_view text) {
  std::string reply;
  AppendReply(code, absl::StrCat(options_.session.hostname, " ", text), &reply);
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
    // None of them ends within Sweep: that is for its coroutine to do later.
    for (Connection* connection : connections_) connection->Sweep(now, options_.idle_timeout);
    ScheduleSweep();
  });
}

void Server::Drain(milliseconds grace, std::function<void()> done) {
  drained_ = std::move(done);
  for (auto& service : services_) service->listener->Close();
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
