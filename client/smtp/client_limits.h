// What one client address may do to a listener, so that the others are served.
#ifndef RESTANTE_CLIENT_SMTP_CLIENT_LIMITS_H_
#define RESTANTE_CLIENT_SMTP_CLIENT_LIMITS_H_

#include <array>
#include <asio/ip/address.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/strings/string_view.h"

namespace restante::smtp {

// Bounds for one client address, in IPv6 for one /64; 0: none.
struct ClientBounds {
  // At the same time.
  uint32_t connections = 0;
  // Begun within a minute.
  uint32_t connections_per_minute = 0;
  // Errors in syntax and sequence within a minute, of all its connections that
  // have ended.
  uint32_t errors_per_minute = 0;
};

// Counts by address. What it holds is bounded: by the connections that are open,
// and kMaxRemembered addresses beside them.
class ClientLimits {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{60};
  static constexpr size_t kMaxRemembered = 100'000;

  enum class Verdict { kWelcome, kConnections, kRate, kErrors };

  explicit ClientLimits(const ClientBounds& bounds) : bounds_(bounds) {}

  // A connection has come. One that is welcome is counted until Leave().
  Verdict Admit(const asio::ip::address& client, Time now);

  // One that was welcome has ended, after so many errors.
  void Leave(const asio::ip::address& client, uint32_t errors, Time now);

  // Addresses that something is known of.
  size_t clients() const { return clients_.size(); }

 private:
  // IPv4 as mapped into IPv6; of IPv6 the network.
  using Key = std::array<unsigned char, 16>;

  struct Client {
    uint32_t open = 0;
    // Since window_begin.
    Time window_begin;
    uint32_t begun = 0;
    uint32_t errors = 0;
  };

  static Key KeyOf(const asio::ip::address& client);
  // Of `client`, in the window that holds now.
  Client& Find(const Key& key, Time now);
  void Forget(Time now);

  const ClientBounds bounds_;
  std::map<Key, Client> clients_;
  // When those that nothing more is known of were last removed.
  Time forgotten_;
};

// For the reply and the log: `Too many connections from your address`.
absl::string_view Describe(ClientLimits::Verdict verdict);

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_CLIENT_LIMITS_H_
