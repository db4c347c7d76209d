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
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
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
  // After that, twice as long each time up to 20 times; and after an error.
  absl::Duration pause = absl::Seconds(30), after_error = absl::Minutes(5);
  // Mailboxes that are copied at once.
  int width = 4;
  // Changes that are left for the moment of the change at most.
  uint64_t left_at_most = 200;
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
  // Copies and compares what has changed, until little is left. Before that no more than half
  // as much may come from round to round, so there is an end however fast it comes. False: it
  // does not get less even so.
  absl::StatusOr<bool> CatchUp();
  absl::Status CopyChanges(const MovingEngine::Changes& changes);
  // Those that differ, for they are changed meanwhile, are to be compared again.
  absl::Status Compare(const std::vector<engine::PartitionId>& mailboxes);
  absl::Status CompareOne(engine::PartitionId mailbox);
  absl::Status ForAll(const std::vector<engine::PartitionId>& partitions, absl::string_view what,
                      absl::FunctionRef<absl::Status(engine::PartitionId)> work);
  absl::Status Inherit(engine::Inheritance inheritance);
  // False: what was promised did not end in time.
  absl::StatusOr<bool> ChangeOver();
  absl::Status Finish();
  // Partitions whose heads differ, which engines change by themselves, too.
  absl::Status FindOthers(std::set<engine::PartitionId>* found);
  absl::Status Stopped() const;
  bool Sleep(absl::Duration duration);
  // Texts that were copied and compared.
  uint64_t Passed() const { return copier_->bodies() + comparison_->texts(); }
  // Lets in half as many changes as the round has copied, while it copies them.
  void Pace();

  MovingEngine* const engine_;
  const OnlineMoveOptions options_;

  // Of the attempt.
  std::unique_ptr<engine::Engine> to_;
  std::unique_ptr<MarkedMove> marked_;
  std::unique_ptr<Copier> copier_;
  std::unique_ptr<Comparison> comparison_;
  uint64_t first_number_ = 0;
  int64_t said_us_ = 0;  // When it was last said how far it is.
  // Of the round: so many changes may come while it goes on, and have been allowed by now.
  uint64_t may_come_ = 0, allowed_ = 0;
  uint64_t passed_before_ = 0;

  mutable absl::Mutex mutex_;
  // To be compared, and from which UID on the others have not been compared yet.
  std::set<engine::PartitionId> uncompared_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<engine::PartitionId, uint64_t> compared_ ABSL_GUARDED_BY(mutex_);
  SteadyCondition changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_ONLINE_MOVE_H_
