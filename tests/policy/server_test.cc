// The real server over loopback sockets.
#include "client/policy/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/policy/netstring.h"
#include "tests/smtp/fake_store.h"

namespace restante::policy {
namespace {

using smtp::FakeStore;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr char kDunnoReply[] = "action=DUNNO\n\n";
constexpr char kFullReply[] = "action=452 4.2.2 Mailbox full\n\n";

std::string Rcpt(const std::string& recipient) {
  return absl::StrCat("request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=", recipient, "\n\n");
}

// A server and a fake store in one loop, which the test turns while it waits.
class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    host_.store = &store_;
    host_.nobody = "nobody";
    host_.on_refusal = [](const Refusal&) {};
    host_.on_unavailable = [](const absl::Status&) {};
    store_.recipients["full@example.org"] = v1::OUTCOME_MAILBOX_FULL;
    store_.executor = [this](absl::AnyInvocable<void()> fn) {
      asio::post(io_, [fn = std::move(fn)]() mutable { fn(); });
    };
  }
  ~ServerTest() override {
    if (server_ == nullptr || drained_) return;
    store_.Release();
    server_->Drain(milliseconds(0), [this] { drained_ = true; });
    EXPECT_TRUE(Until([this] { return drained_; }));
  }

  void Start(Service service, ServerOptions options = {}) {
    server_ = std::make_unique<Server>(&io_, std::move(options), &host_);
    absl::StatusOr<std::string> bound = server_->Listen(service, "127.0.0.1:0");
    ASSERT_TRUE(bound.ok()) << bound.status();
    uint32_t port = 0;
    ASSERT_TRUE(absl::SimpleAtoi(bound->substr(bound->rfind(':') + 1), &port));
    port_ = static_cast<uint16_t>(port);
  }

  // False after ten seconds.
  bool Until(const std::function<bool()>& done) {
    const auto limit = steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (steady_clock::now() > limit) return false;
      io_.run_for(milliseconds(1));
      io_.restart();
    }
    return true;
  }

  // A client's end.
  class Peer {
   public:
    // `receive_buffer`: 0 for the system's.
    explicit Peer(ServerTest* test, int receive_buffer = 0)
        : test_(test), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
      if (receive_buffer > 0) {
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
      }
      sockaddr_in address = {};
      address.sin_family = AF_INET;
      address.sin_port = htons(test->port_);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    }
    ~Peer() { ::close(fd_); }
    Peer(const Peer&) = delete;

    bool connected() const { return connected_; }
    void Send(const std::string& octets) {
      ASSERT_EQ(::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL), static_cast<ssize_t>(octets.size()));
    }
    // What fits of `octets`, again and again, going on where the last call ended.
    void TrySend(const std::string& octets) {
      const std::string rest = octets.substr(sent_ % octets.size());
      const ssize_t n = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) sent_ += static_cast<size_t>(n);
    }
    void SendNoMore() { ::shutdown(fd_, SHUT_WR); }

    // The next octets, as many as `expected` has.
    std::string Read(const std::string& expected) {
      test_->Until([&] { return Receive() || received_.size() >= expected.size(); });
      std::string read = received_.substr(0, expected.size());
      received_.erase(0, read.size());
      return read;
    }
    // What comes before the server closes.
    std::string ReadToEnd() {
      EXPECT_TRUE(test_->Until([&] { return Receive(); })) << "not closed";
      return received_;
    }

   private:
    // Whether the server has closed.
    bool Receive() {
      char buffer[4096];
      const ssize_t n = ::recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (n > 0) received_.append(buffer, static_cast<size_t>(n));
      return n == 0 || (n < 0 && errno == ECONNRESET);
    }

    ServerTest* const test_;
    const int fd_;
    bool connected_ = false;
    size_t sent_ = 0;
    std::string received_;
  };

  asio::io_context io_;
  FakeStore store_;
  Host host_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
  bool drained_ = false;
};

TEST_F(ServerTest, AConnectionCarriesManyRequests) {
  Start(Service::kPolicy);
  Peer peer(this);
  for (int i = 0; i < 50; ++i) {
    peer.Send(Rcpt("alice@example.org"));
    ASSERT_EQ(peer.Read(kDunnoReply), kDunnoReply);
    peer.Send(Rcpt("full@example.org"));
    ASSERT_EQ(peer.Read(kFullReply), kFullReply);
  }
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(ServerTest, RequestsThatCameAtOnceAreAnsweredInOrder) {
  Start(Service::kPolicy);
  Peer peer(this);
  std::string requests, replies;
  for (int i = 0; i < 200; ++i) {
    requests += Rcpt(i % 3 == 0 ? "full@example.org" : "alice@example.org");
    replies += i % 3 == 0 ? kFullReply : kDunnoReply;
  }
  peer.Send(requests);
  EXPECT_EQ(peer.Read(replies), replies);
}

TEST_F(ServerTest, ARequestMayComeOctetByOctet) {
  Start(Service::kSocketmap);
  Peer peer(this);
  for (char c : ToNetstring("mailbox alice@example.org")) {
    peer.Send(std::string(1, c));
    io_.poll();
    io_.restart();
  }
  const std::string reply = ToNetstring("OK alice@example.org");
  EXPECT_EQ(peer.Read(reply), reply);
}

// As Exim's ${readsocket} does.
TEST_F(ServerTest, APeerThatSendsNoMoreIsAnsweredAndThenClosed) {
  Start(Service::kPolicy);
  Peer peer(this);
  peer.Send(Rcpt("full@example.org"));
  peer.SendNoMore();
  EXPECT_EQ(peer.ReadToEnd(), kFullReply);
  EXPECT_TRUE(Until([this] { return server_->connections() == 0; }));
}

TEST_F(ServerTest, WhatIsNoRequestClosesAndIsLogged) {
  Start(Service::kPolicy);
  testing::internal::CaptureStderr();
  Peer peer(this);
  peer.Send("EHLO example.net\r\n");
  EXPECT_EQ(peer.ReadToEnd(), "");
  EXPECT_TRUE(Until([this] { return server_->connections() == 0; }));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("is no attribute name=value"));
}

