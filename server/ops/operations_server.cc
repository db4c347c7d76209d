#include "server/ops/operations_server.h"

#include <httplib.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/base/address.h"
#include "server/base/log.h"

namespace restante::ops {
namespace {

// Two who ask at once are enough; more wait.
constexpr size_t kThreads = 2;
constexpr time_t kPatienceSeconds = 5;
constexpr char kPlain[] = "text/plain; charset=utf-8";

// Of an Authorization header; empty for none.
std::string PasswordOf(absl::string_view header) {
  const auto is = [&header](absl::string_view scheme) {
    if (!absl::StartsWithIgnoreCase(header, scheme)) return false;
    header.remove_prefix(scheme.size());
    return true;
  };
  if (is("Bearer ")) return std::string(header);
  std::string pair;
  if (!is("Basic ") || !absl::Base64Unescape(header, &pair)) return "";
  const size_t colon = pair.find(':');
  return colon == std::string::npos ? "" : pair.substr(colon + 1);
}

}  // namespace

OperationsServer::OperationsServer() : server_(std::make_unique<httplib::Server>()) {}

OperationsServer::~OperationsServer() {
  server_->stop();
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<std::unique_ptr<OperationsServer>> OperationsServer::Listen(const std::string& address,
                                                                           Source source) {
  const size_t colon = address.rfind(':');
  absl::string_view host = absl::string_view(address).substr(0, colon);
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
    return absl::InvalidArgumentError(absl::StrCat(address, ": is not HOST:PORT"));
  }
  absl::string_view name = host;
  if (absl::ConsumePrefix(&name, "[")) absl::ConsumeSuffix(&name, "]");

  std::unique_ptr<OperationsServer> operations(new OperationsServer());
  httplib::Server& server = *operations->server_;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_timeout(kPatienceSeconds);
  server.set_read_timeout(kPatienceSeconds);
  server.set_write_timeout(kPatienceSeconds);
  server.set_payload_max_length(0);
  // The library would share the port with another program.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  server.Get("/metrics", [metrics = std::move(source.metrics), may_scrape = std::move(source.may_scrape)](
                             const httplib::Request& request, httplib::Response& response) {
    if (may_scrape != nullptr && !may_scrape(PasswordOf(request.get_header_value("Authorization")))) {
      response.status = 401;
      response.set_header("WWW-Authenticate", "Bearer realm=\"Restante\"");
      return response.set_content("the token of --ops-token-file is needed\n", kPlain);
    }
    response.set_content(metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/livez", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("alive\n", kPlain);
  });
  server.Get("/readyz", [self = operations.get(), is_ready = std::move(source.ready)](
                            const httplib::Request&, httplib::Response& response) {
    const bool stopping = self->stopping_;
    const bool ready = !stopping && (is_ready == nullptr || is_ready());
    if (!ready) response.status = 503;
    response.set_content(stopping ? "stopping\n" : ready ? "ready\n" : "not ready\n", kPlain);
  });

  const auto authorize = std::move(source.authorize);
  for (OperationsServer::Page& page : source.pages) {
    server.Get(page.path, [page, authorize, stays_here = source.pages_stay_here](
                              const httplib::Request& request, httplib::Response& response) {
      if (stays_here && !IsLoopbackPeer(request.remote_addr.c_str())) {
        response.status = 403;
        return response.set_content("this page is for connections from the same machine\n", kPlain);
      }
      if (authorize != nullptr && !authorize(PasswordOf(request.get_header_value("Authorization")))) {
        response.status = 401;
        response.set_header("WWW-Authenticate", "Basic realm=\"Restante: a token as the password\"");
        return response.set_content("an operator's token is needed, as the password or as a bearer token\n",
                                    kPlain);
      }
      response.set_header("Content-Security-Policy", kContentSecurityPolicy);
      response.set_header("X-Content-Type-Options", "nosniff");
      response.set_header("Referrer-Policy", "no-referrer");
      response.set_header("Cache-Control", "no-store");
      response.set_content(page.content(), page.content_type);
    });
  }

  const std::string bind_to(name);
  if (port == 0) {
    port = server.bind_to_any_port(bind_to);
  } else if (!server.bind_to_port(bind_to, port)) {
    port = -1;
  }
  if (port < 0) {
    return absl::UnavailableError(
        absl::StrCat(address, ": the address cannot be had; is another program using it?"));
  }
  operations->address_ = absl::StrCat(host, ":", port);
  operations->thread_ = std::thread([&server] { server.listen_after_bind(); });
  // Until then it cannot be stopped.
  while (!server.is_running()) std::this_thread::yield();
  return operations;
}

absl::StatusOr<std::unique_ptr<OperationsServer>> OperationsServer::ListenAsTold(const std::string& option,
                                                                                 const std::string& usual,
                                                                                 Source source) {
  if (option == "none") return nullptr;
  if (option != "auto") {
    auto server = Listen(option, std::move(source));
    if (server.ok()) return server;
    return absl::Status(server.status().code(), absl::StrCat("--ops-listen: ", server.status().message()));
  }
  auto server = Listen(usual, std::move(source));
  if (server.ok()) return server;
  // Another of our programs on this machine most likely, which must not keep this one from its mail.
  Log(LogLevel::kWarning, "no metrics are served, --ops-listen says where",
      {{"reason", std::string(server.status().message())}});
  return nullptr;
}

}  // namespace restante::ops
