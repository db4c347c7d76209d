// A store moves house: from one engine to another, which takes its place.
//
// What the five promises need of a move:
//
//   A 354 is a promise   Reservations are nobody's any more when it is moved: no store is
//                        served while it is moved, and what the dead have left is settled
//                        before (Engine::BeAlone). Who was promised something hears 451,
//                        as from every store that ends.
//   A 250 is durable     Every entry and its body, octet by octet, before the commit point;
//                        compared before it, too, by reading both.
//   Numbers are exact    Heads are taken over as they are: usage, limits, UIDs, MODSEQ,
//                        UIDVALIDITY, the threshold reached. Readers go on where they were.
//                        Partitions keep their numbers, which receipts, addresses and events
//                        have in them; new ones are above all that were given
//                        (Inheritance::next_number).
//   All or none          A message that is committed is so in each of its mailboxes, for
//                        what is unfinished is finished before (BeAlone).
//   Once                 Receipts and tombstones of the last 24 h, and open receipts, with
//                        the store time that their ages are counted by: a commit that is
//                        repeated after the move is answered with its first receipt.
//
// Events keep their sequences, so whoever watches them goes on, too. Bodies get new
// numbers, which only entries know; those that several entries share are shared again,
// within a mailbox always, between mailboxes if they were copied among the last million.
// A place keeps its own id (of the data directory, of the cluster's mark): it says whose
// the files and objects are, and nobody outside sees it.
//
// Copying makes equal (Copier): what is there already is left, what differs is written,
// what is too much goes. So no list of what is done is kept that could be wrong: killed
// anywhere and run again, a move ends as if it had not been, even where the store was
// served in between (--stay). Looking at what is there costs a scan of the index.
//
// The commit point is one write: the mark in the place it leaves (house.h).
#ifndef RESTANTE_SERVER_ENGINE_MOVING_MOVE_H_
#define RESTANTE_SERVER_ENGINE_MOVING_MOVE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"

namespace restante::moving {

struct MoveProgress {
  bool comparing = false;  // Else copying.
  uint64_t mailboxes = 0, total_mailboxes = 0;
  // Of messages, each as often as mailboxes hold it.
  uint64_t octets = 0, total_octets = 0;
};

struct MoveOptions {
  // For people: `embedded:/srv/mail`, `rados:restante-index`. Say the same each time.
  std::string from, to;
  const Clock* clock = Clock::System();
  // Mailboxes that are copied at once.
  int width = 8;
  // Now and then, on one thread at a time.
  std::function<void(const MoveProgress&)> report = [](const MoveProgress&) {};
  // For tests: called where a crash would leave something, with the step's name.
  std::function<void(absl::string_view step)> at = [](absl::string_view) {};
};

struct Moved {
  uint64_t mailboxes = 0, messages = 0, octets = 0;
  uint64_t bodies = 0;  // Written by this run.
  uint64_t receipts = 0, events = 0;
};

// Moves the store in `from` to `to`, which is empty or holds what an earlier run of this
// move has left. Both are opened with no thresholds and endless retention, so that neither
// adds or drops anything. Blocks until it is done. When it is, `to` may be served, and
// `from` not any more; moved already, it says so by OK again.
//
// Errors are one line. kFailedPrecondition: `from` is moved elsewhere, or is itself not
// complete; `to` is not empty and not this move's; kUnavailable: somebody serves one of the
// two; kResourceExhausted: not enough room; kDataLoss: damage of `from`, with mailbox and
// UID, or a difference afterwards. Whatever it is, nothing of `from` is lost, and the
// same move goes on when it is started again.
absl::StatusOr<Moved> MoveStore(engine::Engine* from, engine::Engine* to, const MoveOptions& options);

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_MOVE_H_
