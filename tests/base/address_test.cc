#include "server/base/address.h"

#include <gtest/gtest.h>

namespace restante {
namespace {

TEST(Address, IsLoopbackWhereOnlyThisMachineReachesIt) {
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:0", "[::1]:1", "localhost:1", "unix:/run/a"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const char* address :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1", "store:1", "127.example.org:1"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(Address, IsNumericWithoutAName) {
  for (const char* address : {"127.0.0.1:1", "[::]:1", "unix:/run/a"})
    EXPECT_TRUE(IsNumeric(address)) << address;
  for (const char* address : {"localhost:1", "store:1"}) EXPECT_FALSE(IsNumeric(address)) << address;
}

TEST(Address, OfALoopbackPeerMayBeMappedIntoIpv6) {
  for (const char* ip : {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) EXPECT_TRUE(IsLoopbackPeer(ip)) << ip;
  for (const char* ip : {"", "10.0.0.1", "::", "::ffff:10.0.0.1", "::127.0.0.1", "localhost"}) {
    EXPECT_FALSE(IsLoopbackPeer(ip)) << ip;
  }
}

}  // namespace
}  // namespace restante
