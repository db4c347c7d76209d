// Bodies in the body pool: written in pieces while they arrive, immutable from then on.
//
// `body.<number>` holds the last octets (1 MiB at most) and, in its attribute `meta`, all
// that is known of the body; what is before them is in parts of 4 MiB,
// `body.<number>.<n>`. So a small body is one object and one write, which happens at its
// commit: then it is known whose it is. Parts without that object are garbage as soon as
// the run of the store that gave the number has ended.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_BODIES_H_
#define RESTANTE_SERVER_ENGINE_RADOS_BODIES_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "restante/stored/v1/cluster.pb.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {

namespace stored = ::restante::stored::v1;

// Octets that a checksum covers, that one write takes, and that a part holds.
inline constexpr uint64_t kBlockSize = uint64_t{64} << 10;
inline constexpr uint64_t kPieceSize = uint64_t{1} << 20;
inline constexpr uint64_t kPartSize = uint64_t{4} << 20;

class Bodies;

// The parts of a body that is not committed; they go with it.
class BodyParts {
 public:
  BodyParts(Bodies* bodies, BodyId id);
  ~BodyParts();

  const BodyId id;
  stored::BodyMeta meta;  // Without holders; checksums of what has arrived.
  std::string tail;       // Octets that are not written yet.
  uint64_t written = 0;   // Octets in parts.
  bool committed = false;

  // Counts octets that have arrived into meta and tail.
  void Take(absl::string_view octets);

 private:
  Bodies* const bodies_;
  uint32_t block_crc_ = 0;
};

class RadosBody : public engine::StagedBody {
 public:
  explicit RadosBody(std::shared_ptr<BodyParts> parts) : parts_(std::move(parts)) {}
  uint64_t size() const override { return parts_->meta.size(); }
  uint32_t crc32c() const override { return parts_->meta.crc32c(); }
  BodyId id() const override { return parts_->id; }
  const std::shared_ptr<BodyParts>& parts() const { return parts_; }

 private:
  const std::shared_ptr<BodyParts> parts_;
};

// A body as its object says, and the guard of its holders.
struct BodyState {
  bool exists = false;
  std::string seq;
  stored::BodyMeta meta;
};

// Any thread. Outlives its calls.
class Bodies {
 public:
  Bodies(Pool* pool, std::function<BodyId()> new_id) : pool_(pool), new_id_(std::move(new_id)) {}

  std::unique_ptr<engine::BodyWriter> NewBody();

  // Writes what is left of a body and says who holds it; without a transaction it comes
  // from another store. Its parts stay from then on only if `parts->committed` is set.
  Task<absl::Status> Seal(std::shared_ptr<BodyParts> parts, std::optional<TransactionId> transaction,
                          std::vector<uint64_t> holders);

  Task<absl::StatusOr<std::string>> Read(BodyId body, uint64_t offset, uint64_t length);
  Task<absl::StatusOr<BodyState>> ReadState(BodyId body);

  // Makes a mailbox a holder, also where it is one: a RemoveHolder that has begun before
  // fails. kNotFound: there is no such body (any more).
  Task<absl::Status> AddHolder(BodyId body, uint64_t mailbox);
  // Takes a holder away, and the body where it was the last; if the body is still as
  // `state` says, else kAborted.
  Task<absl::Status> RemoveHolder(BodyId body, uint64_t mailbox, BodyState state);
  // Removes all objects of a body.
  Task<absl::Status> Remove(BodyId body, uint64_t parts);

  // Whether this run of the store is writing the body.
  bool IsBeingWritten(BodyId body) const;
  Pool* pool() const { return pool_; }

 private:
  friend class BodyParts;
  class Writer;

  Task<absl::Status> WritePieces(std::shared_ptr<BodyParts> parts);
  void RemoveParts(BodyId body, uint64_t written);
  std::optional<stored::BodyMeta> CachedMeta(BodyId body);
  void CacheMeta(BodyId body, const stored::BodyMeta& meta);
  // Octets [from, to) of the body, within one object.
  Task<absl::StatusOr<std::string>> ReadStored(BodyId body, stored::BodyMeta meta, uint64_t from,
                                               uint64_t to);

  Pool* const pool_;
  const std::function<BodyId()> new_id_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_set<BodyId> being_written_ ABSL_GUARDED_BY(mutex_);
  // Of bodies read lately, the latest first; without holders, so that they stay true.
  std::list<std::pair<BodyId, stored::BodyMeta>> metas_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<BodyId, std::list<std::pair<BodyId, stored::BodyMeta>>::iterator> meta_of_
      ABSL_GUARDED_BY(mutex_);
};

// How many parts a body of so many octets before its tail has.
inline uint64_t PartsOf(uint64_t octets) { return (octets + kPartSize - 1) / kPartSize; }

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_BODIES_H_
