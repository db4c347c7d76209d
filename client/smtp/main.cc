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
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/policy/refusal_log.h"
#include "client/policy/repeated_warning.h"
#include "client/policy/server.h"
#include "client/smtp/networks.h"
#include "client/smtp/received_header.h"
#include "client/smtp/server.h"
#include "client/smtp/transaction_log.h"
#include "restante/delivery.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/options.h"

namespace {

using restante::smtp::Protocol;

constexpr char kProgram[] = "restante-smtp";
// After SIGTERM, for transactions that are under way.
constexpr std::chrono::seconds kGrace{10};
// Beside the peers' sockets: listeners, gRPC, standard streams.
constexpr rlim_t kOtherDescriptors = 256;

struct Config {
  std::string store = "127.0.0.1:8354";
  std::vector<std::string> smtp_listen = {"127.0.0.1:2525"};
  std::vector<std::string> lmtp_listen = {"127.0.0.1:2424"};
  std::vector<std::string> policy_listen = {"127.0.0.1:2452"};
  std::vector<std::string> socketmap_listen = {"127.0.0.1:2453"};
  std::vector<std::string> trusted_networks = {"127.0.0.0/8", "::1"};
  std::string hostname;
  uint32_t max_connections = 10'000;
  uint32_t max_recipients = 1'000;
  uint32_t max_errors = 20;
  absl::Duration idle_timeout = absl::Minutes(5);
  absl::Duration settle_timeout = absl::Minutes(5);
  std::string bare_newline = "keep";
  std::string unknown_recipient = "reject";
  std::string policy_unavailable = "dunno";
  std::string log_format = "text";
  std::string log_level = "info";
};

std::string OwnHostname() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return restante::smtp::SanitizeHelo(name);
}

std::optional<int> ReadOptions(int argc, char** argv, Config* config) {
  restante::OptionTable options(
      kProgram, "Takes mail by SMTP and LMTP for a Restante store, and answers other MTAs' questions.");
  options.String("store", &config->store, "ADDR", "The store's gRPC address.");
  options.List("smtp-listen", &config->smtp_listen, "ADDR", "Where to speak SMTP; port 0 is any free one.");
  options.List("lmtp-listen", &config->lmtp_listen, "ADDR", "Where to speak LMTP; never port 25.");
  options.List("policy-listen", &config->policy_listen, "ADDR", "Where to answer Postfix's policy requests.");
  options.List("socketmap-listen", &config->socketmap_listen, "ADDR",
               "Where to answer look-ups in the maps `domain` and `mailbox`.");
  options.List("trusted-networks", &config->trusted_networks, "NETWORK",
               "Who may speak LMTP, and ask for policy and socketmaps.");
  options.String("hostname", &config->hostname, "NAME",
                 "This host's name in greetings and Received headers.");
  options.Uint32("max-connections", &config->max_connections, "CONNECTIONS",
                 "At the same time, by SMTP and LMTP; more get 421.");
  options.Uint32("max-recipients", &config->max_recipients, "RECIPIENTS",
                 "In one transaction; more get 452. At least 100.");
  options.Uint32("max-errors", &config->max_errors, "ERRORS",
                 "In syntax and sequence since the last stored message; then 421.");
  options.Duration("idle-timeout", &config->idle_timeout, "How long a peer may be silent; then 421.");
  options.Duration("settle-timeout", &config->settle_timeout,
                   "How long an outcome that was lost with the store is asked for.");
  options.Choice("bare-newline", &config->bare_newline, {"keep", "refuse"},
                 "What to do with a text that has a bare CR, a bare LF or NUL.");
  options.Choice("unknown-recipient", &config->unknown_recipient, {"reject", "tempfail"},
                 "Whether unknown mailboxes and domains get 550 or 450.");
  options.Choice("policy-unavailable", &config->policy_unavailable, {"dunno", "tempfail"},
                 "What a policy request is answered while the store is away.");
  options.Choice("log-format", &config->log_format, {"text", "json"}, "What log lines look like.");
  options.Choice("log-level", &config->log_level, {"debug", "info", "warning", "error"},
                 "The lowest that is logged.");
  return options.Parse(argc, argv);
}

int Usage(absl::string_view text) {
  std::fprintf(stderr, "%s: %s\n", kProgram, std::string(text).c_str());
  return 2;
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

}  // namespace

