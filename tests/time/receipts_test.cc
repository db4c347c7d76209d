// Receipts live for a day of the store's own time: the sum of the times that it
// was up, whatever the clocks say when it comes up again.
#include <chrono>

#include "server/engine/embedded/index.h"
#include "server/engine/embedded/index_keys.h"
#include "tests/time/kept_store.h"

namespace restante {
namespace {

class Receipts : public KeptStore {
 protected:
  Receipts() { MakeMailbox("alice", 10'000'000); }

  // Those in the index of a store that is shut down.
  size_t InTheIndex() {
    embedded::Index index(embedded::Files::Posix(), directory_.path / "data" / "index");
    EXPECT_TRUE(index.Open(/*create=*/false).ok());
    size_t count = 0;
    EXPECT_TRUE(index.Snapshot(0)
                    ->Visit("r", embedded::AfterPrefix("r"),
                            [&](absl::string_view, absl::string_view) {
                              ++count;
                              return true;
                            })
                    .ok());
    index.Close();
    return count;
  }
};

TEST_F(Receipts, LiveADayOfUptimeOverRestarts) {
  Pass(20 * kHour);  // Receipts are kept by the day: some of it is over.
  const model::Letter letter = LetterOf('a', 500);
  const std::string receipt = Deliver(letter);
  EXPECT_FALSE(Settled('b'));
  for (int part = 0; part < 6; ++part) {
    Pass(4 * kHour - kSecond);
    // Wherever the wall clock is when the machine comes up.
    SetWall(part % 2 == 0 ? -kDay : 2 * kDay);
    Reboot();
    EXPECT_EQ(Deliver(letter), receipt) << part;
    EXPECT_TRUE(Settled('a')) << part;
    EXPECT_EQ(Deliver(LetterOf('b', 500)), "OUTCOME_REQUEST_ID_ABORTED") << part;
  }
  EXPECT_EQ(Messages("alice"), 1u);
}

TEST_F(Receipts, AreGoneAfterTwoDaysOfUptimeOverRestarts) {
  const model::Letter letter = LetterOf('a', 500);
  Deliver(letter);
  EXPECT_FALSE(Settled('b'));
  for (int part = 0; part < 6; ++part) {
    Pass(8 * kHour + 2 * kSecond);
    SetWall(-kDay);
    Reboot();
  }
  // The ids are as good as new.
  Deliver(letter);
  Deliver(LetterOf('b', 500));
  EXPECT_EQ(Messages("alice"), 3u);
}

TEST_F(Receipts, TheTimeInWhichTheStoreIsDownDoesNotCount) {
  const model::Letter letter = LetterOf('a', 500);
  const std::string receipt = Deliver(letter);
  Pass(kHour);
  Shutdown();
  SetWall(365 * kDay);
  Boot();
  EXPECT_EQ(Deliver(letter), receipt);
  EXPECT_EQ(Messages("alice"), 1u);
}

TEST_F(Receipts, TimeThatNoGroupCarriedMakesThemLiveLongerAndNeverShorter) {
  const model::Letter letter = LetterOf('a', 500);
  const std::string receipt = Deliver(letter);
  for (int part = 0; part < 5; ++part) {
    clock_->Advance(10 * kHour);  // And nothing is written.
    Reboot();
    EXPECT_EQ(Deliver(letter), receipt) << part;
  }
}

TEST_F(Receipts, OldOnesLeaveTheIndex) {
  for (char name = 'a'; name <= 'j'; ++name) Deliver(LetterOf(name, 100));
  Pass(2 * kDay + kHour);
  Deliver(LetterOf('z', 100));
  Shutdown();
  ASSERT_GE(InTheIndex(), 1u);
  // Each start looks for what is old, soon.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (InTheIndex() > 1) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    Boot();
    Pass(kSecond);
    Shutdown();
  }
  Boot();
  Deliver(LetterOf('z', 100));
  EXPECT_EQ(Messages("alice"), 11u);
}

}  // namespace
}  // namespace restante
