// Shards as they lie in the index pool, without any engine.
#ifndef RESTANTE_TESTS_CLUSTER_SHARD_OBJECTS_H_
#define RESTANTE_TESTS_CLUSTER_SHARD_OBJECTS_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "server/engine/rados/cluster.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/shards.h"

namespace restante::rados {

// One thread. What cannot be done fails the test.
class ShardObjects {
 public:
  ShardObjects(const std::string& conf, const std::string& name_space);

  // Of a partition: its list, empty where it has none; the names of the shards that it
  // reads; rows that stand in its own object.
  stored::ShardList ListOf(PartitionId partition);
  std::set<std::string> NamedBy(PartitionId partition);
  uint64_t OwnRows(PartitionId partition);

  std::set<std::string> All();
  // Those of which no partition knows.
  std::set<std::string> Strays();
  void Remove(const std::string& shard);

  Pool* pool() { return index_.get(); }

 private:
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<Pool> index_;
};

}  // namespace restante::rados

#endif  // RESTANTE_TESTS_CLUSTER_SHARD_OBJECTS_H_
