// grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
#ifndef RESTANTE_SERVER_RPC_HEALTH_H_
#define RESTANTE_SERVER_RPC_HEALTH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.pb.h"
#include "server/base/task.h"
#include "server/rpc/call.h"

namespace restante::rpc {

// All services have one state. SERVING at first. Any thread may call.
class Health {
 public:
  // Full names; the empty name, for the server as a whole, is known besides.
  explicit Health(std::vector<std::string> services) : services_(std::move(services)) {}

  // NOT_SERVING from now on; a Watch ends once it has told that.
  void Stop();

  static Task<absl::Status> Check(Health* health, const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response);
  static Task<absl::Status> Watch(Health* health, Call& call,
                                  const grpc::health::v1::HealthCheckRequest* request);

 private:
  bool Knows(const std::string& service) const;
  bool Stopping();
  // Until Stop is called, or the caller of `call` goes.
  Await<bool> Change(Call& call);
  void Wake(uint64_t waiter);

  const std::vector<std::string> services_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_waiter_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, absl::AnyInvocable<void(bool)>> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_HEALTH_H_
