#include "client/smtp/client_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace restante::smtp {
namespace {

using Verdict = ClientLimits::Verdict;
using std::chrono::seconds;

asio::ip::address Address(const std::string& text) { return asio::ip::make_address(text); }

const ClientLimits::Time kStart{std::chrono::hours(1000)};

TEST(ClientLimits, ConnectionsAtATimeAreBounded) {
  ClientLimits limits({.connections = 2});
  const asio::ip::address client = Address("192.0.2.1");
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kConnections);
  EXPECT_EQ(limits.Admit(Address("192.0.2.2"), kStart), Verdict::kWelcome);
  limits.Leave(client, 0, kStart);
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
}

TEST(ClientLimits, OneThatWasTurnedAwayDoesNotCount) {
  ClientLimits limits({.connections = 1, .connections_per_minute = 2});
  const asio::ip::address client = Address("192.0.2.1");
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kConnections);
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kConnections);
  limits.Leave(client, 0, kStart);
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
}

TEST(ClientLimits, ConnectionsInAMinuteAreBounded) {
  ClientLimits limits({.connections_per_minute = 2});
  const asio::ip::address client = Address("192.0.2.1");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(limits.Admit(client, kStart + seconds(i)), Verdict::kWelcome);
    limits.Leave(client, 0, kStart + seconds(i));
  }
  EXPECT_EQ(limits.Admit(client, kStart + seconds(59)), Verdict::kRate);
  EXPECT_EQ(limits.Admit(client, kStart + seconds(60)), Verdict::kWelcome);
}

TEST(ClientLimits, ErrorsInAMinuteAreBounded) {
  ClientLimits limits({.errors_per_minute = 10});
  const asio::ip::address client = Address("192.0.2.1");
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
  limits.Leave(client, 9, kStart);
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
  limits.Leave(client, 1, kStart + seconds(1));
  EXPECT_EQ(limits.Admit(client, kStart + seconds(2)), Verdict::kErrors);
  EXPECT_EQ(limits.Admit(Address("192.0.2.2"), kStart + seconds(2)), Verdict::kWelcome);
  EXPECT_EQ(limits.Admit(client, kStart + seconds(60)), Verdict::kWelcome);
}

TEST(ClientLimits, ErrorsOfALongConnectionCountWhenItEnds) {
  ClientLimits limits({.errors_per_minute = 10});
  const asio::ip::address client = Address("192.0.2.1");
  EXPECT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
  limits.Leave(client, 10, kStart + seconds(300));
  EXPECT_EQ(limits.Admit(client, kStart + seconds(301)), Verdict::kErrors);
}

TEST(ClientLimits, InIpv6ItIsTheNetworkThatCounts) {
  ClientLimits limits({.connections = 1});
  EXPECT_EQ(limits.Admit(Address("2001:db8:0:1::1"), kStart), Verdict::kWelcome);
  EXPECT_EQ(limits.Admit(Address("2001:db8:0:1:ffff::2"), kStart), Verdict::kConnections);
  EXPECT_EQ(limits.Admit(Address("2001:db8:0:2::1"), kStart), Verdict::kWelcome);
}

TEST(ClientLimits, AMappedIpv4AddressIsThatAddress) {
  ClientLimits limits({.connections = 1});
  EXPECT_EQ(limits.Admit(Address("::ffff:192.0.2.1"), kStart), Verdict::kWelcome);
  EXPECT_EQ(limits.Admit(Address("192.0.2.1"), kStart), Verdict::kConnections);
  EXPECT_EQ(limits.Admit(Address("::ffff:192.0.2.2"), kStart), Verdict::kWelcome);
}

TEST(ClientLimits, WithoutABoundEverybodyIsWelcome) {
  ClientLimits limits({});
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(limits.Admit(Address("192.0.2.1"), kStart), Verdict::kWelcome);
  }
}

TEST(ClientLimits, WhoeverIsLongGoneIsForgotten) {
  ClientLimits limits({.connections = 1});
  for (int i = 0; i < 200; ++i) {
    const asio::ip::address client = Address(absl::StrCat("192.0.2.", i));
    ASSERT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
    if (i > 0) limits.Leave(client, 0, kStart);
  }
  EXPECT_EQ(limits.clients(), 200u);
  EXPECT_EQ(limits.Admit(Address("198.51.100.1"), kStart + seconds(120)), Verdict::kWelcome);
  EXPECT_EQ(limits.clients(), 2u);
  EXPECT_EQ(limits.Admit(Address("192.0.2.0"), kStart + seconds(120)), Verdict::kConnections);
}

TEST(ClientLimits, AFloodOfAddressesIsHeldInBoundedMemory) {
  ClientLimits limits({.connections = 1});
  ASSERT_EQ(limits.Admit(Address("192.0.2.1"), kStart), Verdict::kWelcome);
  for (uint32_t i = 0; i < 300'000; ++i) {
    const asio::ip::address client = asio::ip::make_address_v4(0x0a000000 + i);
    ASSERT_EQ(limits.Admit(client, kStart), Verdict::kWelcome);
    limits.Leave(client, 0, kStart);
    ASSERT_LE(limits.clients(), ClientLimits::kMaxRemembered + 1);
  }
  EXPECT_EQ(limits.Admit(Address("192.0.2.1"), kStart), Verdict::kConnections);
}

}  // namespace
}  // namespace restante::smtp
