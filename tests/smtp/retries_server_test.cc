// What the kernel says of a reply's way to the sender, over loopback sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "client/smtp/socket_state.h"
#include "tests/smtp/socket_target.h"

namespace restante::smtp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class RetriesServerTest : public testing::Test {
 protected:
  void SetUp() override {
    fd_ = server_.Connect();
    ASSERT_GE(fd_, 0);
    // What is sent is there at once, and does not wait for an acknowledgement.
    const int on = 1;
    ASSERT_EQ(::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
  }
  void TearDown() override {
    if (fd_ >= 0) ::close(fd_);
  }
  void Send(const std::string& octets) {
    ASSERT_EQ(::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL), static_cast<ssize_t>(octets.size()));
  }
  // Reads until this has come.
  void Expect(const std::string& octets) {
    std::string got;
    EXPECT_TRUE(server_.Until([&] {
      char c;
      while (got.find(octets) == std::string::npos && ::recv(fd_, &c, 1, MSG_DONTWAIT) == 1) got.push_back(c);
      return got.find(octets) != std::string::npos;
    })) << got;
  }
  // Up to 354.
  void Begin() {
    Send("HELO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n");
    Expect("354");
  }
  void SendText(const std::string& more = "") {
    Send("Message-ID: <1@b.c>\r\nDate: x\r\n\r\ntext\r\n.\r\n" + more);
  }
  void AwaitStored() {
    ASSERT_TRUE(server_.Until([&] { return server_.records().size() == 1; }));
    ASSERT_THAT(server_.store().stored, SizeIs(1));
  }
  // Waits until the server has done with the connection.
  void AwaitGone() {
    ASSERT_TRUE(server_.Until([&] { return server_.server().connections() == 0; }));
  }
  void Close() { ::close(std::exchange(fd_, -1)); }

  LoopServer server_{Protocol::kSmtp, ServerOptions()};
  int fd_ = -1;
};

TEST_F(RetriesServerTest, AClientThatReadsTheReplyAndClosesHasGotIt) {
  Begin();
  SendText();
  Expect("Stored as");
  Expect("\n");
  Close();
  AwaitGone();
  EXPECT_THAT(server_.store().handed_over, SizeIs(1));
}

TEST_F(RetriesServerTest, AClientThatClosesWithTheReplyUnreadHasNot) {
  Begin();
  SendText();
  AwaitStored();
  // Let the reply arrive; then the kernel sends RST, for somebody should know.
  ASSERT_TRUE(server_.Until([&] { return UnreadOf(fd_).octets > 0; }));
  Close();
  AwaitGone();
  EXPECT_THAT(server_.store().handed_over, IsEmpty());
}

TEST_F(RetriesServerTest, AClientThatIsGoneBeforeTheReplyHasNot) {
  server_.store().hold_at.insert(FakeStore::Step::kCommit);
  Begin();
  SendText();
  ASSERT_TRUE(server_.Until([&] { return server_.store().commits == 1; }));
  Close();
  server_.store().Release();
  AwaitGone();
  ASSERT_THAT(server_.store().stored, SizeIs(1));
  EXPECT_THAT(server_.store().handed_over, IsEmpty());
}

TEST_F(RetriesServerTest, AQuitThatCameWithTheDotProvesNothingAndTheEndBehindItDoes) {
  Begin();
  SendText("QUIT\r\n");
  Expect("Stored as");
  Expect("221");
  Expect("\n");
  EXPECT_THAT(server_.store().handed_over, IsEmpty());
  Close();
  AwaitGone();
  EXPECT_THAT(server_.store().handed_over, SizeIs(1));
}

TEST_F(RetriesServerTest, WhatWaitedWithTheDotProvesNothingAndTheNextCommandDoes) {
  server_.store().hold_at.insert(FakeStore::Step::kCommit);
  Begin();
  SendText();
  ASSERT_TRUE(server_.Until([&] { return server_.store().commits == 1; }));
  Send("NOOP\r\n");
  ASSERT_EQ(server_.store().handed_over.size(), 0u);
  server_.store().Release();
  Expect("Stored as");
  Expect("250 2.0.0 Ok\r\n");
  EXPECT_THAT(server_.store().handed_over, IsEmpty());
  Send("RSET\r\n");
  Expect("250 2.0.0 Ok\r\n");
  EXPECT_THAT(server_.store().handed_over, ElementsAre(std::string(31, '0') + "1"));
}

TEST_F(RetriesServerTest, OctetsThatThePeerHasNoRoomForAreNotAcknowledged) {
  EXPECT_TRUE(AllAcknowledged(fd_, false));
  EXPECT_FALSE(AllAcknowledged(-1, false));
  // Nobody reads at the other end: sooner or later its window is closed.
  const std::string octets(1 << 20, 'x');
  while (::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
  }
  EXPECT_FALSE(AllAcknowledged(fd_, false));
}

}  // namespace
}  // namespace restante::smtp
