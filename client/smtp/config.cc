#include "client/smtp/config.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/smtp/networks.h"
#include "client/smtp/received_header.h"
#include "server/base/address.h"

namespace restante::smtp {
namespace {

bool Listens(const std::vector<std::string>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [](const std::string& address) { return address != kNone; });
}

std::string OwnHostname() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return SanitizeHelo(name);
}

}  // namespace

FrontConfig::FrontConfig() : hostname(OwnHostname()) {}

void FrontConfig::Register(OptionTable& options) {
  options.String(
      "store", &store, "ADDR[,ADDR...]",
      "The store's gRPC address. Several stores of the same mail: all of their addresses, or a name "
      "that leads to them, as `dns:///stores.example.org:8354`.");
  options.String("store-ca", &store_ca, "FILE",
                 "The authorities that the store's certificate is believed by, PEM: speak TLS. This and the "
                 "next three are read again when they change.");
  options.String("store-cert", &store_cert, "FILE", "The certificate by which the store knows us, PEM.");
  options.String("store-key", &store_key, "FILE", "Its key, PEM without a passphrase.");
  options.String("store-token-file", &store_token_file, "FILE",
                 "A file with the token by which the store knows us.");
  options.List("smtp-listen", &smtp_listen, "ADDR|none", "Where to speak SMTP; port 0 is any free one.");
  options.List("smtps-listen", &smtps_listen, "ADDR", "Where to speak SMTP in TLS from the first octet on.");
  options.List("lmtp-listen", &lmtp_listen, "ADDR|none", "Where to speak LMTP; never port 25.");
  options.List("smtp-proxy-listen", &smtp_proxy_listen, "ADDR",
               "Where to speak SMTP behind a proxy that sends the PROXY protocol's header, 1 or 2.");
  options.List("smtps-proxy-listen", &smtps_proxy_listen, "ADDR",
               "The same in TLS, which begins behind the header.");
  options.List("lmtp-proxy-listen", &lmtp_proxy_listen, "ADDR", "The same for LMTP.");
  options.List("policy-listen", &policy_listen, "ADDR|auto|none",
               "Where to answer Postfix's policy requests; auto: 127.0.0.1:2452, if nobody else has it.");
  options.List(
      "socketmap-listen", &socketmap_listen, "ADDR|auto|none",
      "Where to answer look-ups in the maps `domain` and `mailbox`; auto: 127.0.0.1:2453, likewise.");
  options.String(
      "ops-listen", &ops_listen, "ADDR|auto|none",
      "Address of the operations HTTP (/metrics, /livez, /readyz); auto: 127.0.0.1:9355, if nobody "
      "else has it.");
  options.String(
      "ops-token-file", &ops_token_file, "FILE",
      "A file with the token that /metrics asks for, which --ops-listen needs off loopback; read again "
      "when it changes.");
  options.String(
      "user", &user, "NAME",
      "Whom to become once all addresses are had; for a start as root, which ports below 1024 need.");
  options.List("trusted-networks", &trusted_networks, "NETWORK",
               "Who may speak LMTP, and ask for policy and socketmaps; which proxies are believed.");
  options.String(
      "tls-cert", &tls_cert, "FILE",
      "The certificate and its chain, PEM: STARTTLS is offered. Read again when it changes and on SIGHUP.");
  options.String("tls-key", &tls_key, "FILE", "The certificate's key, PEM without a passphrase.");
  options.String("hostname", &hostname, "NAME", "This host's name in greetings and Received headers.");
  options.Uint32("max-connections", &max_connections, "CONNECTIONS",
                 "At the same time, by SMTP and LMTP; more get 421.");
  options.Uint32(
      "client-connections", &client_connections, "CONNECTIONS",
      "At the same time, of one client address (in IPv6: /64); more get 421. 0: no bound. These three "
      "do not hold for --trusted-networks.");
  options.Uint32("client-connections-per-minute", &client_connections_per_minute, "CONNECTIONS",
                 "Begun by one client address within a minute; more get 421. 0: no bound.");
  options.Uint32(
      "client-errors-per-minute", &client_errors_per_minute, "ERRORS",
      "In syntax and sequence by one client address; until the minute is over it gets 421. 0: no bound.");
  options.Uint32("max-recipients", &max_recipients, "RECIPIENTS",
                 "In one transaction; more get 452. At least 100.");
  options.Uint32("max-errors", &max_errors, "ERRORS",
                 "In syntax and sequence since the last stored message; then 421.");
  options.Duration("idle-timeout", &idle_timeout, "How long a peer may be silent; then 421.");
  options.Duration("settle-timeout", &settle_timeout,
                   "How long an outcome that was lost with the store is asked for.");
  options.Duration("drain-timeout", &drain_timeout,
                   "After SIGTERM, how long transactions that are open may go on; above --settle-timeout "
                   "outcomes that were lost are settled, too.");
  options.Choice("bare-newline", &bare_newline, {"keep", "refuse"},
                 "What to do with a text that has a bare CR, a bare LF or NUL.");
  options.Choice("unknown-recipient", &unknown_recipient, {"reject", "tempfail"},
                 "Whether unknown mailboxes and domains get 550 or 450.");
  options.Bool(
      "advertise-dsn", &advertise_dsn,
      "Offers DSN: whoever reads the messages sends their senders the notifications that they asked for. "
      "What was asked is kept with a message in any case.");
  options.Choice("reply-detail", &reply_detail, {"trusted", "none"},
                 "Who is told with a refusal whose limit was met and how much is missing: "
                 "--trusted-networks, or nobody.");
  options.Choice("policy-unavailable", &policy_unavailable, {"dunno", "tempfail"},
                 "What a policy request is answered while the store is away.");
  options.Choice("log-format", &log_format, {"text", "json"}, "What log lines look like.");
  options.Choice("log-level", &log_level, {"debug", "info", "warning", "error"},
                 "The lowest that is logged.");
}

