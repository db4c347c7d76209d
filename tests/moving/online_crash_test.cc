// A store that is killed while it moves and mail flows.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <string>

#include "tests/moving/moving_children.h"

namespace restante::moving {
namespace {

class OnlineCrash : public testing::TestWithParam<const char*> {};

TEST_P(OnlineCrash, NothingIsLostOrDoubledAndOnePlaceIsTheTruth) {
  const TemporaryDirectory directory;
  const std::string from = directory / "old", to = directory / "new";
  Acknowledged acknowledged;
  const int killed = ServeAndMove(from, to, 1, GetParam(), &acknowledged);
  ASSERT_TRUE(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL) << "the step was never reached";
  engine::stored::House::State old_state;
  IsServed(from, &old_state);
  if (old_state == engine::stored::House::MOVED_OUT) {
    return ExpectAll(to, acknowledged);
  }
  ExpectAll(from, acknowledged);
  // Started again it goes on, to the end.
  const int ended = ServeAndMove(from, to, 1'000'000, "", &acknowledged);
  ASSERT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << ended;
  EXPECT_FALSE(IsServed(from, &old_state));
  engine::stored::House::State new_state;
  EXPECT_TRUE(IsServed(to, &new_state));
  EXPECT_EQ(new_state, engine::stored::House::MOVED_IN);
  ExpectAll(to, acknowledged);
}

INSTANTIATE_TEST_SUITE_P(Steps, OnlineCrash,
                         testing::Values("moving out", "moving in", "written", "copied", "round", "compared",
                                         "drained", "frozen", "moved out", "moved in", "switched"),
                         [](const testing::TestParamInfo<const char*>& step) {
                           std::string name = step.param;
                           for (char& c : name) {
                             if (c == ' ') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace restante::moving
