#include "client/policy/server.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <system_error>
#include <utility>

#include "client/policy/connection.h"
#include "client/policy/policy_responder.h"
#include "client/policy/socketmap_responder.h"

namespace restante::policy {
namespace {

using asio::ip::tcp;
using std::chrono::milliseconds;

constexpr size_t kReadBuffer = 16 * 1024;

absl::string_view ToText(Service service) { return service == Service::kPolicy ? "policy" : "socketmap"; }

std::unique_ptr<Responder> NewResponder(Service service, const Host* host) {
  if (service == Service::kPolicy) return std::make_unique<PolicyResponder>(host);
  return std::make_unique<SocketmapResponder>(host);
}

}  // namespace

Server::Server(asio::io_context* io, ServerOptions options, const Host* host)
    : io_(io),
      options_(std::move(options)),
      host_(host),
      read_buffer_(kReadBuffer),
      sweep_(*io),
      grace_(*io),
      not_trusted_("connection refused: not from a trusted network", Clock::System()),
      too_many_("connection refused: too many", Clock::System()),
      malformed_("connection closed: not a request", Clock::System()) {
  ScheduleSweep();
}

Server::~Server() = default;

absl::StatusOr<std::string> Server::Listen(Service service, absl::string_view address) {
  absl::StatusOr<tcp::endpoint> endpoint = smtp::ParseListenAddress(address);
  if (!endpoint.ok()) return endpoint.status();
  absl::StatusOr<std::unique_ptr<smtp::Listener>> listener = smtp::Listener::Open(
      io_, *endpoint, [this, service](tcp::socket socket, const asio::ip::address& peer) {
        Take(service, std::move(socket), peer);
      });
  if (!listener.ok()) return listener.status();
  listeners_.push_back(*std::move(listener));
  return listeners_.back()->address();
}

void Server::Take(Service service, tcp::socket socket, const asio::ip::address& peer) {
  std::string client = smtp::Unmapped(peer).to_string();
  if (!options_.trusted_networks.Contains(peer)) {
    return not_trusted_.Say({{"service", ToText(service)}, {"client", client}});
  }
  if (connections_.size() >= options_.max_connections) {
    return too_many_.Say(
        {{"service", ToText(service)}, {"client", client}, {"connections", connections_.size()}});
  }
  asio::co_spawn(*io_, Serve(service, std::move(socket), std::move(client)), asio::detached);
}

asio::awaitable<void> Server::Serve(Service service, tcp::socket socket, std::string client) {
  Connection connection(std::move(socket), NewResponder(service, host_), &read_buffer_);
  connections_.insert(&connection);
  const absl::Status status = co_await connection.Run();
  connections_.erase(&connection);
  if (!status.ok()) {
    malformed_.Say({{"service", ToText(service)}, {"client", client}, {"reason", status.message()}});
  }
  FinishDrain();
}

void Server::ScheduleSweep() {
  sweep_.expires_after(
      std::clamp<milliseconds>(options_.idle_timeout / 8, milliseconds(10), milliseconds(1000)));
  sweep_.async_wait([this](std::error_code error) {
    if (error) return;
    const auto now = std::chrono::steady_clock::now();
    for (Connection* connection : connections_) connection->Sweep(now, options_.idle_timeout);
    ScheduleSweep();
  });
}

void Server::Drain(milliseconds grace, std::function<void()> done) {
  drained_ = std::move(done);
  for (auto& listener : listeners_) listener->Close();
  // None of them ends within the call: that is for its coroutine to do later.
  for (Connection* connection : connections_) connection->Shutdown();
  grace_.expires_after(grace);
  grace_.async_wait([this](std::error_code error) {
    if (error) return;
    for (Connection* connection : connections_) connection->Kill();
  });
  FinishDrain();
}

void Server::FinishDrain() {
  if (drained_ == nullptr || !connections_.empty()) return;
  sweep_.cancel();
  grace_.cancel();
  std::exchange(drained_, nullptr)();
}

}  // namespace restante::policy