absl::Status FrontConfig::Check() const {
  const auto wrong = [](auto... text) { return absl::InvalidArgumentError(absl::StrCat(text...)); };
  if (max_recipients < 100) {
    return wrong("--max-recipients: ", max_recipients, " is less than 100 (RFC 5321, 4.5.3.1.8)");
  }
  if (max_errors == 0) return wrong("--max-errors: must be at least 1");
  if (max_connections == 0) return wrong("--max-connections: must be at least 1");
  if (idle_timeout <= absl::ZeroDuration()) return wrong("--idle-timeout: must be more than 0");
  if (const auto networks = Networks::Parse(trusted_networks); !networks.ok()) {
    return wrong("--trusted-networks: ", networks.status().message());
  }
  if (hostname.empty() || hostname != SanitizeHelo(hostname)) {
    return wrong("--hostname: `", hostname, "` is no host name");
  }
  if (ops_listen != kAuto && ops_listen != kNone && ops_token_file.empty() && !IsLoopback(ops_listen)) {
    return wrong("--ops-listen ", ops_listen,
                 ": not a loopback address, and nothing says who may read; --ops-token-file says it");
  }
  const bool smtps = Listens(smtps_listen) || Listens(smtps_proxy_listen);
  const bool proxied = Listens(smtp_proxy_listen) || Listens(lmtp_proxy_listen);
  if (!Listens(smtp_listen) && !Listens(lmtp_listen) && !smtps && !proxied) {
    return wrong("no option names an address to speak SMTP or LMTP at");
  }
  if (tls_cert.empty() != tls_key.empty()) {
    return wrong(tls_cert.empty() ? "--tls-key needs --tls-cert" : "--tls-cert needs --tls-key");
  }
  if (smtps && tls_cert.empty()) {
    return wrong(Listens(smtps_listen) ? "--smtps-listen" : "--smtps-proxy-listen",
                 " needs --tls-cert and --tls-key");
  }
  return absl::OkStatus();
}

}  // namespace restante::smtp
