// A store moves into a cluster and out of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/moving/marks.h"
#include "server/engine/moving/move.h"
#include "tests/cluster/child_store.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/cluster_sums.h"
#include "tests/cluster/rados_stores.h"
#include "tests/moving/moving_children.h"

namespace restante::moving {
namespace {

using testing::HasSubstr;

class RadosMove : public cluster::SharedClusterTest {
 protected:
  std::string Cluster() const { return absl::StrCat("rados:", conf_, ":", namespace_); }
  void Furnish(const std::string& place) { MovingStore(OpenToServe(place, Clock::System())).Furnish(); }
  // Moves it, opened as it is moved; both have the same then.
  void Move(const std::string& from_place, const std::string& to_place) {
    MovingStore from(OpenToMove(from_place, Clock::System())), to(OpenToMove(to_place, Clock::System()));
    const auto moved = MoveStore(&from.engine(), &to.engine(), OptionsOf(*Clock::System()));
    ASSERT_TRUE(moved.ok()) << moved.status();
    ExpectSame(from, to);
  }
  void ExpectExactSums() { EXPECT_EQ(rados::Inexact(conf_, namespace_), std::vector<std::string>()); }

  const TemporaryDirectory directory_;
};

TEST_F(RadosMove, EverythingIsThereAndComesBack) {
  Furnish(directory_ / "old");
  Move(directory_ / "old", Cluster());
  ExpectExactSums();
  {
    // It is a store like any other.
    MovingStore store(OpenToServe(Cluster(), Clock::System()));
    MovingStore old(OpenToMove(directory_ / "old", Clock::System()));
    const auto domains = old.Contents();
    EXPECT_EQ(store.Open(1), "receipt");
    EXPECT_EQ(store.Open(3), "tombstone");
  }
  Move(Cluster(), directory_ / "back");
}

TEST_F(RadosMove, WhatWasServedInBetweenIsThereToo) {
  MovingStore from(OpenToServe(directory_ / "old", Clock::System()));
  from.Furnish();
  MovingStore to(OpenToMove(Cluster(), Clock::System()));
  MoveOptions options = OptionsOf(*Clock::System());
  options.at = [&](absl::string_view step) {
    if (step == "events copied") from.Live();
  };
  EXPECT_FALSE(MoveStore(&from.engine(), &to.engine(), options).ok()) << "the difference was not seen";
  ASSERT_TRUE(MoveStore(&from.engine(), &to.engine(), OptionsOf(*Clock::System())).ok());
  ExpectSame(from, to);
  ExpectExactSums();
}

TEST_F(RadosMove, KilledOnTheWayInItGoesOn) {
  Furnish(directory_ / "old");
  int kills = 0;
  for (int kill_at = 1;; kill_at += 3) {
    const int status = MoveAndKill(directory_ / "old", Cluster(), kill_at);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ++kills;
  }
  EXPECT_GE(kills, 3);
  ExpectExactSums();
  Move(Cluster(), directory_ / "back");
  MovingStore old(OpenToMove(directory_ / "old", Clock::System()));
  MovingStore back(OpenToMove(directory_ / "back", Clock::System()));
  ExpectSame(old, back);
}

TEST_F(RadosMove, KilledOnTheWayOutItGoesOn) {
  Furnish(Cluster());
  int kills = 0;
  for (int kill_at = 1;; kill_at += 3) {
    const int status = MoveAndKill(Cluster(), directory_ / "new", kill_at);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ++kills;
  }
  EXPECT_GE(kills, 3);
  MovingStore from(OpenToMove(Cluster(), Clock::System()));
  MovingStore to(OpenToMove(directory_ / "new", Clock::System()));
  ExpectSame(from, to);
}

TEST_F(RadosMove, NobodyMovesWhatAnotherServesAndHeGoesOn) {
  rados::Options options = rados::OptionsOf(conf_, namespace_);
  options.life_interval = absl::Milliseconds(400);
  rados::ChildStore other(options);
  MovingStore from(OpenToMove(Cluster(), Clock::System()));
  MovingStore to(OpenToMove(directory_ / "new", Clock::System()));
  const absl::Status refused = MoveStore(&from.engine(), &to.engine(), OptionsOf(*Clock::System())).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("another store is running on it (run "));
  EXPECT_TRUE(CheckServed(&from.engine()).ok());
  EXPECT_TRUE(CheckEmpty(&to.engine()).ok());
  EXPECT_TRUE(CheckServed(&to.engine()).ok());
}

TEST_F(RadosMove, WhatTheDeadHaveCommittedComesAlongAndWhatTheyHeldDoesNot) {
  rados::Options options = rados::OptionsOf(conf_, namespace_);
  options.life_interval = absl::Milliseconds(400);
  uint64_t mailbox = 0;
  {
    rados::ChildStore dead(options);
    MovingStore maker(OpenToServe(Cluster(), Clock::System()));
    mailbox = maker.CreateMailboxAndDomain();
    // Committed, and rolled forward nowhere; and another one that is only promised.
    EXPECT_EQ(dead.Ask(absl::StrCat("reserve 8 1000 ", mailbox)), "confirmed");
    ASSERT_TRUE(dead.IsKilledAt("committed", 1, absl::StrCat("deliver 7 1000 ", mailbox)));
  }
  MovingStore from(OpenToMove(Cluster(), Clock::System()));
  MovingStore to(OpenToMove(directory_ / "new", Clock::System()));
  const auto moved = MoveStore(&from.engine(), &to.engine(), OptionsOf(*Clock::System()));
  ASSERT_TRUE(moved.ok()) << moved.status();
  ASSERT_EQ(to.EntriesOf(mailbox).size(), 1u);
  EXPECT_TRUE(to.TextOf(to.EntriesOf(mailbox)[0]) == engine::Noise(1000, 7));
  EXPECT_EQ(to.Open(7), "receipt");
  EXPECT_EQ(to.Settle(7)->recipients(0).uid(), 1u);
  EXPECT_EQ(to.Open(8), "tombstone");
  to.ExpectExact({mailbox});
}

TEST_F(RadosMove, AStoreThatSleptWhileItMovedPromisesNothingWhenItWakes) {
  rados::Options options = rados::OptionsOf(conf_, namespace_);
  options.life_interval = absl::Milliseconds(400);
  MovingStore maker(OpenToServe(Cluster(), Clock::System()));
  const uint64_t mailbox = maker.CreateMailboxAndDomain();
  maker.Take().reset();
  rados::ChildStore sleeper(options);
  ASSERT_TRUE(sleeper.StopsAt("seal", 1, absl::StrCat("deliver 7 1000 ", mailbox)));
  Move(Cluster(), directory_ / "new");
  sleeper.Continue();
  EXPECT_EQ(sleeper.Hear().substr(0, 7), "FAILED_") << "what it was about to commit was settled";
  for (const uint64_t tx : {8, 9}) {
    EXPECT_EQ(sleeper.Ask(absl::StrCat("deliver ", tx, " 1000 ", mailbox)), "UNAVAILABLE");
  }
  MovingStore from(OpenToMove(Cluster(), Clock::System()));
  EXPECT_TRUE(from.EntriesOf(mailbox).empty());
}

TEST_F(RadosMove, OnlineIntoTheClusterNothingIsLostWhereverItIsKilled) {
  for (const std::string step : {"copied", "frozen", "moved out"}) {
    SCOPED_TRACE(step);
    const std::string from = directory_ / absl::StrCat("old", step.substr(0, 1));
    const std::string to = absl::StrCat(Cluster(), "-", step.substr(0, 1));
    Acknowledged acknowledged;
    const int killed = ServeAndMove(from, to, 1, step, &acknowledged);
    ASSERT_TRUE(WIFSIGNALED(killed)) << "the step was never reached";
    engine::stored::House::State state;
    IsServed(from, &state);
    if (state == engine::stored::House::MOVED_OUT) {
      ExpectAll(to, acknowledged);
      continue;
    }
    ExpectAll(from, acknowledged);
    const int ended = ServeAndMove(from, to, 1'000'000, "", &acknowledged);
    ASSERT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << ended;
    EXPECT_TRUE(IsServed(to, &state));
    ExpectAll(to, acknowledged);
  }
}

TEST_F(RadosMove, OnlineOutOfTheClusterNothingIsLostWhereverItIsKilled) {
  for (const std::string step : {"compared", "drained", "moved in"}) {
    SCOPED_TRACE(step);
    const std::string from = absl::StrCat(Cluster(), "-", step.substr(0, 1)),
                      to = directory_ / absl::StrCat("new", step.substr(0, 1));
    Acknowledged acknowledged;
    const int killed = ServeAndMove(from, to, 1, step, &acknowledged);
    ASSERT_TRUE(WIFSIGNALED(killed)) << "the step was never reached";
    engine::stored::House::State state;
    IsServed(from, &state);
    if (state == engine::stored::House::MOVED_OUT) {
      ExpectAll(to, acknowledged);
      continue;
    }
    const int ended = ServeAndMove(from, to, 1'000'000, "", &acknowledged);
    ASSERT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << ended;
    EXPECT_FALSE(IsServed(from, &state));
    ExpectAll(to, acknowledged);
  }
}

}  // namespace
}  // namespace restante::moving
