// A move that is killed at every step, and run again after each.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/engine/moving/marks.h"
#include "server/engine/moving/move.h"
#include "tests/moving/moving_children.h"

namespace restante::moving {
namespace {

TEST(MoveCrash, KilledAtEveryStepItEndsAsIfItHadNotBeen) {
  const TemporaryDirectory directory;
  {
    MovingStore store(OpenToServe(directory / "old", Clock::System()));
    store.Furnish();
  }
  int kills = 0;
  // Each run is killed a step later than the one before.
  for (int kill_at = 1;; ++kill_at) {
    const int status = MoveAndKill(directory / "old", directory / "new", kill_at);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    ++kills;
  }
  EXPECT_GE(kills, 7);
  MovingStore from(OpenToMove(directory / "old", Clock::System()));
  MovingStore to(OpenToMove(directory / "new", Clock::System()));
  ExpectSame(from, to);
  EXPECT_FALSE(CheckServed(&from.engine()).ok());
  EXPECT_TRUE(CheckServed(&to.engine()).ok());
}

TEST(MoveCrash, KilledAnywhereInAFreshMoveItGoesOn) {
  const TemporaryDirectory directory;
  {
    MovingStore store(OpenToServe(directory / "old", Clock::System()));
    store.Furnish();
  }
  // In the middle of the large mailbox, among others.
  for (const int kill_at : {3, 5, 7, 9, 11}) {
    const std::string name = absl::StrCat("new", kill_at);
    ASSERT_TRUE(WIFSIGNALED(MoveAndKill(directory / "old", directory / name, kill_at))) << kill_at;
    MovingStore from(OpenToMove(directory / "old", Clock::System()));
    MovingStore to(OpenToMove(directory / name, Clock::System()));
    ASSERT_TRUE(MoveStore(&from.engine(), &to.engine(), OptionsOf(*Clock::System())).ok());
    ExpectSame(from, to);
    ASSERT_TRUE(Stay(&from.engine(), Clock::System()).ok());
  }
}

}  // namespace
}  // namespace restante::moving
