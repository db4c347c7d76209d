// What `restante-store` is told: every option, its default and its meaning.
#ifndef RESTANTE_SERVER_CONFIG_H_
#define RESTANTE_SERVER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/options.h"
#include "server/ceph_options.h"

namespace restante {

struct StoreConfig {
  StoreConfig();

  std::string data_dir;
  bool create = false;
  bool rebuild_index = false;
  std::string restore;
  bool restore_damaged = false;
  std::string engine = "embedded";
  CephOptions ceph;
  std::string migrate_to;
  std::string listen = "127.0.0.1:8354";
  bool insecure = false;
  std::string tls_cert, tls_key, tls_client_ca;
  std::string callers;
  std::string ops_listen = "auto";
  std::string ops_token_file;

  // kUnset where it is `unlimited` or `auto`.
  static constexpr uint64_t kUnset = UINT64_MAX;
  uint64_t default_bytes = kUnset;
  std::string default_messages = "unlimited";
  uint64_t max_message = uint64_t{50} << 20;
  uint32_t max_recipients = 1000;
  uint64_t reserve_unknown = uint64_t{1} << 20;
  absl::Duration reserve_idle = absl::Seconds(30);
  uint64_t reserve_per_client = uint64_t{1} << 30;
  uint64_t quota_grace = 0;
  uint32_t deliveries_per_mailbox = 256;
  absl::Duration transaction_idle = absl::Minutes(10);
  absl::Duration transaction_max = absl::Hours(1);
  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration retry_window = absl::Hours(7 * 24);

  std::string quota_thresholds = "80,90,95,100";
  absl::Duration event_retention = absl::Hours(7 * 24);
  std::string webhook_url, webhook_ca, webhook_secret_file;
  bool quota_warnings = false;
  std::string quota_warning_template;
  absl::Duration quota_warning_interval = absl::Hours(24);
  std::string hostname;

  uint64_t max_disk = kUnset;
  uint64_t disk_reserve = kUnset;
  uint64_t body_memory = uint64_t{64} << 20;
  absl::Duration scrub_interval = absl::Hours(7 * 24);
  uint64_t scrub_rate = uint64_t{4} << 20;
  uint64_t compaction_rate = uint64_t{32} << 20;

  std::string recipient_delimiter = "+";
  std::string postmaster;

  std::string log_format = "text";
  std::string log_level = "info";

  void Register(OptionTable& options);

  // What no single option can tell: addresses off loopback without credentials, a
  // bound on recipients below 100, and the like. kInvalidArgument, one line.
  absl::Status Check() const;

  // The part of it that is about who may call.
  absl::Status CheckCredentials() const;

  // `quota_thresholds` as numbers.
  absl::StatusOr<std::vector<uint32_t>> Thresholds() const;

  // `default_messages` as a number; kUnset for `unlimited`.
  absl::StatusOr<uint64_t> DefaultMessages() const;
};

// Where --ops-listen auto listens, if nobody else does.
inline constexpr char kDefaultOpsAddress[] = "127.0.0.1:9354";

}  // namespace restante

#endif  // RESTANTE_SERVER_CONFIG_H_
