// What a step sees of a partition, and changes (partition.h).
#ifndef RESTANTE_SERVER_ENGINE_RADOS_DRAFT_H_
#define RESTANTE_SERVER_ENGINE_RADOS_DRAFT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "restante/stored/v1/cluster.pb.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shards.h"

namespace restante::rados {

// What a partition is, but for its keys.
struct PartitionState {
  bool exists = false;
  std::string seq;  // As the guard compares it.
  stored::Head head;
  stored::PartitionTail tail;
  Shards shards;
};

// What a step sees, and changes. Keys are those of the cluster (keys.h).
class Draft {
 public:
  PartitionId partition() const { return partition_; }
  PartitionState& state() { return state_; }
  // Read since the step was posted: a refusal may be founded on it.
  bool fresh() const { return fresh_; }
  // Changes whenever the state was read anew: what was true before may not be any more.
  uint64_t epoch() const { return epoch_; }

  // Whether the key, all keys with a prefix, or a fresh state is known; false: it will be
  // when the step runs the next time, and this run is to return false.
  bool Has(const std::string& key);
  bool HasAll(const std::string& prefix);
  bool IsFresh();
  // As Has, of a key that is hardly ever there: it counts as known, and as not there, and
  // the write proves that.
  bool ExpectNone(const std::string& key);

  // Of a key that is known; null: it does not exist.
  const std::string* Find(const std::string& key) const;
  // Ascending; of a prefix that is known.
  Rows All(const std::string& prefix) const;

  // The state was changed.
  void Touch() { touched_ = true; }
  void Put(const std::string& key, std::string value);
  void Erase(const std::string& key);
  // The key, which is known, is in a shard as it is here, or neither here nor there: its
  // row leaves the partition's own object.
  void Drop(const std::string& key);
  // The whole partition goes.
  void Remove();

 private:
  friend class Partition;
  struct Known {
    std::map<std::string, std::optional<std::string>> values;
    std::set<std::string> prefixes;
  };
  Draft(PartitionId partition, const PartitionState& state, const Known& known, bool fresh, bool expects,
        uint64_t epoch)
      : partition_(partition),
        state_(state),
        known_(known),
        fresh_(fresh),
        expects_(expects),
        epoch_(epoch) {}

  bool IsKnown(const std::string& key) const;

  const PartitionId partition_;
  PartitionState state_;
  const Known& known_;
  const bool fresh_;
  const bool expects_;  // Else ExpectNone is Has: it was wrong before.
  const uint64_t epoch_;
  bool touched_ = false, removed_ = false;
  std::map<std::string, std::optional<std::string>> changes_;
  std::set<std::string> dropped_;
  std::set<std::string> expected_none_;
  std::set<std::string> wanted_, wanted_prefixes_;
  bool wants_fresh_ = false;
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_DRAFT_H_
