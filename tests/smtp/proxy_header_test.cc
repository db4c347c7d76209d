#include "client/smtp/proxy_header.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"

namespace restante::smtp {
namespace {

using State = ProxyHeader::State;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
const std::string kV4("\xc0\x00\x02\x07\x0a\x00\x00\x01\x04\xd2\x00\x19", 12);

std::string Binary(int command, int family, const std::string& rest, int length = -1) {
  const int size = length < 0 ? static_cast<int>(rest.size()) : length;
  return kSignature + static_cast<char>(command) + static_cast<char>(family) + static_cast<char>(size >> 8) +
         static_cast<char>(size & 0xff) + rest;
}

std::string V6(const std::string& source) { return source + std::string(16, '\x01') + "\x04\xd2\x01\xbb"; }

// The header is complete at its last octet and at none before, with and without
// what follows.
TEST(ProxyHeaderTest, IsWholeAtItsLastOctetAndNotBefore) {
  const std::string mapped = std::string(10, '\0') + "\xff\xff\xc0" + std::string("\0\x02\x07", 3);
  const std::string doc = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + '\x01';
  const struct {
    std::string header, client;
  } kCases[] = {
      {"PROXY TCP4 192.0.2.7 10.0.0.1 1234 25\r\n", "192.0.2.7"},
      {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0"},
      {"PROXY TCP6 2001:DB8::1 ::1 1234 25\r\n", "2001:db8::1"},
      {"PROXY TCP6 ::ffff:192.0.2.7 ::1 1234 25\r\n", "192.0.2.7"},
      {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
       "65535"
       "\r\n",
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {"PROXY UNKNOWN\r\n", ""},
      {"PROXY UNKNOWN ffff:: whatever 1\r 2\n\r\n", ""},
      {"PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n", ""},
      {Binary(0x21, 0x11, kV4), "192.0.2.7"},
      {Binary(0x21, 0x11, kV4 + std::string(500, 'T')), "192.0.2.7"},
      {Binary(0x21, 0x21, V6(doc)), "2001:db8::1"},
      {Binary(0x21, 0x21, V6(mapped)), "192.0.2.7"},
      {Binary(0x21, 0x00, ""), ""},
      {Binary(0x21, 0x00, "TLVs"), ""},
      {Binary(0x21, 0x31, std::string(216, 'u')), ""},
      {Binary(0x20, 0x00, ""), ""},
      {Binary(0x20, 0x11, kV4), ""},
      {Binary(0x20, 0xff, "x"), ""},
      {Binary(0x21, 0x11, kV4 + std::string(4096 - 28, 'T')), "192.0.2.7"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(absl::CEscape(c.header.substr(0, 120)));
    for (size_t n = 0; n < c.header.size(); ++n) {
      ASSERT_EQ(ParseProxyHeader(c.header.substr(0, n)).state, State::kIncomplete) << n;
    }
    for (const char* behind : {"", "E", "EHLO c\r\n", "PROXY UNKNOWN\r\n"}) {
      const ProxyHeader header = ParseProxyHeader(c.header + behind);
      ASSERT_EQ(header.state, State::kComplete) << header.reason;
      EXPECT_EQ(header.length, c.header.size());
      EXPECT_EQ(header.client, c.client);
    }
  }
}

// What is none stays none however it goes on, and is known as such by its end.
TEST(ProxyHeaderTest, WhatIsNoneIsMalformedAndStaysSo) {
  const std::vector<std::string> kCases = {
      "EHLO c\r\n",
      "proxy TCP4 192.0.2.7 10.0.0.1 1234 25\r\n",
      "PROXY\r\n",
      "PROXY \r\n",
      "PROXY  TCP4 192.0.2.7 10.0.0.1 1234 25\r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.1 1234\r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.1 1234 25 \r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.1 1234 25 26\r\n",
      "PROXY TCP4 192.0.2.07 10.0.0.1 1234 25\r\n",
      "PROXY TCP4 192.0.2 10.0.0.1 1234 25\r\n",
      "PROXY TCP4 192.0.2.256 10.0.0.1 1234 25\r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.x 1234 25\r\n",
      "PROXY TCP4 ::1 ::1 1234 25\r\n",
      "PROXY TCP6 192.0.2.7 10.0.0.1 1234 25\r\n",
      "PROXY TCP6 fe80::1%eth0 ::1 1234 25\r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.1 65536 25\r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.1 -1 25\r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.1 012 25\r\n",
      "PROXY TCP4 192.0.2.7 10.0.0.1 1234 \r\n",
      std::string("PROXY TCP4 192.0.2.7\0 10.0.0.1 1234 25\r\n", 40),
      "PROXY UDP4 192.0.2.7 10.0.0.1 1234 25\r\n",
      "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n",
      std::string("PROXY TCP4 ") + std::string(100, ' '),
      Binary(0x11, 0x11, kV4),
      Binary(0x31, 0x11, kV4),
      Binary(0x22, 0x11, kV4),
      Binary(0x21, 0x12, kV4),
      Binary(0x21, 0x22, V6(std::string(16, 'x'))),
      Binary(0x21, 0x10, kV4),
      Binary(0x21, 0x41, kV4),
      Binary(0x21, 0x11, kV4.substr(1)),
      Binary(0x21, 0x11, ""),
      Binary(0x21, 0x21, kV4),
      Binary(0x21, 0x31, std::string(215, 'u')),
      Binary(0x21, 0x11, kV4, 4081),
      Binary(0x20, 0x00, "", 65535),
      kSignature.substr(0, 11) + "x",
  };
  for (const std::string& octets : kCases) {
    SCOPED_TRACE(absl::CEscape(octets.substr(0, 120)));
    const ProxyHeader header = ParseProxyHeader(octets);
    ASSERT_EQ(header.state, State::kMalformed);
    EXPECT_FALSE(header.reason.empty());
    bool malformed = false;
    for (size_t n = 0; n <= octets.size(); ++n) {
      const State state = ParseProxyHeader(octets.substr(0, n)).state;
      ASSERT_NE(state, State::kComplete) << n;
      ASSERT_TRUE(!malformed || state == State::kMalformed) << n;
      malformed = state == State::kMalformed;
    }
    EXPECT_EQ(ParseProxyHeader(octets + std::string(5000, 'x')).state, State::kMalformed);
  }
}

TEST(ProxyHeaderTest, NothingIsWaitedForBeyondTheBoundWhateverComes) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::vector<std::string> begins = {"", "PROXY ", "PROXY TCP4 ", kSignature, kSignature + "\x21\x11"};
  for (int i = 0; i < 20'000; ++i) {
    std::string octets = begins[random() % begins.size()];
    const size_t more = random() % 64;
    for (size_t n = 0; n < more; ++n)
      octets += static_cast<char>(random() % 4 == 0 ? random() : "\r\n 1"[random() % 4]);
    const ProxyHeader header = ParseProxyHeader(octets);
    if (header.state == State::kComplete) {
      EXPECT_LE(header.length, octets.size());
      EXPECT_EQ(ParseProxyHeader(octets.substr(0, header.length - 1)).state, State::kIncomplete);
    }
    octets.resize(ProxyHeader::kMaxLength, ' ');
    EXPECT_NE(ParseProxyHeader(octets).state, State::kIncomplete) << absl::CEscape(octets.substr(0, 100));
  }
}

}  // namespace
}  // namespace restante::smtp
