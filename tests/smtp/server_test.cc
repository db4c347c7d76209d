// The real server over loopback sockets.
#include "client/smtp/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "client/smtp/networks.h"
#include "tests/smtp/loop_client.h"
#include "tests/smtp/socket_target.h"

namespace restante::smtp {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// Every dialogue file.
TEST(ServerDialogues, AllGoAsWrittenOverASocket) {
  size_t played = 0;
  for (const auto& entry : std::filesystem::directory_iterator(RESTANTE_DIALOGUES)) {
    if (entry.path().extension() != ".txt") continue;
    std::ifstream file(entry.path());
    const std::string contents((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    absl::StatusOr<Dialogue> dialogue = ParseDialogue(entry.path().stem().string(), contents);
    ASSERT_TRUE(dialogue.ok()) << dialogue.status();
    for (const bool at_once : {false, true}) {
      if (at_once && !dialogue->pipelines) continue;
      SocketTarget target(*dialogue);
      const absl::Status status = Play(*dialogue, at_once, &target);
      EXPECT_TRUE(status.ok()) << status.message() << (at_once ? " (at once)" : "");
      target.Hangup();
      EXPECT_THAT(target.store().violations, IsEmpty()) << dialogue->name;
      EXPECT_EQ(target.store().open, 0u) << dialogue->name;
      ++played;
    }
  }
  EXPECT_GT(played, 100u);
}

TEST(Server, TheReplyToQuitArrivesThoughMoreWasSentBehindIt) {
  LoopServer server(Protocol::kSmtp, {});
  Client client(&server);
  client.Send("QUIT\r\n" + std::string(100'000, 'x'));
  const std::string all = client.Read("221");
  EXPECT_THAT(all, HasSubstr("\r\n221 2.0.0 "));
  EXPECT_TRUE(client.ClosedByServer());
}

TEST(Server, TooManyConnectionsAreTold421AndRoomIsFreeAgainAfterwards) {
  ServerOptions options;
  options.max_connections = 2;
  LoopServer server(Protocol::kSmtp, options);
  auto first = std::make_unique<Client>(&server);
  Client second(&server);
  EXPECT_THAT(first->Read("220"), StartsWith("220 "));
  EXPECT_THAT(second.Read("220"), StartsWith("220 "));
  Client third(&server);
  EXPECT_THAT(third.Read("421"), StartsWith("421 4.3.2 "));
  EXPECT_TRUE(third.ClosedByServer());
  first.reset();
  ASSERT_TRUE(server.Until([&] { return server.server().connections() == 1; }));
  Client fourth(&server);
  EXPECT_THAT(fourth.Read("220"), StartsWith("220 "));
}

TEST(Server, WhoIsSilentMakesRoomWhenThereIsNone) {
  ServerOptions options;
  options.max_connections = 2;
  options.stress_patience = {std::chrono::milliseconds(20), std::chrono::minutes(5)};
  LoopServer server(Protocol::kSmtp, options);
  Client silent(&server);
  EXPECT_THAT(silent.Read("220"), StartsWith("220 "));
  Client busy(&server);
  busy.Send("HELO c\r\n");
  EXPECT_THAT(busy.Read("250"), StartsWith("220 "));
  busy.Send("MAIL FROM:<a@b.c>\r\n");
  EXPECT_THAT(busy.Read("250"), StartsWith("250 2.1.0 "));
  Client turned_away(&server);
  EXPECT_THAT(turned_away.Read("421"), StartsWith("421 4.3.2 "));
  EXPECT_THAT(silent.Read("421"), HasSubstr("421 4.4.2 "));
  EXPECT_TRUE(silent.ClosedByServer());
  silent.Close();
  ASSERT_TRUE(server.Until([&] { return server.server().connections() == 1; }));
  Client next(&server);
  EXPECT_THAT(next.Read("220"), StartsWith("220 "));
  busy.Send("RSET\r\n");
  EXPECT_THAT(busy.Read("250"), HasSubstr("250 2.0.0 ")) << "within a transaction there is more time";
}

TEST(Server, OneStrangersAddressIsBoundAndATrustedOneIsNot) {
  ServerOptions options;
  options.client_bounds.connections = 1;
  std::vector<std::string> reasons;
  options.on_turned_away = [&](absl::string_view reason) { reasons.emplace_back(reason); };
  LoopServer trusting(Protocol::kSmtp, options);
  Client one(&trusting);
  Client two(&trusting);
  EXPECT_THAT(one.Read("220"), StartsWith("220 "));
  EXPECT_THAT(two.Read("220"), StartsWith("220 "));

  options.trusted_networks = *Networks::Parse({"10.0.0.0/8"});
  LoopServer server(Protocol::kSmtp, options);
  auto first = std::make_unique<Client>(&server);
  EXPECT_THAT(first->Read("220"), StartsWith("220 "));
  Client second(&server);
  EXPECT_THAT(second.Read("421"), StartsWith("421 4.7.0 "));
  EXPECT_THAT(reasons, testing::ElementsAre("client_limit"));
  first.reset();
  ASSERT_TRUE(server.Until([&] { return server.server().connections() == 0; }));
  Client third(&server);
  EXPECT_THAT(third.Read("220"), StartsWith("220 "));
}

TEST(Server, ErrorsOfAStrangerKeepItOut) {
  ServerOptions options;
  options.trusted_networks = *Networks::Parse({"10.0.0.0/8"});
  options.client_bounds.errors_per_minute = 2;
  LoopServer server(Protocol::kSmtp, options);
  auto first = std::make_unique<Client>(&server);
  first->Send("FOO\r\nBAR\r\nQUIT\r\n");
  EXPECT_THAT(first->Read("221"), HasSubstr("500 5.5.1 "));
  first.reset();
  ASSERT_TRUE(server.Until([&] { return server.server().connections() == 0; }));
  Client second(&server);
  EXPECT_THAT(second.Read("421"), HasSubstr("errors"));
}

TEST(Server, LmtpIsForTrustedNetworksOnlyAndSmtpForAll) {
  ServerOptions options;
  options.trusted_networks = *Networks::Parse({"10.0.0.0/8"});
  LoopServer lmtp(Protocol::kLmtp, options);
  Client stranger(&lmtp);
  EXPECT_THAT(stranger.Read("421"), StartsWith("421 4.7.0 "));
  EXPECT_TRUE(stranger.ClosedByServer());
  LoopServer smtp(Protocol::kSmtp, options);
  Client client(&smtp);
  EXPECT_THAT(client.Read("220"), StartsWith("220 "));
}

TEST(Server, AddressesThatAreNoneAndLmtpAtPort25AreRefused) {
  LoopServer server(Protocol::kSmtp, {});
  for (const char* address : {"", "25", ":25", "localhost", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x",
                              "::1:25", "mail.example.org:25", "[::1]"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(server.server().Listen({Protocol::kSmtp}, address).status()))
        << address;
  }
  const absl::Status port25 = server.server().Listen({Protocol::kLmtp}, "127.0.0.1:25").status();
  EXPECT_THAT(std::string(port25.message()), HasSubstr("port 25"));
  absl::StatusOr<std::string> bound = server.server().Listen({Protocol::kSmtp}, "127.0.0.1:0");
  ASSERT_TRUE(bound.ok());
  EXPECT_TRUE(server.server().Listen({Protocol::kSmtp}, "192.0.2.1:0").status().code() ==
              absl::StatusCode::kUnavailable);
}

TEST(Server, AcceptsAgainAfterItHadNoDescriptorLeft) {
  LoopServer server(Protocol::kSmtp, {});
  Client before(&server);
  ASSERT_THAT(before.Read("220"), StartsWith("220 "));
  // Leaves descriptors for two sockets of ours and none for the server's side.
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const int lowest = ::dup(before.fd());
  ASSERT_GE(lowest, 0);
  ::close(lowest);
  rlimit tight = old;
  tight.rlim_cur = static_cast<rlim_t>(lowest) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  Client waiting(&server);
  ASSERT_EQ(::dup(before.fd()), -1) << "there is still a descriptor";
  before.Send("NOOP\r\n");
  EXPECT_THAT(before.Read("250"), StartsWith("250 ")) << "who is in is served";
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_THAT(waiting.Read("220"), StartsWith("220 "));
}

TEST(Server, AConnectionCutInTheTextGivesTheTransactionUp) {
  LoopServer server(Protocol::kSmtp, {});
  Client client(&server);
  client.Send("HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\nDATA\r\nhalf");
  ASSERT_THAT(client.Read("354"), HasSubstr("354 "));
  // Closing with a reset.
  linger reset = {1, 0};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  client.Close();
  ASSERT_TRUE(server.Until([&] { return server.server().connections() == 0; }));
  EXPECT_EQ(server.store().open, 0u);
  EXPECT_EQ(server.store().aborted, 1u);
  EXPECT_THAT(server.store().stored, IsEmpty());
}

TEST(Server, APeerThatReadsNoRepliesIsNotServedForEver) {
  ServerOptions options;
  options.idle_timeout = milliseconds(200);
  LoopServer server(Protocol::kSmtp, options);
  Client client(&server);
  ASSERT_THAT(client.Read("220"), StartsWith("220 "));
  std::string noops;
  for (int i = 0; i < 20'000; ++i) noops += "NOOP\r\n";
  // Sends until neither side takes any more: the server does not read on while
  // its replies are not taken.
  size_t sent = 0;
  server.Until([&] {
    const ssize_t n = ::send(client.fd(), noops.data(), noops.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) sent += static_cast<size_t>(n);
    return server.server().connections() == 0;
  });
  EXPECT_EQ(server.server().connections(), 0u);
  EXPECT_LT(sent, 64u << 20);
}

TEST(Server, ASilentTextIsToldSoAndNothingIsStored) {
  ServerOptions options;
  options.idle_timeout = milliseconds(100);
  LoopServer server(Protocol::kSmtp, options);
  Client client(&server);
  client.Send("HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\nDATA\r\nhalf\r\n");
  EXPECT_THAT(client.Read("421"), HasSubstr("\r\n421 4.4.2 "));
  EXPECT_TRUE(client.ClosedByServer());
  EXPECT_THAT(server.store().stored, IsEmpty());
  EXPECT_EQ(server.store().aborted, 1u);
}

TEST(Server, AStoreThatNeverTellsOfACommitEndsTheConnectionWithoutAReply) {
  ServerOptions options;
  options.session.settle_timeout = milliseconds(100);
  options.idle_timeout = milliseconds(100);
  LoopServer server(Protocol::kSmtp, options);
  server.store().hold_at = {FakeStore::Step::kCommit};
  Client client(&server);
  client.Send("HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\nDATA\r\ntext\r\n.\r\n");
  EXPECT_THAT(client.Read("354"), HasSubstr("\r\n354 "));
  EXPECT_EQ(client.Read("a reply"), "");
  EXPECT_TRUE(client.ClosedByServer());
  ASSERT_EQ(server.records().size(), 1u);
  EXPECT_EQ(server.records()[0].end, TransactionEnd::kUnknown);
}

TEST(Server, DrainingLetsATransactionEndAndTakesNoNewPeer) {
  LoopServer server(Protocol::kSmtp, {});
  Client idle(&server);
  Client busy(&server);
  ASSERT_THAT(idle.Read("220"), StartsWith("220 "));
  busy.Send("HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\nDATA\r\n");
  ASSERT_THAT(busy.Read("354"), HasSubstr("354 "));
  bool drained = false;
  server.server().Drain(milliseconds(10'000), [&] { drained = true; });
  EXPECT_THAT(idle.Read("421"), StartsWith("421 4.3.2 "));
  idle.Close();
  server.Until([&] { return server.server().connections() == 1; });
  EXPECT_FALSE(drained);
  EXPECT_EQ(server.Connect(), -1);
  busy.Send("text\r\n.\r\n");
  EXPECT_THAT(busy.Read("421"), StartsWith("250 2.0.0 "));
  busy.Close();
  EXPECT_TRUE(server.Until([&] { return drained; }));
  EXPECT_EQ(server.store().stored.size(), 1u);
}

TEST(Server, HundredsOfConnectionsAreServedAtOnce) {
  LoopServer server(Protocol::kSmtp, {});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(std::make_unique<Client>(&server));
  for (auto& client : clients) {
    client->Send("EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@x>\r\nDATA\r\n");
  }
  for (auto& client : clients) ASSERT_THAT(client->Read("354"), HasSubstr("354 "));
  for (auto& client : clients) client->Send("text\r\n.\r\nQUIT\r\n");
  for (auto& client : clients) ASSERT_THAT(client->Read("221"), StartsWith("250 2.0.0 "));
  EXPECT_EQ(server.store().stored.size(), 300u);
}

TEST(NetworksTest, HoldsAddressesAndNetworksOfBothKinds) {
  absl::StatusOr<Networks> networks = Networks::Parse({"10.1.0.0/16", "192.0.2.7", "fd00::/8", "::1"});
  ASSERT_TRUE(networks.ok());
  const auto contains = [&](const char* address) {
    return networks->Contains(asio::ip::make_address(address));
  };
  for (const char* in : {"10.1.0.0", "10.1.255.255", "192.0.2.7", "fd12::1", "::1", "::ffff:10.1.2.3"}) {
    EXPECT_TRUE(contains(in)) << in;
  }
  for (const char* out : {"10.2.0.0", "192.0.2.8", "fe80::1", "::2", "::ffff:10.2.0.1", "127.0.0.1"}) {
    EXPECT_FALSE(contains(out)) << out;
  }
  EXPECT_TRUE(Networks::Loopback().Contains(asio::ip::make_address("127.8.0.1")));
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0/8", "host", "::1/129", "10.0.0.0/", "10.0.0.0/-1"}) {
    EXPECT_FALSE(Networks::Parse({bad}).ok()) << bad;
  }
}

}  // namespace
}  // namespace restante::smtp
