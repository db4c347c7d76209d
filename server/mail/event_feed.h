// The events of the store for those who follow them: what is kept, then what comes.
//
// Whoever waits costs a place in a map, no thread and no look at the engine.
#ifndef RESTANTE_SERVER_MAIL_EVENT_FEED_H_
#define RESTANTE_SERVER_MAIL_EVENT_FEED_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "restante/v1/store.pb.h"
#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

// As the API tells it.
v1::StoreEvent ToStoreEvent(const engine::stored::Event& event);

// Any thread. The engine outlives it.
class EventFeed {
 public:
  explicit EventFeed(engine::Engine* engine);
  ~EventFeed();

  // Rises when there may be more to read. Taken before Read, so that Wait misses none.
  uint64_t rung() const;
  // Which are kept; without any.
  Task<absl::StatusOr<engine::EventPage>> Kept();
  // As Engine::ReadEvents, but kOutOfRange where events behind `after` are no longer
  // kept, or `after` is in the future.
  Task<absl::StatusOr<engine::EventPage>> Read(uint64_t after, size_t limit);

  // Calls `done`, once, with true when rung() is above `seen`, or with false when the
  // feed stops or the wait is cancelled. Returns its number.
  uint64_t Wait(uint64_t seen, absl::AnyInvocable<void(bool)> done);
  void Cancel(uint64_t wait);
  // Ends all waits, and those to come.
  void Stop();
  bool stopped() const;

  // Up to which event a consumer is done, over restarts; nullopt: it is new.
  Task<absl::StatusOr<std::optional<uint64_t>>> CursorOf(absl::string_view consumer);
  // Durable when done.
  Task<absl::Status> SetCursor(absl::string_view consumer, uint64_t sequence);

 private:
  struct State {
    void Ring();

    absl::Mutex mutex;
    uint64_t rung ABSL_GUARDED_BY(mutex) = 1;
    bool stopped ABSL_GUARDED_BY(mutex) = false;
    uint64_t last_wait ABSL_GUARDED_BY(mutex) = 0;
    absl::flat_hash_map<uint64_t, absl::AnyInvocable<void(bool)>> waits ABSL_GUARDED_BY(mutex);
  };

  engine::Engine* const engine_;
  // The engine's last call may come late.
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_EVENT_FEED_H_
