// A wall clock that is set back by a day holds nothing up that waits for a while.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "absl/time/time.h"
#include "server/base/fake_clock.h"
#include "server/base/steady_condition.h"
#include "server/engine/memory/memory_engine.h"
#include "tests/embedded/small_store.h"
#include "tests/model/conversation.h"
#include "tests/model/letter.h"
#include "tests/model/world.h"
#include "tests/time/wall_clock.h"

namespace restante {
namespace {

// That the clock is bent: to absl, a wait of nearly a day less than nothing is one
// of 20 milliseconds.
TEST(SetBack, OtherWaitsLastADayLonger) {
  const SetBackByADay day;
  absl::Mutex mutex;
  bool never = false;
  absl::MutexLock lock(&mutex);
  const auto began = std::chrono::steady_clock::now();
  mutex.AwaitWithTimeout(absl::Condition(&never), absl::Milliseconds(20) - absl::Hours(24));
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(10));
}

TEST(SetBack, ASteadyConditionEndsInTime) {
  const SetBackByADay day;
  absl::Mutex mutex;
  SteadyCondition condition;
  absl::MutexLock lock(&mutex);
  EXPECT_FALSE(condition.AwaitFor(&mutex, absl::Milliseconds(10), [] { return false; }));
}

TEST(SetBack, ASteadyConditionIsHeardAtOnce) {
  absl::Mutex mutex;
  SteadyCondition condition;
  bool ready = false;
  std::thread other([&] {
    {
      absl::MutexLock lock(&mutex);
      ready = true;
    }
    condition.Changed();
  });
  {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(condition.AwaitFor(&mutex, absl::InfiniteDuration(), [&] { return ready; }));
  }
  other.join();
}

TEST(SetBack, SilentTransactionsAreEndedAllTheSame) {
  const SetBackByADay day;
  FakeClock clock;
  const auto engine =
      std::shared_ptr<engine::Engine>(engine::NewMemoryEngine({.rules = {}, .clock = &clock}));
  model::World world(
      model::kMemory, [&]() -> absl::StatusOr<std::shared_ptr<engine::Engine>> { return engine; }, {},
      &clock);
  ASSERT_TRUE(world.Open().ok());
  const auto conversation = model::Conversation::Begin(world.deliveries(), "caller");
  model::Letter letter;
  letter.request_id = std::string(16, 'x');
  conversation->Ask(letter.Begin());
  ASSERT_FALSE(conversation->over());
  EXPECT_FALSE(world.deliveries().AwaitIdle(10'000)) << "one is open";
  clock.Advance(int64_t{601} * 1'000'000);
  // By its own thread, which looks every second.
  ASSERT_TRUE(world.deliveries().AwaitIdle(int64_t{60} * 1'000'000));
  conversation->Answers();
  EXPECT_EQ(conversation->outcome(), v1::OUTCOME_TIMED_OUT);
  world.Close();
}

TEST(SetBack, TheStoreIsLookedAfterAllTheSame) {
  const SetBackByADay day;
  embedded::Directory directory;
  embedded::SmallStore store(directory.path / "data");
  store.options.maintenance_interval = absl::Milliseconds(10);
  ASSERT_TRUE(store.Open().ok());
  // Each of these takes a segment with it, when it goes.
  for (uint64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(store.Deliver(embedded::Noise(1'200'000, i)).ok());
    ASSERT_TRUE(store.Expunge(i).ok());
    store.AwaitFigure("segment", [&](uint64_t segment) { return segment > i; });
  }
}

}  // namespace
}  // namespace restante
