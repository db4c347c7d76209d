// How much room the cluster has for bodies, as its manager last reported it.
//
// A report is some five seconds old. What this store has written since counts as well;
// what others have is what the watermark leaves room for: it stands below the cluster's
// `nearfull`, of the fullest OSD, for one that runs dry takes the whole cluster with it.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_CLUSTER_ROOM_H_
#define RESTANTE_SERVER_ENGINE_RADOS_CLUSTER_ROOM_H_

#include <google/protobuf/struct.pb.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/steady_condition.h"
#include "server/engine/rados/cluster.h"

namespace restante::rados {

// Octets of bodies, as they are charged.
struct Room {
  uint64_t used = 0;
  uint64_t limit = 0;  // Used, and what may still be.
};

struct RoomPools {
  std::string index, body;  // Names.
};

// What `ceph df` and `ceph osd dump` say of the pool of bodies; none where that of the index
// is full. kUnavailable where they say nothing, as without a manager.
absl::StatusOr<Room> RoomOf(const google::protobuf::Value& df, const google::protobuf::Value& osd_dump,
                            const RoomPools& pools);

// Asks every two seconds, on a thread of its own, for the monitors may be silent.
class ClusterRoom {
 public:
  // `stored`: octets that this store has put away so far, less what it has removed.
  ClusterRoom(Cluster* cluster, RoomPools pools, std::function<int64_t()> stored);
  ~ClusterRoom();

  // kUnavailable: there was no report for a minute.
  absl::StatusOr<Room> Get() const;

 private:
  void Run();
  absl::StatusOr<Room> Ask();

  Cluster* const cluster_;
  const RoomPools pools_;
  const std::function<int64_t()> stored_;
  google::protobuf::Value osd_dump_;
  int64_t osd_dump_us_ = 0;

  mutable absl::Mutex mutex_;
  SteadyCondition changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Room> room_ ABSL_GUARDED_BY(mutex_);
  int64_t room_us_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status why_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("the cluster's room is not known yet");
  // What was stored when the last reports came, oldest first; the report may know of the
  // first only.
  std::deque<int64_t> stored_at_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_CLUSTER_ROOM_H_
