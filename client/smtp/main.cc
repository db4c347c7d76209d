// restante-smtp: the SMTP and LMTP front end.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/ops/front_metrics.h"
#include "client/ops/stores_page.h"
#include "client/policy/refusal_log.h"
#include "client/policy/server.h"
#include "client/smtp/config.h"
#include "client/smtp/networks.h"
#include "client/smtp/server.h"
#include "client/smtp/tls_context.h"
#include "client/smtp/transaction_log.h"
#include "restante/delivery.h"
#include "server/base/clock.h"
#include "server/base/grpc_log.h"
#include "server/base/log.h"
#include "server/base/options.h"
#include "server/base/privileges.h"
#include "server/base/repeated_warning.h"
#include "server/base/service_manager.h"
#include "server/base/status_macros.h"
#include "server/ops/metrics_text.h"
#include "server/ops/metrics_token.h"
#include "server/ops/operations_server.h"

namespace {

using restante::smtp::Protocol;
using restante::smtp::Service;
using restante::smtp::TlsContext;

constexpr char kProgram[] = "restante-smtp";
// Beside the peers' sockets: listeners, gRPC, standard streams.
constexpr rlim_t kOtherDescriptors = 256;

int Usage(absl::string_view text) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(text).c_str());
  return 2;
}

// An error that is no bad option, unless it says so.
int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

// Every peer takes a descriptor.
void RaiseDescriptorLimit(rlim_t connections) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = connections + kOtherDescriptors;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
    restante::Log(restante::LogLevel::kWarning, "fewer file descriptors than --max-connections needs",
                  {{"descriptors", limit.rlim_cur}, {"connections", connections}});
  }
}

restante::smtp::ServerOptions ToServerOptions(const restante::smtp::FrontConfig& config) {
  restante::smtp::ServerOptions options;
  options.session.hostname = config.hostname;
  options.session.max_errors = config.max_errors;
  options.session.max_recipients = config.max_recipients;
  options.session.settle_timeout = absl::ToChronoMilliseconds(config.settle_timeout);
  options.session.bare_newline = config.bare_newline == "keep" ? restante::smtp::BareNewline::kKeep
                                                               : restante::smtp::BareNewline::kRefuse;
  options.session.unknown_recipient = config.unknown_recipient == "reject"
                                          ? restante::smtp::UnknownRecipient::kReject
                                          : restante::smtp::UnknownRecipient::kTempfail;
  options.session.advertise_dsn = config.advertise_dsn;
  options.session.reply_detail = config.reply_detail == "trusted";
  options.max_connections = config.max_connections;
  options.client_bounds = {.connections = config.client_connections,
                           .connections_per_minute = config.client_connections_per_minute,
                           .errors_per_minute = config.client_errors_per_minute};
  options.idle_timeout = absl::ToChronoMilliseconds(config.idle_timeout);
  return options;
}

// Gives the address with its port.
using ListenAt = std::function<absl::StatusOr<std::string>(const std::string& address)>;

// Listens at all `addresses` of --`name`-listen but kNone, and adds a line for each to `listening`.
absl::Status Listen(const char* name, const std::vector<std::string>& addresses, const ListenAt& listen,
                    std::string* listening) {
  for (const std::string& address : addresses) {
    if (address == restante::smtp::kNone) continue;
    absl::StatusOr<std::string> bound = listen(address);
    if (!bound.ok()) {
      return absl::Status(bound.status().code(),
                          absl::StrCat("--", name, "-listen: ", bound.status().message()));
    }
    absl::StrAppend(listening, "listening ", name, " ", *bound, "\n");
  }
  return absl::OkStatus();
}

