// A question for room in a mailbox, and its answer.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_ENGINE_ASKING_H_
#define RESTANTE_SERVER_ENGINE_RADOS_ENGINE_ASKING_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/rados/engine_impl.h"

namespace restante::rados {

// What is asked of a mailbox, and what its state says to it.
struct RadosEngine::Asking {
  // The question.
  std::optional<TransactionId> transaction;  // None: only asked, nothing is reserved.
  uint64_t attempt = 0;
  uint64_t mailbox = 0;
  uint64_t bytes = 0, at_least = 0;
  bool exempt = false, firm = false;
  bool grace = false;
  bool another_message = true, another_delivery = true;
  bool first = false;         // The transaction holds nothing there, as far as is known here.
  bool confirming = false;    // What is held stays as it is, and is firm.
  bool only_growing = false;  // Where nothing is held nothing is asked.
  std::optional<stored::DomainHead> domain;
  uint64_t domain_number = 0;

  // The answer of the last run: one of these.
  std::optional<ReserveResult> result;
  absl::Status status;
  bool other_domain = false;
  std::optional<Raise> raise;
  std::vector<TransactionId> taken;  // Of this store.
  // Reservations of other stores that are being taken.
  std::vector<std::pair<TransactionId, stored::Reservation>> taking;
  // Reservations of other stores that stand in the way.
  std::vector<std::pair<TransactionId, stored::Reservation>> foreign;
  uint64_t own_bytes = 0;
  uint64_t least = 0;       // What was needed, with what is held already.
  bool takes_less = false;  // The domain has no more than it gave.
  bool has_own = false;
  bool busy = false;  // The transaction is another store's, or another attempt's.
};

// The error of a transaction whose reservation another store has taken.
absl::Status TakenAway(const TransactionId& id);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_ENGINE_ASKING_H_
