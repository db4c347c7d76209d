// A RADOS cluster, and operations on its objects: asynchronous, each answered once.
//
// All changes of one write operation happen together, durably on the pool's `min_size`
// replicas when it is answered, or not at all; comparisons in it guard it. No operation
// has a time-out: a time-out would not be a "no", for the write may be applied later.
//
// Answers come on librados' own threads.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_CLUSTER_H_
#define RESTANTE_SERVER_ENGINE_RADOS_CLUSTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/base/histogram.h"
#include "server/base/task.h"
#include "server/engine/rados/librados.h"

namespace restante::rados {

using Rows = std::vector<std::pair<std::string, std::string>>;

// What is done to one object, in this order; the object need not exist unless said.
class WriteOp {
 public:
  explicit WriteOp(const Librados* library);
  ~WriteOp();
  WriteOp(WriteOp&& other) noexcept;
  WriteOp(const WriteOp&) = delete;
  WriteOp& operator=(const WriteOp&) = delete;

  // With `exclusive` EEXIST where it exists already.
  WriteOp& Create(bool exclusive);
  WriteOp& AssertExists();  // Else ENOENT.
  // Else ECANCELED, or ENOENT where there is no such object; an attribute or key that is
  // not there counts as empty.
  WriteOp& CompareXattr(const char* name, absl::string_view value);
  WriteOp& CompareOmap(absl::string_view key, absl::string_view value);

  WriteOp& SetXattr(const char* name, absl::string_view value);
  WriteOp& SetOmap(const Rows& rows);
  WriteOp& EraseOmap(const std::vector<std::string>& keys);
  WriteOp& Write(absl::string_view octets, uint64_t offset);
  WriteOp& Remove();

 private:
  friend class Pool;
  const Librados* library_;
  rados_write_op_t op_;
};

// What is asked of one object, at one moment.
class ReadOp {
 public:
  explicit ReadOp(const Librados* library);

  ReadOp& CompareXattr(const char* name, absl::string_view value);  // Else ECANCELED.
  ReadOp& Xattrs();
  // Those of the keys that exist.
  ReadOp& Omap(const std::vector<std::string>& keys);
  // Keys after `after`, all with `prefix`, ascending; fewer than `limit` though there are
  // more, for an answer holds 1024 at most: ObjectRead::more tells. No octet of either
  // string is 0.
  ReadOp& OmapAfter(const std::string& after, const std::string& prefix, uint64_t limit);
  ReadOp& Read(uint64_t offset, uint64_t length);

 private:
  friend class Pool;
  friend struct ReadState;
  struct Release {
    const Librados* library;
    void operator()(void* op) const { library->release_read_op(op); }
  };
  const Librados* library_;
  std::unique_ptr<void, Release> op_;
  std::shared_ptr<struct ReadState> state_;
};

struct ObjectRead {
  int result = 0;  // 0 or a negative errno; the rest is of no use then.
  std::map<std::string, std::string> xattrs;
  std::map<std::string, std::string> omap;  // Of ReadOp::Omap.
  Rows rows;                                // Of ReadOp::OmapAfter.
  bool more = false;
  std::string octets;
};

class Cluster;

// A pool in a namespace of ours.
class Pool {
 public:
  Pool(Cluster* cluster, rados_ioctx_t ioctx) : cluster_(cluster), ioctx_(ioctx) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  WriteOp NewWrite() const;
  ReadOp NewRead() const;

  // `done` gets 0 or a negative errno. `frees`: goes on where the cluster is full.
  void Write(const std::string& object, WriteOp op, bool frees, absl::AnyInvocable<void(int)> done);
  void Read(const std::string& object, ReadOp op, absl::AnyInvocable<void(ObjectRead)> done);

  Await<int> Write(const std::string& object, WriteOp op, bool frees = false);
  Await<ObjectRead> Read(const std::string& object, ReadOp op);

  // Names of all objects, in no order. Blocks; for sweeps on a thread of their own.
  absl::Status List(const std::function<void(absl::string_view name)>& each);

  Cluster* cluster() const { return cluster_; }
  rados_ioctx_t ioctx() const { return ioctx_; }

 private:
  Cluster* const cluster_;
  const rados_ioctx_t ioctx_;
};

struct ClusterOptions {
  std::string conf;               // Path of ceph.conf.
  std::string user;               // Without `client.`.
  std::string keyring;            // Path; empty: as the conf says.
  std::string name_space;         // Of objects in the pools.
  uint32_t connect_seconds = 10;  // How long is waited for a monitor, also later on.
};

class Cluster {
 public:
  // Blocks until connected. Errors name the file, user or monitors.
  static absl::StatusOr<std::unique_ptr<Cluster>> Connect(const ClusterOptions& options);
  // Waits for all operations under way. Pools go before.
  ~Cluster();

  // kNotFound: no such pool.
  absl::StatusOr<std::unique_ptr<Pool>> OpenPool(const std::string& name);

  // Waits until no operation is under way.
  void AwaitIdle();

  // For how many microseconds the oldest operation has been waiting; 0: none is.
  int64_t WaitingMicros() const;
  // How long those took that were answered, in seconds.
  Histogram::Values write_seconds() const;
  Histogram::Values read_seconds() const;
  // Whether the cluster has refused this client (it was blocklisted): no operation will
  // succeed any more.
  bool fenced() const { return fenced_; }

  const Librados* library() const { return library_; }
  rados_t handle() const { return handle_; }

 private:
  friend class Pool;
  friend struct WriteCall;
  friend struct ReadCall;
  using Started = std::list<int64_t>;
  static std::vector<double> Bounds();

  Cluster(const Librados* library, ClusterOptions options, rados_t handle)
      : library_(library), options_(std::move(options)), handle_(handle) {}
  Started::iterator Begin();
  void End(Started::iterator operation, int result, int64_t answered_us, bool write);

  const Librados* const library_;
  const ClusterOptions options_;
  const rados_t handle_;
  std::atomic<bool> fenced_{false};
  mutable absl::Mutex mutex_;
  Started started_ ABSL_GUARDED_BY(mutex_);  // When, monotonic; oldest first.
  Histogram write_seconds_ ABSL_GUARDED_BY(mutex_){Bounds()};
  Histogram read_seconds_ ABSL_GUARDED_BY(mutex_){Bounds()};
};

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_CLUSTER_H_
