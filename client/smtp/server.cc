#include "client/smtp/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
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
// Before the next accept when the system has no descriptor or memory to spare.
constexpr milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kWarnEvery{10};

absl::StatusOr<tcp::endpoint> ParseEndpoint(absl::string_view text) {
  const absl::Status error =
      absl::InvalidArgumentError(absl::StrCat("`", text, "` is no listen address, write 127.0.0.1:2525"));
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return error;
  }
  absl::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != absl::string_view::npos) {
    return error;
  }
  if (host == "localhost") host = "127.0.0.1";
  std::error_code bad;
  const asio::ip::address address = asio::ip::make_address(std::string(host), bad);
  if (bad) return error;
  return tcp::endpoint(address, static_cast<uint16_t>(port));
}

std::string ToText(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  if (endpoint.address().is_v6()) return absl::StrCat("[", address, "]:", endpoint.port());
  return absl::StrCat(address, ":", endpoint.port());
}

}  // namespace

Server::Server(asio::io_context* io, ServerOptions options, const SessionHost* host)
    : io_(io),
      options_(std::move(options)),
      host_(host),
      read_buffer_(kReadBuffer),
      sweep_(*io),
      grace_(*io),
      last_warning_(steady_clock::now() - kWarnEvery) {
  ScheduleSweep();
}

Server::~Server() = default;

absl::StatusOr<std::string> Server::Listen(Protocol protocol, absl::string_view address) {
  absl::StatusOr<tcp::endpoint> endpoint = ParseEndpoint(address);
  if (!endpoint.ok()) return endpoint.status();
  if (protocol == Protocol::kLmtp && endpoint->port() == kSmtpPort) {
    return absl::InvalidArgumentError(absl::StrCat("`", address, "`: LMTP is not for port 25 (RFC 2033, 5)"));
  }
  auto listener = std::make_unique<Listener>(Listener{options_.session, tcp::acceptor(*io_)});
  listener->session.protocol = protocol;
  std::error_code error;
  tcp::acceptor& acceptor = listener->acceptor;
  acceptor.open(endpoint->protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(*endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  const tcp::endpoint bound = error ? tcp::endpoint() : acceptor.local_endpoint(error);
  if (error) return absl::UnavailableError(absl::StrCat("`", address, "`: ", error.message()));
  listeners_.push_back(std::move(listener));
  asio::co_spawn(*io_, Accept(listeners_.back().get()), asio::detached);
  return ToText(bound);
}

asio::awaitable<void> Server::Accept(Listener* listener) {
  asio::steady_timer pause(*io_);
  while (listener->acceptor.is_open()) {
    std::error_code error;
    tcp::socket socket =
        co_await listener->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      Take(listener, std::move(socket));
    } else if (error == asio::error::operation_aborted) {
      break;
    } else if (error != asio::error::connection_aborted) {
      // Most likely no descriptors are left: others have to end first.
      if (steady_clock::now() - last_warning_ >= kWarnEvery) {
        last_warning_ = steady_clock::now();
        Log(LogLevel::kWarning, "a connection cannot be accepted",
            {{"reason", error.message()}, {"connections", connections_.size()}});
      }
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

void Server::Take(Listener* listener, tcp::socket socket) {
  std::error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;
  socket.non_blocking(true, error);
  socket.set_option(tcp::no_delay(true), error);
  if (connections_.size() >= options_.max_connections) {
    return Turn(std::move(socket), kTooManyConnections, "Too many connections, try again later");
  }
  if (listener->session.protocol == Protocol::kLmtp && !options_.trusted_networks.Contains(peer.address())) {
    Log(LogLevel::kWarning, "LMTP refused: not from a trusted network",
        {{"client", Unmapped(peer.address()).to_string()}});
    return Turn(std::move(socket), kNotTrusted, "LMTP is for trusted networks only");
  }
  asio::co_spawn(*io_, Serve(listener, std::move(socket)), asio::detached);
}

asio::awaitable<void> Server::Serve(Listener* listener, tcp::socket socket) {
  std::error_code error;
  const std::string client = Unmapped(socket.remote_endpoint(error).address()).to_string();
  Connection connection(std::move(socket), client, &listener->session, host_, &read_buffer_);
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
  std::error_code ignored;
  for (auto& listener : listeners_) listener->acceptor.close(ignored);
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
