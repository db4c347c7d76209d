// The listeners for MTAs' questions, and all connections that came by them.
#ifndef RESTANTE_CLIENT_POLICY_SERVER_H_
#define RESTANTE_CLIENT_POLICY_SERVER_H_

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/policy/responder.h"
#include "client/smtp/listener.h"
#include "client/smtp/networks.h"
#include "server/base/repeated_warning.h"

namespace restante::policy {

class Connection;

enum class Service { kPolicy, kSocketmap };

struct ServerOptions {
  // At the same time, over all listeners; more are closed at once. Postfix opens
  // one to each listener for each of its (by default 100) processes.
  uint32_t max_connections = 2'000;
  // Without a finished request. Postfix ends connections that are idle for 5
  // minutes (smtpd_policy_service_max_idle), and does it better: it knows whether
  // it is about to ask.
  std::chrono::milliseconds idle_timeout{900'000};
  // Who may ask.
  smtp::Networks trusted_networks = smtp::Networks::Loopback();
};

// All on the io_context's one thread. Must not be destroyed before the
// io_context has stopped running.
class Server {
 public:
  Server(asio::io_context* io, ServerOptions options, const Host* host);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // As smtp::Server::Listen.
  absl::StatusOr<std::string> Listen(Service service, absl::string_view address);

  // Stops accepting; what is asked already is answered, for `grace` at most;
  // `done` is called when no connection is left.
  void Drain(std::chrono::milliseconds grace, std::function<void()> done);

  size_t connections() const { return connections_.size(); }

 private:
  void Take(Service service, asio::ip::tcp::socket socket, const asio::ip::address& peer);
  asio::awaitable<void> Serve(Service service, asio::ip::tcp::socket socket, std::string client);
  void ScheduleSweep();
  void FinishDrain();

  asio::io_context* const io_;
  const ServerOptions options_;
  const Host* const host_;
  std::vector<char> read_buffer_;
  std::vector<std::unique_ptr<smtp::Listener>> listeners_;
  std::unordered_set<Connection*> connections_;
  asio::steady_timer sweep_;
  asio::steady_timer grace_;
  std::function<void()> drained_;
  RepeatedWarning not_trusted_;
  RepeatedWarning too_many_;
  RepeatedWarning malformed_;
};

}  // namespace restante::policy

#endif  // RESTANTE_CLIENT_POLICY_SERVER_H_
