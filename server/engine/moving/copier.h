// Makes partitions of one store equal to those of another.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_COPIER_H_
#define RESTANTE_SERVER_ENGINE_MOVING_COPIER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/engine.h"

namespace restante::moving {

class Copier {
 public:
  // Both outlive it. Nobody else changes `to`. `wrote` is called after each step.
  Copier(engine::Engine* from, engine::Engine* to, std::function<void()> wrote)
      : from_(from), to_(to), wrote_(std::move(wrote)) {}

  // Makes the partition in `to` what it is in `from`: head, keys and bodies; one that is
  // not in `from` goes. Only what differs is written, so that it costs little to do it
  // again: what is interrupted is done by the next call, and what changes in `from`
  // meanwhile is, too. Any thread, but for one partition at a time; domains go before
  // their mailboxes.
  //
  // kDataLoss: a body is damaged, or `to` holds something else: mailbox and UID are named.
  // kResourceExhausted: `to` is full.
  absl::Status Copy(engine::PartitionId partition);

  // Octets of messages that Copy has copied, or found to be there.
  uint64_t passed_octets() const { return passed_octets_; }
  // Bodies written and shared.
  uint64_t bodies() const { return bodies_; }

 private:
  struct Batch;

  absl::Status Erase(engine::PartitionId partition);
  absl::Status CopyOnce(engine::PartitionId partition, const engine::stored::Head& head, uint64_t until_uid);
  absl::Status AddEntry(Batch& batch, const std::string& key, const std::string& value,
                        const std::string* there);
  absl::Status BringBodies(Batch& batch);
  // Writes a body of `from` into `to`, where nothing names it yet.
  absl::StatusOr<std::unique_ptr<engine::StagedBody>> CopyBody(const engine::stored::Entry& entry);
  absl::Status Write(Batch& batch);
  absl::Status AwaitRoom(uint64_t bytes);
  std::optional<engine::BodyId> Known(uint64_t body);
  void Know(uint64_t body, engine::BodyId copy);
  void Forget(uint64_t body);

  engine::Engine* const from_;
  engine::Engine* const to_;
  const std::function<void()> wrote_;
  std::atomic<uint64_t> passed_octets_{0}, bodies_{0};

  // Bodies copied lately, so that mailboxes go on sharing them; and in which order.
  absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, engine::BodyId> known_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint64_t> known_order_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_COPIER_H_
