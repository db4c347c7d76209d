// restante-store: the storage and quota service.
//
// Exit status: 0 after SIGTERM or SIGINT, 1 when the store cannot be opened or
// the address not be had, 2 for wrong usage. With --restore, init-cluster and migrate: 0
// when it is done, 1 when it cannot be.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "server/access/authorizer.h"
#include "server/access/listener_credentials.h"
#include "server/access/token.h"
#include "server/base/address.h"
#include "server/base/clock.h"
#include "server/base/file_watch.h"
#include "server/base/grpc_log.h"
#include "server/base/log.h"
#include "server/base/service_manager.h"
#include "server/cluster_setup.h"
#include "server/config.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/memory/memory_engine.h"
#include "server/engine/rados/rados_engine.h"
#include "server/home.h"
#include "server/mail/deliveries.h"
#include "server/mail/directory.h"
#include "server/mail/event_feed.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "server/mail/quota_warnings.h"
#include "server/mail/warning_template.h"
#include "server/migrate.h"
#include "server/ops/metrics_text.h"
#include "server/ops/metrics_token.h"
#include "server/ops/operations_server.h"
#include "server/ops/status_page.h"
#include "server/ops/status_source.h"
#include "server/ops/store_metrics.h"
#include "server/ops/webhook.h"
#include "server/restore.h"
#include "server/rpc/methods.h"
#include "server/rpc/server.h"

