#include "client/smtp/networks.h"

#include <algorithm>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace restante::smtp {

Networks Networks::Loopback() { return *Parse({"127.0.0.0/8", "::1"}); }

absl::StatusOr<Networks> Networks::Parse(const std::vector<std::string>& texts) {
  Networks networks;
  for (const std::string& text : texts) {
    const bool v6 = absl::StrContains(text, ':');
    std::string network = text;
    if (!absl::StrContains(text, '/')) absl::StrAppend(&network, v6 ? "/128" : "/32");
    std::error_code error;
    if (v6) {
      networks.v6_.push_back(asio::ip::make_network_v6(network, error));
    } else {
      networks.v4_.push_back(asio::ip::make_network_v4(network, error));
    }
    if (error) return absl::InvalidArgumentError(absl::StrCat("`", text, "` is no address or network"));
  }
  return networks;
}

bool Networks::Contains(const asio::ip::address& address) const {
  const asio::ip::address plain = Unmapped(address);
  if (plain.is_v4()) {
    return std::any_of(v4_.begin(), v4_.end(), [&](const asio::ip::network_v4& network) {
      return asio::ip::network_v4(plain.to_v4(), network.prefix_length()).canonical() == network.canonical();
    });
  }
  return std::any_of(v6_.begin(), v6_.end(), [&](const asio::ip::network_v6& network) {
    return asio::ip::network_v6(plain.to_v6(), network.prefix_length()).canonical() == network.canonical();
  });
}

bool Networks::Contains(const std::string& address) const {
  std::error_code error;
  const asio::ip::address parsed = asio::ip::make_address(address, error);
  return !error && Contains(parsed);
}

asio::ip::address Unmapped(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address;
}

}  // namespace restante::smtp
