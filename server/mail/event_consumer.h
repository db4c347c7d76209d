// Hands every event to somebody, in order, at least once, over restarts.
//
// How far it has come is durable. It begins with what happens from its first start on.
// An event that cannot be handled holds up those behind it, and is tried again, at
// longer and longer intervals, for as long as it is kept.
#ifndef RESTANTE_SERVER_MAIL_EVENT_CONSUMER_H_
#define RESTANTE_SERVER_MAIL_EVENT_CONSUMER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/repeated_warning.h"
#include "server/base/steady_condition.h"
#include "server/mail/event_feed.h"

namespace restante::mail {

class EventConsumer {
 public:
  struct Options {
    std::string name;  // Of the cursor, and in the log; for ever.
    absl::Duration first_pause = absl::Seconds(1);
    absl::Duration longest_pause = absl::Minutes(5);
  };
  // On the consumer's own thread; may block.
  using Handle = std::function<absl::Status(const engine::stored::Event&)>;

  // `feed` outlives it.
  EventConsumer(EventFeed* feed, Options options, Handle handle);
  // Waits for a Handle that runs, not for a pause.
  ~EventConsumer();

  struct Figures {
    uint64_t handled = 0, failed = 0;  // Calls of Handle since the start.
    uint64_t dropped = 0;              // Events that were gone before their turn.
    uint64_t backlog = 0;              // Events that are still to be handled.
  };
  Figures figures() const;

 private:
  struct Bell {
    absl::Mutex mutex;
    SteadyCondition changed;
    bool rung ABSL_GUARDED_BY(mutex) = false;
    bool stopping ABSL_GUARDED_BY(mutex) = false;
  };

  void Run();
  bool Stopping() const;
  // Until it is over, or the consumer ends.
  void Pause();
  void AwaitMore(uint64_t seen);
  absl::StatusOr<uint64_t> Begin();
  // Reads and handles what there is; whether there was any.
  absl::StatusOr<bool> Step();
  absl::Status HandleAll(const engine::EventPage& page);
  absl::Status Save();

  EventFeed* const feed_;
  const Options options_;
  const Handle handle_;
  // The feed's last call may come late.
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();

  mutable absl::Mutex mutex_;
  Figures figures_ ABSL_GUARDED_BY(mutex_);
  uint64_t done_ ABSL_GUARDED_BY(mutex_) = 0;  // Up to this event.

  // The thread's own.
  uint64_t saved_ = 0;
  absl::Duration pause_;
  std::minstd_rand random_{std::random_device()()};
  RepeatedWarning trouble_;
  std::thread thread_;
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_EVENT_CONSUMER_H_
