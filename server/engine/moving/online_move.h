// Moves a store while it serves (moving_engine.h): copies everything in the background, again
// what has changed meanwhile, round by round, compares it, and changes over when little is
// left. As move.h has it, copying makes equal: a move that is interrupted goes on, and the
// commit point is one write, before which the old place is the truth, after it the new one.
//
// Bodies in the new place have numbers from the next multiple of 2^56 on that the old one
// will never give: the same one whenever this is started again.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_ONLINE_MOVE_H_
#define RESTANTE_SERVER_ENGINE_MOVING_ONLINE_MOVE_H_

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/steady_condition.h"
#include "server/engine/moving/comparison.h"
#include "server/engine/moving/copier.h"
#include "server/engine/moving/marks.h"
#include "server/engine/moving/moving_engine.h"

namespace restante::moving {

struct OnlineMoveOptions {
  Places places;
  // Opens the place it goes to: to be filled, as move.h has it, or to be served from.
  std::function<absl::StatusOr<std::unique_ptr<engine::Engine>>(bool to_serve)> open;
  // What was promised has so long to end, and changes that are under way; else it goes on
  // serving and changes over later.
  absl::Duration drain_patience = absl::Seconds(10), freeze_patience = absl::Seconds(5);
  // After that, and after an error.
  absl::Duration pause = absl::Seconds(30), after_error = absl::Minutes(5);
  // Partitions that are left for the moment of the change at most.
  size_t left_at_most = 64;
  // Ends the process where nobody can know what is true: the next start sees.
  std::function<void()> give_up = [] { std::_Exit(1); };
  // One line for operators, now and then.
  std::function<void(const std::string& line, bool error)> say = [](const std::string&, bool) {};
};

class OnlineMove {
 public:
  // Begins on a thread of its own. `engine` serves, and outlives it.
  OnlineMove(MovingEngine* engine, OnlineMoveOptions options);
  // Leaves it where it is, if it is not done.
  ~OnlineMove();

  bool done() const;

 private:
  void Run();
  // One attempt from the beginning to the end.
  absl::Status Attempt();
  absl::Status Prepare();
  absl::Status CopyAll();
  absl::Status CompareAll();
  // Copies what has changed, until little is left.
  absl::Status CatchUp();
  absl::Status CopyChanges(MovingEngine::Changes changes);
  absl::Status Inherit(engine::Inheritance inheritance);
  // False: what was promised did not end in time.
  absl::StatusOr<bool> ChangeOver();
  absl::Status Finish();
  // Partitions whose heads differ, which engines change by themselves, too.
  absl::Status FindOthers(std::set<engine::PartitionId>* found);
  absl::Status Stopped() const;
  bool Sleep(absl::Duration duration);

  MovingEngine* const engine_;
  const OnlineMoveOptions options_;

  // Of the attempt.
  std::unique_ptr<engine::Engine> to_;
  std::unique_ptr<MarkedMove> marked_;
  std::unique_ptr<Copier> copier_;
  std::unique_ptr<Comparison> comparison_;
  uint64_t first_number_ = 0;
  // To be compared when nobody changes them.
  std::set<engine::PartitionId> uncompared_;

  mutable absl::Mutex mutex_;
  SteadyCondition changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_ONLINE_MOVE_H_
