// The marks that a move leaves (house.h): who may be served, and where the other place is.
// All of it blocks.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_MARKS_H_
#define RESTANTE_SERVER_ENGINE_MOVING_MARKS_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"

namespace restante::moving {

// HOME where there is none.
absl::StatusOr<engine::stored::House> ReadHouse(engine::Engine* engine);
absl::Status WriteHouse(engine::Engine* engine, const engine::stored::House& house);

// Before a store is served: kFailedPrecondition if it must not be, here.
absl::Status CheckServed(engine::Engine* engine);

// Whether there is nothing in it: no domain, no mailbox, no key. kFailedPrecondition: there
// is, and how much.
absl::Status CheckEmpty(engine::Engine* engine);

// Gives up a move: the store may be served from this place again. Where the mark says
// MOVED_OUT it has another life elsewhere, where UIDs of this one may have been given to
// other messages: the caller gives new UIDVALIDITYs before. kFailedPrecondition: the store
// is not being moved from here, nor was it.
absl::Status Stay(engine::Engine* engine, const Clock* clock);

// The places of a move.
struct Places {
  // For people: `embedded:/srv/mail`, `rados:restante-index`. Say the same each time.
  std::string from, to;
  const Clock* clock = Clock::System();
  // For tests: called after each mark, with its name.
  std::function<void(absl::string_view step)> at = [](absl::string_view) {};
};

// The marks of one move, from the first to the last.
class MarkedMove {
 public:
  MarkedMove(engine::Engine* from, engine::Engine* to, Places places)
      : from_(from), to_(to), places_(std::move(places)) {}

  // Marks both, and waits until nobody else uses them. Errors as MoveStore has them, and
  // then what was marked by this call is not any more.
  absl::Status Begin();
  // Whether the commit point is past, by an earlier run.
  bool complete() const { return complete_; }
  // The same place, opened again.
  void Reopened(engine::Engine* to) { to_ = to; }
  // The commit point: `from` is served no more.
  absl::Status Commit();
  // And `to` is.
  absl::Status Arrive();

 private:
  absl::Status Mark();
  absl::Status CheckRoom();
  absl::Status BeAlone();
  absl::Status Set(engine::Engine* engine, engine::stored::House::State state, const std::string& other);

  engine::Engine* const from_;
  engine::Engine* to_;
  const Places places_;
  bool complete_ = false;
  std::string move_;
  engine::stored::House source_before_, target_before_;
};

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_MARKS_H_