// The same for an option that takes kAuto, too, which stands for `usual`.
absl::Status ListenAsTold(const char* name, const std::vector<std::string>& addresses, const char* usual,
                          const ListenAt& listen, std::string* listening) {
  for (const std::string& address : addresses) {
    const bool by_default = address == restante::smtp::kAuto;
    const absl::Status status = Listen(name, {by_default ? usual : address}, listen, listening);
    if (status.ok()) continue;
    if (!by_default) return status;
    // Another front end on this machine most likely, which must not keep this one from its mail.
    restante::Log(restante::LogLevel::kWarning, "nothing listens at a default address",
                  {{"reason", status.message()}});
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  // Debian's Abseil looks for deadlocks at every lock, gRPC's too.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  restante::smtp::FrontConfig config;
  restante::OptionTable table(
      kProgram, "Takes mail by SMTP and LMTP for a Restante store, and answers other MTAs' questions.");
  config.Register(table);
  const auto check = [&config]() -> absl::Status {
    RETURN_IF_ERROR(config.Check());
    return config.tls_cert.empty() ? absl::OkStatus()
                                   : TlsContext::Load(config.tls_cert, config.tls_key).status();
  };
  if (std::optional<int> status = table.Parse(argc, argv, check)) return *status;
  absl::StatusOr<restante::smtp::Networks> trusted = restante::smtp::Networks::Parse(config.trusted_networks);
  if (!trusted.ok()) return Usage(absl::StrCat("--trusted-networks: ", trusted.status().message()));
  if (absl::Status status = restante::InitLog(kProgram, config.log_format, config.log_level); !status.ok()) {
    return Usage(status.message());
  }
  restante::RouteGrpcLog();
  const restante::StoreCredentials credentials = {config.store_ca, config.store_cert, config.store_key,
                                                  config.store_token_file};
  if (absl::Status status = restante::CheckCredentials(credentials, config.store); !status.ok()) {
    return Fail(status);
  }
  std::unique_ptr<restante::ops::MetricsToken> metrics_token;
  if (!config.ops_token_file.empty()) {
    auto loaded = restante::ops::MetricsToken::Load(config.ops_token_file);
    if (!loaded.ok()) return Fail(restante::Annotate(loaded.status(), "--ops-token-file"));
    metrics_token = *std::move(loaded);
  }
  std::unique_ptr<TlsContext> tls;
  if (!config.tls_cert.empty()) {
    absl::StatusOr<std::unique_ptr<TlsContext>> loaded = TlsContext::Load(config.tls_cert, config.tls_key);
    if (!loaded.ok()) return Fail(loaded.status());
    tls = *std::move(loaded);
  }
  restante::policy::ServerOptions policy_options;
  RaiseDescriptorLimit(rlim_t{config.max_connections} + policy_options.max_connections);

  // One thread runs everything; gRPC's threads only post to it.
  asio::io_context io;
  std::shared_ptr<restante::DeliveryClient> store = restante::DeliveryClient::Connect({
      .target = config.store,
      .credentials = credentials,
      .executor =
          [&io](absl::AnyInvocable<void()> fn) { asio::post(io, [fn = std::move(fn)]() mutable { fn(); }); },
  });
  restante::FrontMetrics metrics([&store] { return store->stores(); });
  const restante::smtp::SessionHost host = {
      .store = store.get(),
      .clock = restante::Clock::System(),
      .new_request_id = restante::NewRequestId,
      .on_transaction =
          [&metrics](const restante::smtp::TransactionRecord& record) {
            metrics.Count(record);
            restante::smtp::LogTransaction(record);
          },
      .on_error =
          [&metrics](const restante::smtp::CommandError& error) {
            metrics.CountError(error.reply.code);
            restante::smtp::LogError(error);
          },
  };
  restante::smtp::ServerOptions options = ToServerOptions(config);
  options.trusted_networks = *trusted;
  options.tls = tls.get();
  options.on_connections = [&metrics](size_t connections) { metrics.SetConnections(connections); };
  options.on_turned_away = [&metrics](absl::string_view reason) { metrics.CountTurnedAway(reason); };
  restante::smtp::Server server(&io, options, &host);

  restante::RepeatedWarning unavailable("the store does not answer an MTA's question",
                                        restante::Clock::System());
  const restante::policy::Host policy_host = {
      .store = store.get(),
      .when_unavailable = config.policy_unavailable == "dunno" ? restante::policy::WhenUnavailable::kDunno
                                                               : restante::policy::WhenUnavailable::kTempfail,
      .nobody = absl::BytesToHexString(restante::NewRequestId()),
      .on_refusal =
          [&metrics](const restante::policy::Refusal& refusal) {
            metrics.Count(refusal);
            restante::policy::LogRefusal(refusal);
          },
      .on_unavailable =
          [&metrics, &unavailable](const absl::Status& why) {
            metrics.CountUnanswered();
            unavailable.Say({{"reason", why.message()}});
          },
  };
  policy_options.trusted_networks = *trusted;
  restante::policy::Server policy_server(&io, policy_options, &policy_host);

  std::string listening;
  const struct {
    const char* name;
    const std::vector<std::string>& addresses;
    Service service;
  } mail[] = {
      {"smtp", config.smtp_listen, {}},
      {"smtps", config.smtps_listen, {.implicit_tls = true}},
      {"lmtp", config.lmtp_listen, {.protocol = Protocol::kLmtp}},
      {"smtp-proxy", config.smtp_proxy_listen, {.proxy_header = true}},
      {"smtps-proxy", config.smtps_proxy_listen, {.implicit_tls = true, .proxy_header = true}},
      {"lmtp-proxy", config.lmtp_proxy_listen, {.protocol = Protocol::kLmtp, .proxy_header = true}},
  };
  for (const auto& [name, addresses, service] : mail) {
    const auto listen = [&, &what = service](const std::string& at) { return server.Listen(what, at); };
    if (absl::Status status = Listen(name, addresses, listen, &listening); !status.ok()) return Fail(status);
  }
  using Questions = restante::policy::Service;
  const struct {
    const char* name;
    const std::vector<std::string>& addresses;
    const char* usual;
    Questions service;
  } questions[] = {
      {"policy", config.policy_listen, restante::smtp::kPolicyAddress, Questions::kPolicy},
      {"socketmap", config.socketmap_listen, restante::smtp::kSocketmapAddress, Questions::kSocketmap},
  };
  for (const auto& [name, addresses, usual, service] : questions) {
    const auto listen = [&, what = service](const std::string& at) { return policy_server.Listen(what, at); };
    if (absl::Status status = ListenAsTold(name, addresses, usual, listen, &listening); !status.ok()) {
      return Fail(status);
    }
  }
  auto operations = restante::ops::OperationsServer::ListenAsTold(
      config.ops_listen, restante::smtp::kOpsAddress,
      {.metrics = [&metrics] { return restante::ops::MetricsText(metrics); },
       .may_scrape = restante::ops::MetricsToken::Check(metrics_token.get()),
       .ready = [&store] { return store->connected(); },
       .pages = {{"/", "text/plain; charset=utf-8",
                  [&store] { return restante::StoresPage(store->stores()); }}},
       .authorize = nullptr,
       .pages_stay_here = true});
  if (!operations.ok()) return Fail(operations.status());
  if (*operations) absl::StrAppend(&listening, "listening ops ", (*operations)->address(), "\n");
  if (!config.user.empty()) {
    if (absl::Status status = restante::BecomeUser(config.user); !status.ok()) {
      return Fail(absl::Status(status.code(), absl::StrCat("--user: ", status.message())));
    }
  } else if (geteuid() == 0) {
    restante::Log(restante::LogLevel::kWarning, "runs as root; --user says whom to become", {});
  }
  int draining = 2;
  const auto drained = [&] {
    if (--draining == 0) io.stop();
  };
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](std::error_code error, int) {
    if (error) return;
    restante::Log(restante::LogLevel::kInfo, "shutting down",
                  {{"connections", server.connections() + policy_server.connections()}});
    if (*operations) (*operations)->Stopping();
    restante::NotifyServiceManager("STOPPING=1");
    server.Drain(absl::ToChronoMilliseconds(config.drain_timeout), drained);
    policy_server.Drain(absl::ToChronoMilliseconds(config.drain_timeout), drained);
  });
  // Only with something to read again: else it ends the program, as a terminal that
  // goes expects.
  asio::signal_set reloads(io);
  const std::function<void(std::error_code, int)> reload = [&](std::error_code error, int) {
    if (error) return;
    // The store's credentials are read again by themselves, when they are needed.
    if (tls != nullptr) tls->Reload();
    reloads.async_wait(reload);
  };
  if (tls != nullptr || !config.store_ca.empty() || !config.store_token_file.empty()) {
    reloads.add(SIGHUP);
    reloads.async_wait(reload);
  }
  // For who started us with port 0.
  std::fputs(listening.c_str(), stdout);
  std::fflush(stdout);
  restante::NotifyServiceManager("READY=1");
  io.run();
  return 0;
}
