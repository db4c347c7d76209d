#include "server/config.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/base/address.h"
#include "server/base/status_macros.h"
#include "server/ops/webhook.h"
#include "server/place.h"

namespace restante {
namespace {

bool IsHostCharacter(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-'; }

std::string OwnHostname() {
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  std::string own = name;
  for (char& c : own) {
    if (!IsHostCharacter(c)) c = '-';
  }
  return own;
}

}  // namespace

StoreConfig::StoreConfig() : hostname(OwnHostname()) {}

void StoreConfig::Register(OptionTable& options) {
  options.String("data-dir", &data_dir, "DIR", "Where the mail is kept; one store owns it.");
  options.Bool("create", &create, "Make a new store if the data directory is missing or empty.");
  options.Bool("rebuild-index", &rebuild_index,
               "Throw the index away and make it again from the log, once, at this start.");
  options.String("restore", &restore, "BACKUP",
                 "Make the data directory, which has to be missing or empty, from this backup, and end.");
  options.Bool("restore-damaged", &restore_damaged,
               "With --restore: take what can be read of a damaged one.");
  options.Choice(
      "engine", &engine, {"embedded", "rados", "memory"},
      "What keeps the mail: files in --data-dir, a Ceph cluster that many stores share (prepared by "
      "`restante-store init-cluster`), or, for trials, memory until the program ends.");
  ceph.Register(options, "File with that user's key; empty: as ceph.conf says.");
  options.String(
      "migrate-to", &migrate_to, "PLACE",
      "Move the store there while it serves: embedded:DIR, missing or empty, or rados. From then on "
      "it is served from there; this option stays until others say where it is.");
  options.String("listen", &listen, "ADDR", "Address of the gRPC API.");
  options.String("tls-cert", &tls_cert, "FILE",
                 "The certificate and its chain, PEM, for TLS on --listen. This, the next two and --callers "
                 "are read again when they change and on SIGHUP.");
  options.String("tls-key", &tls_key, "FILE", "The certificate's key, PEM without a passphrase.");
  options.String("tls-client-ca", &tls_client_ca, "FILE",
                 "The authorities that callers' certificates are believed by, PEM; callers with a token need "
                 "none.");
  options.String("callers", &callers, "FILE",
                 "Who may do what (TOML), by certificate or token; nobody else may do anything. Without it: "
                 "everyone everything.");
  options.Bool("insecure", &insecure,
               "Allow listening off loopback without TLS, or without --callers: everyone may do everything.");

  options.String(
      "ops-listen", &ops_listen, "ADDR|auto|none",
      "Address of the operations HTTP (/metrics, /livez, /readyz); auto: 127.0.0.1:9354, if nobody "
      "else has it.");
  options.String(
      "ops-token-file", &ops_token_file, "FILE",
      "A file with the token that /metrics asks for, which --ops-listen needs off loopback; read again "
      "when it changes.");

  options.Size("default-bytes", &default_bytes, "Limit of mailboxes that inherit theirs.", "unlimited",
               kUnset);
  options.String("default-messages", &default_messages, "N|unlimited",
                 "The same for the number of messages.");
  options.Size("max-message", &max_message, "Largest message taken.");
  options.Uint32("max-recipients", &max_recipients, "N", "Recipients of one message, at least 100.");
  options.Size("reserve-unknown", &reserve_unknown, "Room reserved for a message that declares no size.");
  options.Duration("reserve-idle", &reserve_idle, "How long a reservation is safe from others before DATA.");
  options.Size("reserve-per-client", &reserve_per_client, "What one client address may reserve before DATA.");
  options.Size("quota-grace", &quota_grace,
               "How far a message that outgrew its reservation may exceed a limit.");
  options.Uint32("deliveries-per-mailbox", &deliveries_per_mailbox, "N",
                 "Parallel deliveries to one mailbox.");
  options.Duration("transaction-idle", &transaction_idle,
                   "A transaction without an event for so long is aborted.");
  options.Duration("transaction-max", &transaction_max, "A transaction open for so long is aborted.");
  options.Duration("drain-timeout", &drain_timeout,
                   "After SIGTERM, how long transactions that are open may go on; new ones are refused.");
  options.Duration("retry-window", &retry_window,
                   "How long a message whose sender may not have got the answer is remembered, so that its "
                   "retry makes no second copy, counted in time that the store runs; 0: not at all.");

  options.String(
      "quota-thresholds", &quota_thresholds, "N,N...|none",
      "Percent of a limit that are events when a mailbox or the pool of a domain reaches or leaves "
      "them (`restante watch`).");
  options.Duration("event-retention", &event_retention,
                   "How long events are kept for those who follow them, counted in time that the store runs; "
                   "100,000 at most.");
  options.String(
      "webhook-url", &webhook_url, "URL",
      "Where each event is posted (http or https), from the first start with it on; empty: nowhere.");
  options.String("webhook-ca", &webhook_ca, "FILE",
                 "The authorities that its certificate is believed by, PEM; empty: the system's.");
  options.String(
      "webhook-secret-file", &webhook_secret_file, "FILE",
      "Signs the requests: its first line, 16 characters at least. Read again when it changes and on "
      "SIGHUP.");
  options.Bool("quota-warnings", &quota_warnings,
               "Put a message into a mailbox that has reached a threshold, from the first start with it on.");
  options.String("quota-warning-template", &quota_warning_template, "FILE",
                 "What it says, instead of the text that is built in: headers, an empty line, a text, with "
                 "{{address}}, {{percent}}, {{used}}, {{limit}}, {{hostname}}. Means --quota-warnings.");
  options.Duration("quota-warning-interval", &quota_warning_interval,
                   "A mailbox gets at most one in so long, counted in time that the store runs.");
  options.String("hostname", &hostname, "NAME", "This host's name in messages that the store writes.");

  options.Size("max-disk", &max_disk, "What the store may occupy in all.", "unlimited", kUnset);
  options.Size(
      "disk-reserve", &disk_reserve,
      "Room that mail leaves free on the file system; auto: the smaller of 5% and 1G, more if it is small.",
      "auto", kUnset);
  options.Size("body-memory", &body_memory, "Memory for messages under way; above it they go to files.");

  options.Size("compaction-rate", &compaction_rate,
               "What giving back the room of deleted mail writes a second at most, while there is room; 0: "
               "only by command.");
  options.Duration("scrub-interval", &scrub_interval,
                   "How often all that is stored is read and compared with its checksums, counted in time "
                   "that the store runs; 0: only when `restante store scrub` says so.");
  options.Size("scrub-rate", &scrub_rate, "Octets that this reads a second; 0: as fast as it goes.");

  options.String("recipient-delimiter", &recipient_delimiter, "CHARS",
                 "Characters that begin a detail in a local part (user+detail); empty: none.");
  options.String("postmaster", &postmaster, "ADDRESS",
                 "Mailbox for <postmaster> and for postmaster@ of domains that have none.");

  options.Choice("log-format", &log_format, {"text", "json"}, "Form of the log on standard error.");
  options.Choice("log-level", &log_level, {"debug", "info", "warning", "error"},
                 "Lowest level that is logged; audit lines always are.");
}

namespace {

absl::Status CheckAddress(absl::string_view option, const std::string& address) {
  uint32_t port = 0;
  const size_t colon = address.rfind(':');
  if (colon != std::string::npos && colon != 0 && absl::SimpleAtoi(address.substr(colon + 1), &port) &&
      port <= 65535) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", option, " ", address, ": is not HOST:PORT with a port from 0 to 65535"));
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> StoreConfig::Thresholds() const {
  constexpr size_t kMostThresholds = 16;
  std::vector<uint32_t> percents;
  if (quota_thresholds == "none") return percents;
  for (const absl::string_view part : absl::StrSplit(quota_thresholds, ',')) {
    uint32_t percent = 0;
    if (part.empty() || !absl::ascii_isdigit(part[0]) || !absl::SimpleAtoi(part, &percent) || percent == 0 ||
        percent > 100 || (!percents.empty() && percent <= percents.back()) ||
        percents.size() == kMostThresholds) {
      return absl::InvalidArgumentError(absl::StrCat("--quota-thresholds ", quota_thresholds,
                                                     ": is neither `none` nor ascending numbers from 1 "
                                                     "to 100 with commas, ",
                                                     kMostThresholds, " at most"));
    }
    percents.push_back(percent);
  }
  return percents;
}

absl::StatusOr<uint64_t> StoreConfig::DefaultMessages() const {
  if (default_messages == "unlimited") return kUnset;
  uint64_t count = 0;
  if (!absl::SimpleAtoi(default_messages, &count) || count > uint64_t{1} << 62) {
    return absl::InvalidArgumentError(absl::StrCat("--default-messages ", default_messages,
                                                   ": is neither a number up to 2^62 nor `unlimited`"));
  }
  return count;
}

absl::Status StoreConfig::CheckCredentials() const {
  const auto wrong = [](auto... text) { return absl::InvalidArgumentError(absl::StrCat(text...)); };
  if (tls_cert.empty() != tls_key.empty()) {
    return wrong(tls_cert.empty() ? "--tls-key needs --tls-cert" : "--tls-cert needs --tls-key");
  }
  if (!tls_client_ca.empty() && tls_cert.empty())
    return wrong("--tls-client-ca needs --tls-cert and --tls-key");
  if (!tls_client_ca.empty() && callers.empty()) {
    return wrong("--tls-client-ca needs --callers, which says what each may do");
  }
  // A name may stand for several addresses (access/listener_credentials.h).
  if (!tls_cert.empty() && !IsNumeric(listen)) {
    return wrong("--listen ", listen, ": with TLS has to be an IP address and a port, not a name");
  }
  if (insecure || IsLoopback(listen)) return absl::OkStatus();
  if (callers.empty()) {
    return wrong("--listen ", listen, ": not a loopback address, and nothing says who may call; --callers, ",
                 "--tls-cert and --tls-key say it, --insecure lets everyone do everything");
  }
  if (tls_cert.empty()) {
    return wrong("--listen ", listen, ": not a loopback address, and tokens would go in the clear; ",
                 "--tls-cert and --tls-key encrypt them, --insecure allows it");
  }
  return absl::OkStatus();
}

absl::Status StoreConfig::Check() const {
  if (engine == "embedded" && data_dir.empty()) {
    return absl::InvalidArgumentError("--data-dir: is required, it says where the mail is kept");
  }
  if (!restore.empty() && engine != "embedded") {
    return absl::InvalidArgumentError("--restore: needs --engine embedded, others keep nothing on disk");
  }
  if (!migrate_to.empty()) {
    if (engine == "memory") {
      return absl::InvalidArgumentError("--migrate-to: memory keeps nothing that could be moved");
    }
    ASSIGN_OR_RETURN(const Place there, Place::Parse("migrate-to", migrate_to));
    ASSIGN_OR_RETURN(
        const Place here,
        Place::Parse("engine", engine == "rados" ? engine : absl::StrCat(engine, ":", data_dir)));
    if (here == there) {
      return absl::InvalidArgumentError(absl::StrCat("--migrate-to ", migrate_to, ": is where the store is"));
    }
  }
  if (engine == "rados" || migrate_to == "rados") {
    RETURN_IF_ERROR(ceph.Check());
  } else if (ceph.allow_min_size_1 || !(ceph.keyring.empty() && ceph.name_space.empty())) {
    return absl::InvalidArgumentError(absl::StrCat(!ceph.keyring.empty()      ? "--ceph-keyring"
                                                   : !ceph.name_space.empty() ? "--ceph-namespace"
                                                                              : "--allow-min-size-1",
                                                   " needs --engine rados"));
  }
  RETURN_IF_ERROR(DefaultMessages().status());
  RETURN_IF_ERROR(Thresholds().status());
  if (event_retention < absl::Minutes(1)) {
    return absl::InvalidArgumentError(
        "--event-retention: at least 1m, or those who follow events would miss some");
  }
  if (!webhook_url.empty()) RETURN_IF_ERROR(ops::CheckWebhookUrl(webhook_url));
  if (webhook_url.empty() && !(webhook_ca.empty() && webhook_secret_file.empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat(webhook_ca.empty() ? "--webhook-secret-file" : "--webhook-ca", " needs --webhook-url"));
  }
  if (hostname.empty() || !std::all_of(hostname.begin(), hostname.end(), IsHostCharacter)) {
    return absl::InvalidArgumentError(absl::StrCat("--hostname: `", hostname, "` is no host name"));
  }
  if (!absl::StartsWith(listen, "unix:")) RETURN_IF_ERROR(CheckAddress("listen", listen));
  RETURN_IF_ERROR(CheckCredentials());
  if (ops_listen != "auto" && ops_listen != "none") {
    RETURN_IF_ERROR(CheckAddress("ops-listen", ops_listen));
    if (!insecure && ops_token_file.empty() && !IsLoopback(ops_listen)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--ops-listen ", ops_listen,
                       ": not a loopback address, and nothing says who may read; --ops-token-file says it, ",
                       "--insecure lets everyone"));
    }
  }
  if (max_recipients < 100) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max-recipients ", max_recipients, ": at least 100 (RFC 5321, 4.5.3.1.8)"));
  }
  if (max_message == 0 || max_message > uint64_t{1} << 40) {
    return absl::InvalidArgumentError(absl::StrCat("--max-message ", max_message, ": 1 to 1T"));
  }
  if (reserve_unknown == 0) return absl::InvalidArgumentError("--reserve-unknown 0: at least 1");
  if (deliveries_per_mailbox == 0)
    return absl::InvalidArgumentError("--deliveries-per-mailbox 0: at least 1");
  return absl::OkStatus();
}

}  // namespace restante