int main(int argc, char** argv) {
  Config config;
  config.hostname = OwnHostname();
  if (std::optional<int> status = ReadOptions(argc, argv, &config)) return *status;
  if (config.max_recipients < 100) {
    return Usage(
        absl::StrCat("--max-recipients: ", config.max_recipients, " is less than 100 (RFC 5321, 4.5.3.1.8)"));
  }
  if (config.max_errors == 0) return Usage("--max-errors: must be at least 1");
  if (config.max_connections == 0) return Usage("--max-connections: must be at least 1");
  if (config.idle_timeout <= absl::ZeroDuration()) return Usage("--idle-timeout: must be more than 0");
  if (config.hostname.empty() || config.hostname != restante::smtp::SanitizeHelo(config.hostname)) {
    return Usage(absl::StrCat("--hostname: `", config.hostname, "` is no host name"));
  }
  if (config.smtp_listen.empty() && config.lmtp_listen.empty()) {
    return Usage("neither --smtp-listen nor --lmtp-listen names an address");
  }
  absl::StatusOr<restante::smtp::Networks> trusted = restante::smtp::Networks::Parse(config.trusted_networks);
  if (!trusted.ok()) return Usage(absl::StrCat("--trusted-networks: ", trusted.status().message()));
  if (absl::Status status = restante::InitLog(kProgram, config.log_format, config.log_level); !status.ok()) {
    return Usage(status.message());
  }
  restante::policy::ServerOptions policy_options;
  RaiseDescriptorLimit(rlim_t{config.max_connections} + policy_options.max_connections);

  // One thread runs everything; gRPC's threads only post to it.
  asio::io_context io;
  std::shared_ptr<restante::DeliveryClient> store = restante::DeliveryClient::Connect({
      .target = config.store,
      .executor =
          [&io](absl::AnyInvocable<void()> fn) { asio::post(io, [fn = std::move(fn)]() mutable { fn(); }); },
  });
  const restante::smtp::SessionHost host = {
      .store = store.get(),
      .clock = restante::Clock::System(),
      .new_request_id = restante::NewRequestId,
      .on_transaction = restante::smtp::LogTransaction,
      .is_trusted = [&trusted](const std::string& client) { return trusted->Contains(client); },
  };
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
  options.max_connections = config.max_connections;
  options.idle_timeout = absl::ToChronoMilliseconds(config.idle_timeout);
  options.trusted_networks = *trusted;
  restante::smtp::Server server(&io, options, &host);

  restante::policy::RepeatedWarning unavailable("the store does not answer an MTA's question",
                                                restante::Clock::System());
  const restante::policy::Host policy_host = {
      .store = store.get(),
      .when_unavailable = config.policy_unavailable == "dunno" ? restante::policy::WhenUnavailable::kDunno
                                                               : restante::policy::WhenUnavailable::kTempfail,
      .nobody = absl::BytesToHexString(restante::NewRequestId()),
      .on_refusal = restante::policy::LogRefusal,
      .on_unavailable =
          [&unavailable](const absl::Status& why) {
            unavailable.Say({{"reason", why.message()}});
          },
  };
  policy_options.trusted_networks = *trusted;
  restante::policy::Server policy_server(&io, policy_options, &policy_host);

  std::string listening;
  const auto listen = [&](auto& at, auto what, const char* name, const std::vector<std::string>& addresses) {
    for (const std::string& address : addresses) {
      absl::StatusOr<std::string> bound = at.Listen(what, address);
      if (!bound.ok()) {
        std::fprintf(stderr, "%s: --%s-listen: %s\n", kProgram, name,
                     std::string(bound.status().message()).c_str());
        return absl::IsInvalidArgument(bound.status()) ? 2 : 1;
      }
      absl::StrAppend(&listening, "listening ", name, " ", *bound, "\n");
    }
    return 0;
  };
  using restante::policy::Service;
  if (int status = listen(server, Protocol::kSmtp, "smtp", config.smtp_listen)) return status;
  if (int status = listen(server, Protocol::kLmtp, "lmtp", config.lmtp_listen)) return status;
  if (int status = listen(policy_server, Service::kPolicy, "policy", config.policy_listen)) return status;
  if (int status = listen(policy_server, Service::kSocketmap, "socketmap", config.socketmap_listen)) {
    return status;
  }
  // For who started us with port 0.
  std::fputs(listening.c_str(), stdout);
  std::fflush(stdout);

  int draining = 2;
  const auto drained = [&] {
    if (--draining == 0) io.stop();
  };
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](std::error_code error, int) {
    if (error) return;
    restante::Log(restante::LogLevel::kInfo, "shutting down",
                  {{"connections", server.connections() + policy_server.connections()}});
    server.Drain(kGrace, drained);
    policy_server.Drain(kGrace, drained);
  });
  io.run();
  return 0;
}
