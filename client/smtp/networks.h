// Sets of IP addresses, as `--trusted-networks` names them.
#ifndef RESTANTE_CLIENT_SMTP_NETWORKS_H_
#define RESTANTE_CLIENT_SMTP_NETWORKS_H_

#include <asio/ip/address.hpp>
#include <asio/ip/network_v4.hpp>
#include <asio/ip/network_v6.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::smtp {

class Networks {
 public:
  // 127.0.0.0/8 and ::1.
  static Networks Loopback();

  // From addresses (`192.0.2.1`) and networks (`10.0.0.0/8`, `fd00::/8`).
  // kInvalidArgument, naming it, for anything else.
  static absl::StatusOr<Networks> Parse(const std::vector<std::string>& texts);

  // An IPv4 address that is mapped into IPv6 counts as the IPv4 address.
  bool Contains(const asio::ip::address& address) const;
  // False for what is no address.
  bool Contains(const std::string& address) const;

 private:
  std::vector<asio::ip::network_v4> v4_;
  std::vector<asio::ip::network_v6> v6_;
};

// An IPv4 address that is mapped into IPv6 (a listener at [::]) as IPv4.
asio::ip::address Unmapped(const asio::ip::address& address);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_NETWORKS_H_