TEST_F(ServerTest, WhoIsNotTrustedIsClosedAtOnceAndLogged) {
  ServerOptions options;
  options.trusted_networks = *smtp::Networks::Parse({"10.0.0.0/8"});
  Start(Service::kSocketmap, options);
  testing::internal::CaptureStderr();
  Peer peer(this);
  EXPECT_EQ(peer.ReadToEnd(), "");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("not from a trusted network"));
  EXPECT_THAT(log, HasSubstr("127.0.0.1"));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(ServerTest, ConnectionsAreBoundedAndThereIsRoomAgainAfterwards) {
  ServerOptions options;
  options.max_connections = 2;
  Start(Service::kPolicy, options);
  auto first = std::make_unique<Peer>(this);
  Peer second(this);
  ASSERT_TRUE(Until([this] { return server_->connections() == 2; }));
  Peer third(this);
  EXPECT_EQ(third.ReadToEnd(), "");
  second.Send(Rcpt("alice@example.org"));
  EXPECT_EQ(second.Read(kDunnoReply), kDunnoReply);
  first.reset();
  ASSERT_TRUE(Until([this] { return server_->connections() == 1; }));
  Peer fourth(this);
  fourth.Send(Rcpt("alice@example.org"));
  EXPECT_EQ(fourth.Read(kDunnoReply), kDunnoReply);
}

TEST_F(ServerTest, WhoFinishesNoRequestIsClosedButNotWhileTheStoreIsWaitedFor) {
  ServerOptions options;
  options.idle_timeout = milliseconds(500);
  Start(Service::kPolicy, options);
  store_.hold_at = {FakeStore::Step::kCheck};
  Peer asking(this);
  asking.Send(Rcpt("full@example.org"));
  ASSERT_TRUE(Until([this] { return store_.checks.size() == 1; }));
  Peer silent(this);
  Peer slow(this);
  slow.Send("request=smtpd_access");
  EXPECT_EQ(silent.ReadToEnd(), "");
  EXPECT_EQ(slow.ReadToEnd(), "");
  EXPECT_EQ(server_->connections(), 1u);
  store_.Release();
  EXPECT_EQ(asking.Read(kFullReply), kFullReply);
  EXPECT_EQ(asking.ReadToEnd(), "") << "idle from now on";
}

TEST_F(ServerTest, APeerThatReadsNoRepliesIsNotServedForEver) {
  ServerOptions options;
  options.idle_timeout = milliseconds(200);
  Start(Service::kSocketmap, options);
  Peer peer(this, /*receive_buffer=*/4096);
  // Long replies, of which few fill what the system holds.
  const std::string request = ToNetstring("domain " + std::string(1000, 'x'));
  std::string requests;
  for (int i = 0; i < 100; ++i) requests += request;
  ASSERT_TRUE(Until([this] { return server_->connections() == 1; }));
  testing::internal::CaptureStderr();
  EXPECT_TRUE(Until([&] {
    peer.TrySend(requests);
    return server_->connections() == 0;
  }));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "closed for what it sent";
  EXPECT_GT(store_.checks.size(), 0u);
}

TEST_F(ServerTest, APeerThatLeavesWhileTheStoreIsAskedHarmsNobody) {
  Start(Service::kPolicy);
  store_.hold_at = {FakeStore::Step::kCheck};
  {
    Peer peer(this);
    peer.Send(Rcpt("alice@example.org"));
    ASSERT_TRUE(Until([this] { return store_.checks.size() == 1; }));
  }
  store_.Release();
  EXPECT_TRUE(Until([this] { return server_->connections() == 0; }));
}

TEST_F(ServerTest, DrainingAnswersWhatWasAskedAndTakesNoNewPeer) {
  Start(Service::kPolicy);
  store_.hold_at = {FakeStore::Step::kCheck};
  Peer idle(this);
  Peer asking(this);
  asking.Send(Rcpt("full@example.org"));
  ASSERT_TRUE(Until([this] { return store_.checks.size() == 1 && server_->connections() == 2; }));
  server_->Drain(milliseconds(10'000), [this] { drained_ = true; });
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_FALSE(Peer(this).connected());
  EXPECT_FALSE(drained_);
  store_.Release();
  EXPECT_EQ(asking.ReadToEnd(), kFullReply);
  EXPECT_TRUE(Until([this] { return drained_; }));
}

TEST_F(ServerTest, AddressesThatAreNoneAreRefused) {
  Start(Service::kPolicy);
  EXPECT_TRUE(absl::IsInvalidArgument(server_->Listen(Service::kPolicy, "127.0.0.1").status()));
  EXPECT_TRUE(
      absl::IsUnavailable(server_->Listen(Service::kPolicy, absl::StrCat("127.0.0.1:", port_)).status()));
}

}  // namespace
}  // namespace restante::policy
