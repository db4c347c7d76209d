// Whether two stores hold the same.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_COMPARISON_H_
#define RESTANTE_SERVER_ENGINE_MOVING_COMPARISON_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/engine.h"

namespace restante::moving {

// Compares `to` with `from`, which nobody changes meanwhile. Each function returns
// kDataLoss, one line that names partition, key or UID, where they differ; any thread.
class Comparison {
 public:
  Comparison(engine::Engine* from, engine::Engine* to) : from_(from), to_(to) {}

  // Heads, keys, and every octet of every body; of a mailbox that was compared before, those
  // of its messages from a UID on. An entry keeps its body as long as it is there.
  absl::Status Compare(engine::PartitionId partition, uint64_t from_uid = 0);
  // While it is changed: the texts of messages with these UIDs, as far as they are in both.
  absl::Status CompareTexts(engine::PartitionId mailbox, uint64_t from_uid, uint64_t until_uid);
  // Receipts that are old enough to go soon may be gone in one of the two already.
  absl::Status CompareReceipts();
  // All of `from`, with their sequences; `to` may have more behind them.
  absl::Status CompareEvents();

  uint64_t passed_octets() const { return passed_octets_; }
  uint64_t messages() const { return messages_; }
  // Whose octets were compared.
  uint64_t texts() const { return texts_; }

 private:
  struct Pair {
    std::string name;
    engine::BodyId one, other;
    uint64_t size;
  };

  absl::Status CompareBodies(engine::BodyId one, engine::BodyId other, uint64_t size);
  // Some at once; none is left in `pairs`. Ones that are gone meanwhile are kNotFound, or
  // passed over.
  absl::Status CompareBodies(std::vector<Pair>& pairs, bool may_be_gone);

  engine::Engine* const from_;
  engine::Engine* const to_;
  std::atomic<uint64_t> passed_octets_{0}, messages_{0}, texts_{0};
};

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_COMPARISON_H_
