#include "client/smtp/listener.h"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cstdint>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace restante::smtp {
namespace {

using asio::ip::tcp;
using std::chrono::steady_clock;

// Before the next accept when the system has no descriptor or memory to spare.
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kWarnEvery{10};

std::string ToText(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  if (endpoint.address().is_v6()) return absl::StrCat("[", address, "]:", endpoint.port());
  return absl::StrCat(address, ":", endpoint.port());
}

}  // namespace

absl::StatusOr<tcp::endpoint> ParseListenAddress(absl::string_view text) {
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

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(asio::io_context* io, const tcp::endpoint& endpoint,
                                                         OnPeer on_peer) {
  std::error_code error;
  tcp::acceptor acceptor(*io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  const tcp::endpoint bound = error ? tcp::endpoint() : acceptor.local_endpoint(error);
  if (error) return absl::UnavailableError(absl::StrCat("`", ToText(endpoint), "`: ", error.message()));
  auto listener =
      std::unique_ptr<Listener>(new Listener(std::move(acceptor), ToText(bound), std::move(on_peer)));
  asio::co_spawn(*io, listener->Accept(), asio::detached);
  return listener;
}

Listener::Listener(tcp::acceptor acceptor, std::string address, OnPeer on_peer)
    : acceptor_(std::move(acceptor)),
      address_(std::move(address)),
      on_peer_(std::move(on_peer)),
      last_warning_(steady_clock::now() - kWarnEvery) {}

void Listener::Close() {
  std::error_code ignored;
  acceptor_.close(ignored);
}

asio::awaitable<void> Listener::Accept() {
  asio::steady_timer pause(acceptor_.get_executor());
  while (acceptor_.is_open()) {
    std::error_code error;
    tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      const tcp::endpoint peer = socket.remote_endpoint(error);
      if (error) continue;
      socket.non_blocking(true, error);
      socket.set_option(tcp::no_delay(true), error);
      on_peer_(std::move(socket), peer.address());
    } else if (error == asio::error::operation_aborted) {
      break;
    } else if (error != asio::error::connection_aborted) {
      // Most likely no descriptors are left: others have to end first.
      if (steady_clock::now() - last_warning_ >= kWarnEvery) {
        last_warning_ = steady_clock::now();
        Log(LogLevel::kWarning, "a connection cannot be accepted",
            {{"reason", error.message()}, {"listener", address_}});
      }
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

}  // namespace restante::smtp
