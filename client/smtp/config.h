// What `restante-smtp` is told: every option, its default and its meaning.
#ifndef RESTANTE_CLIENT_SMTP_CONFIG_H_
#define RESTANTE_CLIENT_SMTP_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/options.h"

namespace restante::smtp {

// Stands for the usual address, unless another program has that.
inline constexpr char kAuto[] = "auto";
// Stands for no address.
inline constexpr char kNone[] = "none";
inline constexpr char kPolicyAddress[] = "127.0.0.1:2452";
inline constexpr char kSocketmapAddress[] = "127.0.0.1:2453";
inline constexpr char kOpsAddress[] = "127.0.0.1:9355";

struct FrontConfig {
  std::string store = "127.0.0.1:8354";
  std::string store_ca, store_cert, store_key, store_token_file;
  std::vector<std::string> smtp_listen = {"127.0.0.1:2525"};
  std::vector<std::string> smtps_listen;
  std::vector<std::string> lmtp_listen = {"127.0.0.1:2424"};
  std::vector<std::string> smtp_proxy_listen;
  std::vector<std::string> smtps_proxy_listen;
  std::vector<std::string> lmtp_proxy_listen;
  std::vector<std::string> policy_listen = {kAuto};
  std::vector<std::string> socketmap_listen = {kAuto};
  std::string ops_listen = kAuto;
  std::string ops_token_file;
  std::string user;
  std::vector<std::string> trusted_networks = {"127.0.0.0/8", "::1"};
  std::string tls_cert;
  std::string tls_key;
  std::string hostname;
  uint32_t max_connections = 15'000;
  uint32_t client_connections = 100;
  uint32_t client_connections_per_minute = 600;
  uint32_t client_errors_per_minute = 200;
  uint32_t max_recipients = 1'000;
  uint32_t max_errors = 20;
  absl::Duration idle_timeout = absl::Minutes(5);
  absl::Duration settle_timeout = absl::Minutes(5);
  absl::Duration drain_timeout = absl::Minutes(6);
  std::string bare_newline = "keep";
  std::string unknown_recipient = "reject";
  bool advertise_dsn = false;
  std::string reply_detail = "trusted";
  std::string policy_unavailable = "dunno";
  std::string log_format = "text";
  std::string log_level = "info";

  // With this machine's name.
  FrontConfig();

  void Register(OptionTable& options);

  // What no single option can tell. kInvalidArgument, one line.
  absl::Status Check() const;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_CONFIG_H_
