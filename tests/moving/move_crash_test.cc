// A move that is killed at every step, and run again after each.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/engine/moving/marks.h"
#include "server/engine/moving/move.h"
#include "tests/moving/moving_store.h"

namespace restante::moving {
namespace {

// Runs a move in a process of its own, which is killed at step number `kill_at`; returns how
// it ended.
int MoveAndKill(const std::string& from, const std::string& to, int kill_at) {
  const std::string step = absl::StrCat(kill_at);
  std::string program = MOVE_CHILD;
  char* argv[] = {program.data(), const_cast<char*>(from.c_str()), const_cast<char*>(to.c_str()),
                  const_cast<char*>(step.c_str()), nullptr};
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, program.c_str(), nullptr, nullptr, argv, environ), 0);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

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
