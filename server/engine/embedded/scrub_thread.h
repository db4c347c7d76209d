// When scrubs run, and what is known of the last one.
//
// One runs at a time, on a thread of its own: the background's, slowly, whenever
// the interval has passed since the last began; or one that somebody asked for,
// for which the background's stands back, for it reads the same. The background's
// goes on where it was after a restart.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_SCRUB_THREAD_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_SCRUB_THREAD_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "restante/stored/v1/stored.pb.h"
#include "server/base/steady_condition.h"
#include "server/engine/upkeep.h"

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

// How far a scrub is: everything in the parts before, and in this one up to that
// number, is done.
struct ScrubPlace {
  enum Part : uint32_t { kIndex = 0, kSegments = 1, kBodyFiles = 2 };
  uint32_t part = kIndex;
  uint64_t after = 0;
};

// One scrub.
struct ScrubOrder {
  uint64_t bytes_per_second = 0;  // 0: as fast as it goes.
  ScrubPlace from;
  engine::UpkeepReport report;
  std::function<void(ScrubPlace)> reached;
};

class ScrubThread {
 public:
  struct Options {
    // Of store time, between the beginnings of two; zero: none in the background.
    absl::Duration interval;
    uint64_t bytes_per_second = 0;
    absl::Duration poll;
  };
  // All on the thread.
  struct Callbacks {
    std::function<absl::Status(const ScrubOrder&)> scrub;
    std::function<uint64_t()> store_time_s;
    std::function<int64_t()> wall_us;
    std::function<void(const stored::ScrubRecord&)> save;
    std::function<void(const engine::Damage&)> found;
    std::function<void(const engine::ScrubResult&)> ended;
  };
  ScrubThread(Options options, stored::ScrubRecord record, Callbacks callbacks);
  // Ends what runs with kCancelled.
  ~ScrubThread();

  // As Engine::Scrub.
  void Scrub(uint64_t bytes_per_second, engine::UpkeepReport report,
             absl::AnyInvocable<void(absl::Status)> done);
  std::optional<engine::ScrubResult> Last() const;

  struct Figures {
    bool running = false;
    uint64_t ended = 0;  // Since the start.
    uint64_t bytes = 0;  // Of the one that runs, or ran last.
    uint64_t damages = 0;
  };
  Figures figures() const;

 private:
  struct Request {
    uint64_t bytes_per_second = 0;
    engine::UpkeepReport report;
    absl::AnyInvocable<void(absl::Status)> done;
  };

  void Run();
  bool Due() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunRequest(Request request);
  void RunInBackground();
  // Adds what a report tells to `so_far`.
  void Note(const engine::UpkeepProgress& progress, stored::ScrubRecord::Result* so_far);
  void End(stored::ScrubRecord::Result result, int64_t began_us);

  const Options options_;
  const Callbacks callbacks_;

  mutable absl::Mutex mutex_;
  SteadyCondition changed_;  // request_ or stopping_ is set.
  std::optional<Request> request_ ABSL_GUARDED_BY(mutex_);
  bool requested_ ABSL_GUARDED_BY(mutex_) = false;  // One waits or runs.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Figures figures_ ABSL_GUARDED_BY(mutex_);
  stored::ScrubRecord record_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_SCRUB_THREAD_H_