namespace restante {
namespace {

// After the drain: for other calls that run, and for commits that were read.
constexpr auto kCallGrace = std::chrono::seconds(2);
constexpr auto kCommitGrace = absl::Seconds(3);

engine::QuotaRules RulesOf(const StoreConfig& config) {
  const auto limit = [](uint64_t value) {
    stored::v1::Limit l;
    l.set_kind(value == StoreConfig::kUnset ? stored::v1::Limit::UNLIMITED : stored::v1::Limit::VALUE);
    if (value != StoreConfig::kUnset) l.set_value(value);
    return l;
  };
  engine::QuotaRules rules;
  rules.default_bytes = limit(config.default_bytes);
  rules.default_messages = limit(*config.DefaultMessages());  // Checked at the start.
  rules.grace_bytes = config.quota_grace;
  rules.soft_after_us = absl::ToInt64Microseconds(config.reserve_idle);
  rules.deliveries_per_mailbox = config.deliveries_per_mailbox;
  rules.thresholds = *config.Thresholds();
  return rules;
}

uint64_t EventRetentionSeconds(const StoreConfig& config) {
  return static_cast<uint64_t>(absl::ToInt64Seconds(config.event_retention));
}

uint64_t RetryWindowSeconds(const StoreConfig& config) {
  return static_cast<uint64_t>(absl::ToInt64Seconds(config.retry_window));
}

embedded::Options EmbeddedOptions(const StoreConfig& config) {
  embedded::Options options;
  options.data_dir = config.data_dir;
  options.create = config.create;
  options.rebuild_index = config.rebuild_index;
  options.rules = RulesOf(config);
  options.clock = Clock::System();
  if (config.max_disk != StoreConfig::kUnset) options.max_disk = config.max_disk;
  if (config.disk_reserve != StoreConfig::kUnset) options.disk_reserve = config.disk_reserve;
  options.body_memory = config.body_memory;
  options.compaction_bytes_per_second = config.compaction_rate;
  options.retry_window_seconds = RetryWindowSeconds(config);
  options.event_retention_seconds = EventRetentionSeconds(config);
  options.scrub_interval = config.scrub_interval;
  options.scrub_bytes_per_second = config.scrub_rate;
  return options;
}

rados::Options RadosOptions(const StoreConfig& config) {
  rados::Options options;
  options.ceph_conf = config.ceph.conf;
  options.ceph_user = config.ceph.user;
  options.ceph_keyring = config.ceph.keyring;
  options.pool_index = config.ceph.pool_index;
  options.pool_body = config.ceph.pool_body;
  options.name_space = config.ceph.name_space;
  options.allow_min_size_1 = config.ceph.allow_min_size_1;
  options.rules = RulesOf(config);
  options.clock = Clock::System();
  if (config.max_disk != StoreConfig::kUnset) options.max_disk = config.max_disk;
  options.retry_window_seconds = RetryWindowSeconds(config);
  options.event_retention_seconds = EventRetentionSeconds(config);
  options.give_up = [] {
    Log(LogLevel::kWarning,
        "the cluster does not answer: what is under way is left to other stores to settle");
    std::_Exit(0);
  };
  return options;
}

absl::StatusOr<std::unique_ptr<engine::Engine>> OpenEngine(const StoreConfig& config) {
  if (config.engine == "memory") {
    engine::MemoryOptions options;
    options.rules = RulesOf(config);
    options.clock = Clock::System();
    if (config.max_disk != StoreConfig::kUnset) options.max_disk = config.max_disk;
    options.retry_window_seconds = RetryWindowSeconds(config);
    options.event_retention_seconds = EventRetentionSeconds(config);
    return engine::NewMemoryEngine(std::move(options));
  }
  if (config.engine == "rados") return rados::Open(RadosOptions(config));
  return embedded::Open(EmbeddedOptions(config));
}

mail::DeliveryOptions DeliveryOptionsOf(const StoreConfig& config) {
  mail::DeliveryOptions options;
  options.max_message = config.max_message;
  options.max_recipients = config.max_recipients;
  options.reserve_unknown = config.reserve_unknown;
  options.reserve_per_client = config.reserve_per_client;
  options.idle_us = absl::ToInt64Microseconds(config.transaction_idle);
  options.max_age_us = absl::ToInt64Microseconds(config.transaction_max);
  options.rules = RulesOf(config);
  return options;
}

absl::StatusOr<mail::QuotaWarnings::Options> WarningOptionsOf(const StoreConfig& config) {
  mail::QuotaWarnings::Options options;
  options.hostname = config.hostname;
  options.interval = config.quota_warning_interval;
  if (config.quota_warning_template.empty()) return options;
  const auto annotated = [](const absl::Status& status) {
    return absl::FailedPreconditionError(absl::StrCat("--quota-warning-template ", status.message()));
  };
  const absl::StatusOr<std::string> text = ReadSmallFile(config.quota_warning_template);
  if (!text.ok()) return annotated(text.status());
  absl::StatusOr<mail::WarningTemplate> parsed = mail::WarningTemplate::Parse(*text);
  if (!parsed.ok()) {
    return annotated(Annotate(parsed.status(), absl::StrCat("`", config.quota_warning_template, "`")));
  }
  options.text = *std::move(parsed);
  return options;
}

int Fail(const absl::Status& status, int exit_status) {
  std::fprintf(stderr, "restante-store: %s\n", std::string(status.message()).c_str());
  return exit_status;
}

// Waits until no transaction is open, a second signal comes, or the time is over.
void AwaitDrained(mail::Deliveries& deliveries, absl::Duration timeout, const sigset_t& signals) {
  const int64_t end_us = Clock::System()->MonotonicMicros() + absl::ToInt64Microseconds(timeout);
  const timespec now = {};
  while (!deliveries.AwaitIdle(50'000)) {
    const int taken = sigtimedwait(&signals, nullptr, &now);
    const bool again = taken == SIGTERM || taken == SIGINT;
    if (!again && Clock::System()->MonotonicMicros() < end_us) continue;
    return Log(LogLevel::kWarning, "transactions are cut off",
               {{"reason", again ? "a second signal" : "--drain-timeout"}});
  }
}

// Waits for one of `signals` that ends the store, and reads its credentials again
// on SIGHUP and when they change. Returns the signal.
int AwaitEnd(const sigset_t& signals, access::Authorizer& authorizer,
             access::ListenerCredentials* credentials, ops::Webhook* webhook) {
  constexpr timespec kInterval = {.tv_sec = 1, .tv_nsec = 0};
  while (true) {
    const int taken = sigtimedwait(&signals, nullptr, &kInterval);
    if (taken == SIGTERM || taken == SIGINT) return taken;
    if (taken == SIGHUP) {
      authorizer.Reload();
      if (credentials != nullptr) credentials->Reload();
      if (webhook != nullptr) webhook->Reload();
    } else {
      authorizer.ReloadIfChanged();
      if (credentials != nullptr) credentials->ReloadIfChanged();
      if (webhook != nullptr) webhook->ReloadIfChanged();
    }
  }
}

bool OpsStayHere(const StoreConfig& config) {
  return config.ops_listen == "auto" || IsLoopback(config.ops_listen);
}

// Who may see the pages of the operations port: everyone if only this machine reaches
// it, else operators, where callers are known.
std::function<bool(absl::string_view)> MaySeePages(const StoreConfig& config,
                                                   access::Authorizer* authorizer) {
  if (OpsStayHere(config) || config.callers.empty()) return nullptr;
  return [authorizer](absl::string_view password) {
    access::Credentials credentials;
    if (access::CheckToken(password).ok()) credentials.token = access::TokenHash::Of(password);
    const access::Rule rule = {access::Role::kOperator, access::Scope::kStore};
    return authorizer->Authorize("the status page", rule, std::move(credentials), "operations port").ok();
  };
}

int Run(const StoreConfig& config) {
  RouteGrpcLog();
  // Before any thread starts: all inherit the mask, and AwaitEnd takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  // Only with something to read again: else it ends the program, as a terminal that
  // goes expects.
  if (!config.callers.empty() || !config.tls_cert.empty() || !config.webhook_secret_file.empty()) {
    sigaddset(&signals, SIGHUP);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  // First: what is wrong with them is said before the mail is touched.
  auto authorizer = std::make_unique<access::Authorizer>(Clock::System());
  if (!config.callers.empty()) {
    auto loaded = access::Authorizer::Load(config.callers, !config.tls_client_ca.empty(), Clock::System());
    if (!loaded.ok()) return Fail(Annotate(loaded.status(), "--callers"), 1);
    authorizer = *std::move(loaded);
  }
  std::unique_ptr<ops::MetricsToken> metrics_token;
  if (!config.ops_token_file.empty()) {
    auto loaded = ops::MetricsToken::Load(config.ops_token_file);
    if (!loaded.ok()) return Fail(Annotate(loaded.status(), "--ops-token-file"), 1);
    metrics_token = *std::move(loaded);
  }
  std::unique_ptr<access::ListenerCredentials> tls;
  if (!config.tls_cert.empty()) {
    auto loaded = access::ListenerCredentials::Load({config.tls_cert, config.tls_key, config.tls_client_ca});
    if (!loaded.ok()) return Fail(loaded.status(), 1);
    tls = *std::move(loaded);
  }

  std::optional<mail::QuotaWarnings::Options> warning_options;
  if (config.quota_warnings || !config.quota_warning_template.empty()) {
    auto options = WarningOptionsOf(config);
    if (!options.ok()) return Fail(options.status(), 1);
    warning_options = *std::move(options);
  }

  auto opened = Home::Open(config, OpenEngine);
  if (!opened.ok()) return Fail(opened.status(), 1);
  Home home = *std::move(opened);
  engine::Engine* const engine = home.engine();

  if (config.postmaster.empty()) {
    Log(LogLevel::kWarning,
        "no --postmaster: mail for <postmaster> and for postmaster@ of domains without one is deferred "
        "(451)");
  }
  mail::Directory directory(engine, {config.recipient_delimiter, config.postmaster});
  mail::Deliveries deliveries(engine, &directory, DeliveryOptionsOf(config), Clock::System());
  mail::Provisioning provisioning(engine, RulesOf(config), Clock::System());
  mail::Messages messages(engine, config.max_message, Clock::System());
  {
    absl::Notification recovered;
    absl::Status status;
    provisioning.RecoverInterrupted([&](absl::Status s) {
      status = std::move(s);
      recovered.Notify();
    });
    recovered.WaitForNotification();
    if (!status.ok()) return Fail(Annotate(status, "finishing interrupted changes"), 1);
  }

  auto events = std::make_unique<mail::EventFeed>(engine);
  std::unique_ptr<ops::Webhook> webhook;
  if (!config.webhook_url.empty()) {
    auto hook = ops::Webhook::Start(
        {.url = config.webhook_url, .ca_file = config.webhook_ca, .secret_file = config.webhook_secret_file},
        events.get());
    if (!hook.ok()) return Fail(hook.status(), 1);
    webhook = *std::move(hook);
  }
  std::unique_ptr<mail::QuotaWarnings> warnings;
  if (warning_options) {
    warnings = std::make_unique<mail::QuotaWarnings>(&messages, events.get(), *std::move(warning_options));
  }
  rpc::Api api(engine, &deliveries, &provisioning, &messages, events.get(), config.transaction_idle);
  rpc::Server::Options options;
  options.listen = config.listen;
  if (tls != nullptr) options.credentials = tls->credentials();
  options.authorizer = authorizer.get();
  auto started = rpc::Server::Start(options, api.methods());
  if (!started.ok()) {
    return Fail(absl::UnavailableError(absl::StrCat("--listen ", started.status().message())), 1);
  }
  std::unique_ptr<rpc::Server> server = *std::move(started);
  const ops::StoreMetrics metrics(
      engine, &provisioning, &deliveries,
      [&authorizer, &tls] {
        const access::Authorizer::Counts denied = authorizer->denied();
        ops::AccessFigures figures;
        figures.unauthenticated = denied.unauthenticated;
        figures.permission_denied = denied.permission_denied;
        if (tls != nullptr) figures.certificate_expires = absl::ToUnixSeconds(tls->expires());
        return figures;
      },
      [&] {
        ops::ServiceFigures figures;
        figures.deliver_streams = api.streams().deliver;
        figures.watch_streams = api.streams().watch_events;
        if (webhook) figures.webhook = webhook->figures();
        if (warnings) figures.warnings = warnings->sent();
        figures.drift = messages.drift().found();
        return figures;
      });
  ops::StatusSource status(engine, &provisioning, &deliveries, Clock::System());
  auto operations = ops::OperationsServer::ListenAsTold(
      config.ops_listen, kDefaultOpsAddress,
      {.metrics = [&metrics] { return ops::MetricsText(metrics); },
       .may_scrape = ops::MetricsToken::Check(metrics_token.get()),
       // A cluster that does not answer, or whose room nobody knows: others may be better off.
       .ready = [engine] { return engine->name() != "rados" || !engine->GetCapacity().read_only; },
       .pages = {{"/", "text/html; charset=utf-8", [&status] { return ops::StatusHtml(status.Read()); }},
                 {"/status.css", "text/css; charset=utf-8", [] { return ops::kStatusCss; }},
                 {"/status.js", "text/javascript; charset=utf-8", [] { return ops::kStatusJs; }}},
       .authorize = MaySeePages(config, authorizer.get()),
       .pages_stay_here = !config.insecure && !OpsStayHere(config)});
  if (!operations.ok()) return Fail(operations.status(), 1);
  const std::string address =
      absl::StrContains(config.listen, "unix:")
          ? config.listen
          : absl::StrCat(config.listen.substr(0, config.listen.rfind(':')), ":", server->port());
  std::printf("listening grpc %s\n", address.c_str());
  if (*operations) std::printf("listening ops %s\n", (*operations)->address().c_str());
  std::fflush(stdout);
  NotifyServiceManager("READY=1");
  Log(LogLevel::kInfo, "ready",
      {{"listen", address}, {"engine", engine->name()}, {"data_dir", config.data_dir}});

  home.StartMove();
  const int taken = AwaitEnd(signals, *authorizer, tls.get(), webhook.get());
  Log(LogLevel::kInfo, "stopping", {{"signal", taken == SIGTERM ? "SIGTERM" : "SIGINT"}});
  NotifyServiceManager("STOPPING=1");
  if (*operations) (*operations)->Stopping();
  api.health().Stop();
  events->Stop();
  home.StopMove();
  deliveries.Drain();
  AwaitDrained(deliveries, config.drain_timeout, signals);
  server->Shutdown(std::chrono::system_clock::now() + kCallGrace);
  server.reset();
  // Commits that were read are finished: their senders may ask for them later.
  deliveries.AwaitIdle(absl::ToInt64Microseconds(kCommitGrace));
  operations->reset();
  webhook.reset();
  warnings.reset();
  events.reset();
  home.Close();
  Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace restante

int main(int argc, char** argv) {
  // Debian's Abseil looks for deadlocks at every lock, gRPC's too.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (argc > 1 && absl::string_view(argv[1]) == "init-cluster") {
    return restante::InitCluster(argc - 1, argv + 1);
  }
  if (argc > 1 && absl::string_view(argv[1]) == "migrate") return restante::RunMigrate(argc - 1, argv + 1);
  restante::StoreConfig config;
  restante::OptionTable options("restante-store",
                                "The storage and quota service of Restante. See also: restante-store "
                                "init-cluster --help, restante-store migrate --help.");
  config.Register(options);
  if (std::optional<int> status = options.Parse(argc, argv, [&] { return config.Check(); })) return *status;
  if (absl::Status status = restante::InitLog("restante-store", config.log_format, config.log_level);
      !status.ok()) {
    return restante::Fail(status, 2);
  }
  if (!config.restore.empty()) {
    const absl::Status restored =
        restante::RestoreBackup(restante::EmbeddedOptions(config), config.restore, config.restore_damaged);
    return restored.ok() ? 0 : restante::Fail(restored, 1);
  }
  return restante::Run(config);
}
