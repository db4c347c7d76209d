#include "client/smtp/client_limits.h"

#include <algorithm>
#include <asio/ip/address_v6.hpp>

namespace restante::smtp {

ClientLimits::Key ClientLimits::KeyOf(const asio::ip::address& client) {
  if (client.is_v4()) return asio::ip::make_address_v6(asio::ip::v4_mapped, client.to_v4()).to_bytes();
  Key key = client.to_v6().to_bytes();
  // A customer gets a /64 at least, and may use any address in it.
  if (!client.to_v6().is_v4_mapped()) std::fill(key.begin() + 8, key.end(), 0);
  return key;
}

ClientLimits::Client& ClientLimits::Find(const Key& key, Time now) {
  Client& client = clients_[key];
  if (now - client.window_begin >= kWindow) {
    client.window_begin = now;
    client.begun = client.errors = 0;
  }
  return client;
}

ClientLimits::Verdict ClientLimits::Admit(const asio::ip::address& address, Time now) {
  if (now - forgotten_ >= kWindow || clients_.size() >= kMaxRemembered) Forget(now);
  Client& client = Find(KeyOf(address), now);
  const auto exceeds = [](uint32_t count, uint32_t bound) { return bound > 0 && count >= bound; };
  if (exceeds(client.errors, bounds_.errors_per_minute)) return Verdict::kErrors;
  if (exceeds(client.open, bounds_.connections)) return Verdict::kConnections;
  if (exceeds(client.begun, bounds_.connections_per_minute)) return Verdict::kRate;
  ++client.open;
  ++client.begun;
  return Verdict::kWelcome;
}

void ClientLimits::Leave(const asio::ip::address& address, uint32_t errors, Time now) {
  Client& client = Find(KeyOf(address), now);
  if (client.open > 0) --client.open;
  client.errors += std::min(errors, UINT32_MAX - client.errors);
}

void ClientLimits::Forget(Time now) {
  forgotten_ = now;
  std::erase_if(clients_, [&](const auto& entry) {
    return entry.second.open == 0 && now - entry.second.window_begin >= kWindow;
  });
  if (clients_.size() < kMaxRemembered) return;
  // More addresses than anyone honest has within a minute: the counts of those
  // that are not here now are worth less than the memory.
  std::erase_if(clients_, [](const auto& entry) { return entry.second.open == 0; });
}

absl::string_view Describe(ClientLimits::Verdict verdict) {
  switch (verdict) {
    case ClientLimits::Verdict::kWelcome:
      return "Welcome";
    case ClientLimits::Verdict::kConnections:
      return "Too many connections from your address";
    case ClientLimits::Verdict::kRate:
      return "Too many connections from your address within a minute";
    case ClientLimits::Verdict::kErrors:
      return "Too many errors from your address within a minute";
  }
  return "";
}

}  // namespace restante::smtp
