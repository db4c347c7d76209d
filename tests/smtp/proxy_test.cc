// Connections through a proxy that speaks the PROXY protocol, over loopback sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/smtp/server.h"
#include "client/smtp/tls_context.h"
#include "tests/smtp/loop_client.h"
#include "tests/smtp/test_certificate.h"

namespace restante::smtp {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kHeader[] = "PROXY TCP4 192.0.2.7 10.0.0.1 1234 25\r\n";
constexpr char kMessage[] =
    "EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\nBDAT 6 LAST\r\ntext\r\nQUIT\r\n";
const std::string kLocal("\r\n\r\n\0\r\nQUIT\n\x20\0\0\x03TLV", 19);

ServerOptions Soon() {
  ServerOptions options;
  options.idle_timeout = milliseconds(80);
  options.proxy_timeout = milliseconds(100);
  return options;
}

TEST(Proxy, TheClientThatItNamesIsTheClient) {
  LoopServer server(Service{.proxy_header = true}, {});
  Client client(&server);
  client.Send(std::string(kHeader) + kMessage);
  EXPECT_THAT(client.Read("221"), StartsWith("220 "));
  ASSERT_EQ(server.store().stored.size(), 1u);
  EXPECT_THAT(server.store().stored[0].text, HasSubstr(" ([192.0.2.7])\r\n"));
  EXPECT_EQ(server.store().stored[0].begin.client().address(), "192.0.2.7");
  ASSERT_EQ(server.records().size(), 1u);
  EXPECT_EQ(server.records()[0].client, "192.0.2.7");
}

TEST(Proxy, AHeaderInPiecesIsTheSameAndNothingIsSaidBeforeItsEnd) {
  LoopServer server(Service{.proxy_header = true}, {});
  for (const std::string& header : {std::string(kHeader), kLocal}) {
    Client client(&server);
    for (const char c : header) {
      char buffer[100];
      EXPECT_EQ(client.socket().Receive(buffer, sizeof(buffer)), -1) << "nothing yet";
      client.Send(std::string(1, c));
    }
    EXPECT_THAT(client.Read("220"), StartsWith("220 "));
    client.Send("NOOP\r\n");
    EXPECT_THAT(client.Read("250"), StartsWith("250 2.0.0 "));
  }
}

TEST(Proxy, OneThatSpeaksForItselfIsItsOwnClient) {
  LoopServer server(Service{.proxy_header = true}, {});
  for (const std::string& header : {std::string("PROXY UNKNOWN\r\n"), kLocal}) {
    Client client(&server);
    client.Send(header + kMessage);
    client.Read("221");
    ASSERT_FALSE(server.records().empty());
    EXPECT_EQ(server.records().back().client, "127.0.0.1");
  }
}

TEST(Proxy, WhatIsNoHeaderIsClosedWithoutAWord) {
  std::vector<std::string> turned_away;
  ServerOptions options;
  options.on_turned_away = [&](absl::string_view reason) { turned_away.emplace_back(reason); };
  LoopServer server(Service{.proxy_header = true}, options);
  for (const std::string octets :
       {"EHLO c\r\n", "PROXY TCP4 nonsense\r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"}) {
    Client client(&server);
    client.Send(octets);
    EXPECT_EQ(client.Read("never"), "");
  }
  EXPECT_TRUE(server.Until([&] { return server.server().connections() == 0; }));
  EXPECT_THAT(turned_away, ElementsAre("proxy_header", "proxy_header", "proxy_header"));
}

TEST(Proxy, AHeaderThatIsLateOrBreaksOffIsClosedWithoutAWord) {
  size_t turned_away = 0;
  ServerOptions options = Soon();
  options.on_turned_away = [&](absl::string_view) { ++turned_away; };
  LoopServer server(Service{.proxy_header = true}, options);
  Client silent(&server);
  Client slow(&server);
  slow.Send("PROXY TCP4 ");
  EXPECT_EQ(silent.Read("never"), "");
  EXPECT_EQ(slow.Read("never"), "");
  EXPECT_EQ(turned_away, 2u);
  {
    Client broken(&server);
    broken.Send("PROXY TCP4 ");
  }
  EXPECT_TRUE(server.Until([&] { return turned_away == 3; }));
  EXPECT_TRUE(server.Until([&] { return server.server().connections() == 0; }));
}

TEST(Proxy, OneThatIsNotTrustedIsNotHeard) {
  ServerOptions options;
  options.trusted_networks = *Networks::Parse({"10.0.0.0/8"});
  LoopServer server(Service{.proxy_header = true}, options);
  Client client(&server);
  client.Send(kHeader);
  EXPECT_EQ(client.Read("never"), "");
  EXPECT_EQ(server.server().connections(), 0u);
}

TEST(Proxy, LmtpIsForATrustedClientBehindATrustedProxy) {
  ServerOptions options;
  options.trusted_networks = *Networks::Parse({"127.0.0.0/8", "10.0.0.0/8"});
  LoopServer server(Service{.protocol = Protocol::kLmtp, .proxy_header = true}, options);
  Client stranger(&server);
  stranger.Send(kHeader);
  EXPECT_THAT(stranger.Read("421"), StartsWith("421 4.7.0 "));
  Client trusted(&server);
  trusted.Send("PROXY TCP4 10.0.0.9 10.0.0.1 1234 24\r\n");
  EXPECT_THAT(trusted.Read("220"), StartsWith("220 "));
}

TEST(Proxy, TlsBeginsBehindTheHeader) {
  const CertificateFolder folder;
  const std::unique_ptr<TlsContext> tls = *TlsContext::Load(folder.certificate_file(), folder.key_file());
  ServerOptions options;
  options.tls = tls.get();
  LoopServer server(Service{.implicit_tls = true, .proxy_header = true}, options);
  Client client(&server);
  client.Send(kHeader);
  ASSERT_TRUE(client.StartTls());
  client.Send(kMessage);
  EXPECT_THAT(client.Read("221"), StartsWith("220 "));
  ASSERT_EQ(server.records().size(), 1u);
  EXPECT_EQ(server.records()[0].client, "192.0.2.7");
  EXPECT_THAT(server.records()[0].tls, StartsWith("TLSv1.3"));
}

}  // namespace
}  // namespace restante::smtp
