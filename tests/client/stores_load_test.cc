// Stores are lost, one after another, under load: every message that was acknowledged
// is there once, and none is there twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <numeric>

#include "restante/client.h"
#include "tests/client/stores_fixture.h"

namespace restante {
namespace {

constexpr int kMailboxes = 20;
constexpr int kMessages = 1'000;
constexpr size_t kSmallest = 100;

std::string Mailbox(int i) { return absl::StrCat("user", i % kMailboxes, "@example.org"); }

// A sender with one message: tries until it is told that it is stored.
struct Sender {
  int message = 0;
  std::string id;
  std::unique_ptr<Delivery> d;
  bool settling = false;
};

class StoresLoadTest : public StoresTest {
 protected:
  StoresLoadTest() {
    for (int i = 0; i < kMailboxes; ++i) MakeMailbox(absl::StrCat("user", i), 10 << 20);
    Connect(Options());
  }

  // Its message is known by its size.
  void Try(Sender* sender) {
    sender->settling = false;
    sender->d = std::make_unique<Delivery>();
    Begin(sender->d.get(), Mailbox(sender->message));
    sender->id = last_id;
    sender->d->Send({}, std::string(kSmallest + sender->message, 'x'));
  }
  void Next(Sender* sender) {
    sender->d.reset();
    if (next_ == kMessages) return;
    sender->message = next_++;
    Try(sender);
  }
  void Acknowledge(Sender* sender) {
    ++acknowledged_;
    Next(sender);
  }
  // What an MTA does with what it is told.
  void Look(Sender* sender) {
    if (sender->d == nullptr || sender->settling || !sender->d->over()) return;
    if (sender->d->receipts.has_value()) return Acknowledge(sender);
    ASSERT_TRUE(sender->d->lost.has_value());
    if (!sender->d->lost_after_commit) {
      ++lost_before_;
      return Try(sender);
    }
    sender->settling = true;
    client->Settle(sender->id, {absl::StrCat("mailboxes/", Mailbox(sender->message))}, milliseconds(60'000),
                   [this, sender](absl::StatusOr<v1::GetReceiptResponse> settled) {
                     ASSERT_TRUE(settled.ok()) << settled.status();
                     ++settled_;
                     if (settled->committed()) return Acknowledge(sender);
                     Try(sender);
                   });
  }
  void RunUntil(const std::function<bool()>& done) {
    ASSERT_TRUE(loop.RunUntil([&] {
      for (Sender& sender : senders_) Look(&sender);
      return done();
    }));
  }
  // Whether one of them has just said Commit there.
  bool AnyCommits(size_t i) {
    return std::any_of(senders_.begin(), senders_.end(), [&](const Sender& sender) {
      return sender.d != nullptr && !sender.d->over() && !sender.d->rest.has_value() &&
             Preference(Mailbox(sender.message)).front() == i;
    });
  }
  // Loses it with answers that are on their way.
  void Lose(size_t i) {
    Proxy& proxy = stores[i].proxy();
    RunUntil([&] { return AnyCommits(i); });
    proxy.HoldAnswers();
    loop.Drain();
    RunUntil([&] { return proxy.kept() > 0; });
    const int before = lost_before_ + settled_;
    proxy.Cut();
    RunUntil([&] { return lost_before_ + settled_ > before; });
  }

  std::deque<Sender> senders_{50};
  int next_ = 0;
  int acknowledged_ = 0;
  int lost_before_ = 0;
  int settled_ = 0;
};

TEST_F(StoresLoadTest, EveryMessageIsThereOnce) {
  for (Sender& sender : senders_) Next(&sender);
  RunUntil([&] { return acknowledged_ >= 200; });
  for (size_t i = 0; i < stores.size(); ++i) {
    Lose(i);
    const int before = acknowledged_;
    RunUntil([&] { return acknowledged_ >= before + 100; });
    stores[i].proxy().Restore();
    AwaitUp(i, true);
  }
  RunUntil([&] { return acknowledged_ == kMessages; });
  std::printf("lost before Commit: %d, settled: %d\n", lost_before_, settled_);
  EXPECT_GT(settled_, 0);

  Client calls(Options());
  std::vector<size_t> sizes;
  for (int i = 0; i < kMailboxes; ++i) {
    v1::ListMessagesRequest request;
    request.set_parent(absl::StrCat("mailboxes/", Mailbox(i)));
    request.set_page_size(1'000);
    const absl::StatusOr<v1::ListMessagesResponse> page = calls.ListMessages(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Message& message : page->messages()) sizes.push_back(message.size_bytes());
  }
  std::sort(sizes.begin(), sizes.end());
  std::vector<size_t> expected(kMessages);
  std::iota(expected.begin(), expected.end(), kSmallest);
  EXPECT_EQ(sizes, expected);
}

}  // namespace
}  // namespace restante
