// Damage by the names that people know.
#include "server/mail/scrub.h"

#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/mail/fixture.h"

namespace restante::mail {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ScrubTest : public StoreTest {
 protected:
  ScrubTest() {
    EXPECT_TRUE(Domain("example.org").ok());
    EXPECT_TRUE(Mailbox("alice@example.org").ok());
    EXPECT_TRUE(Mailbox("o'hare@example.org").ok());
    memory_->ListPartitions(engine::PartitionId::Kind::kMailbox, 0, 10, [&](auto found) {
      for (const auto& [number, head] : *found) numbers_.push_back(number);
    });
  }

  std::vector<uint64_t> numbers_;
};

TEST_F(ScrubTest, NamesMailboxesAndUidsInTheOrderInWhichTheyWereFound) {
  engine_->scrub = [&](uint64_t rate, engine::UpkeepReport report, auto done) {
    EXPECT_EQ(rate, 17u);
    EXPECT_TRUE(report({.done_bytes = 1, .total_bytes = 9, .damages = {}}));
    EXPECT_TRUE(report({.done_bytes = 5,
                        .total_bytes = 9,
                        .damages = {{"/f", 64, "wrong", {{numbers_[0], 3}, {numbers_[1], 4}}}}}));
    EXPECT_TRUE(report({.done_bytes = 9, .total_bytes = 9, .damages = {{"/g", 0, "dead", {{999'999, 1}}}}}));
    done(absl::OkStatus());
  };
  std::vector<NamedDamage> damages;
  uint64_t checked = 0;
  EXPECT_EQ(Get(Scrub(engine_.get(), 17,
                      [&](ScrubProgress progress) {
                        EXPECT_GE(progress.checked_bytes, checked);
                        checked = progress.checked_bytes;
                        EXPECT_EQ(progress.total_bytes, 9u);
                        std::move(progress.damages.begin(), progress.damages.end(),
                                  std::back_inserter(damages));
                        return true;
                      })),
            absl::OkStatus());
  EXPECT_EQ(checked, 9u);
  ASSERT_EQ(damages.size(), 2u);
  EXPECT_EQ(damages[0].file, "/f");
  EXPECT_EQ(damages[0].offset, 64u);
  EXPECT_EQ(damages[0].problem, "wrong");
  EXPECT_THAT(damages[0].messages, ElementsAre("mailboxes/alice@example.org/folders/INBOX/messages/3",
                                               "mailboxes/o%27hare@example.org/folders/INBOX/messages/4"));
  // Of a mailbox that is gone by now.
  EXPECT_THAT(damages[1].messages, IsEmpty());
}

TEST_F(ScrubTest, IsGivenUpWhenTheReportSaysSo) {
  std::thread thread;
  engine_->scrub = [&](uint64_t, engine::UpkeepReport report, auto done) {
    thread = std::thread([report, done = std::move(done)]() mutable {
      uint64_t reports = 1;
      while (report({.done_bytes = reports, .total_bytes = 0, .damages = {}})) ++reports;
      done(absl::CancelledError("given up"));
    });
  };
  absl::Notification ended;
  int calls = 0;
  Start<absl::Status>(Scrub(engine_.get(), 0, [&](ScrubProgress) { return ++calls < 3; }),
                      [&](absl::Status status) {
                        EXPECT_TRUE(absl::IsCancelled(status));
                        ended.Notify();
                      });
  ended.WaitForNotification();
  thread.join();
  EXPECT_EQ(calls, 3);
}

TEST_F(ScrubTest, SaysWhatTheEngineSays) {
  EXPECT_EQ(Get(Scrub(engine_.get(), 0, [](ScrubProgress) { return true; })).code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace restante::mail
