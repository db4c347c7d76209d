// The unary calls to one store that are under way; they can be given up all at once.
#ifndef RESTANTE_CLIENT_LIB_CALLS_H_
#define RESTANTE_CLIENT_LIB_CALLS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <chrono>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/lib/channel.h"
#include "client/lib/completion.h"
#include "client/lib/grpc_status.h"
#include "restante/v1/delivery.grpc.pb.h"
#include "server/base/steady_condition.h"

namespace restante::client_internal {

// Any thread.
class Calls : public std::enable_shared_from_this<Calls> {
 public:
  using Stub = v1::DeliveryService::Stub;
  template <typename Response>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;
  template <typename Request, typename Response>
  using Method = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*)(grpc::ClientContext*,
                                                                                      const Request&,
                                                                                      grpc::CompletionQueue*);

  // Calls once. With `wait` gRPC holds the call until it is connected. `done` runs later,
  // on the completion queue's thread.
  template <typename Request, typename Response>
  void Ask(Stub& stub, Channels& channels, Method<Request, Response> method, const Request& request,
           std::chrono::milliseconds deadline, bool wait, Done<Response> done) {
    struct Call {
      grpc::ClientContext context;
      std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
      Response response;
      grpc::Status status;
    };
    auto call = std::make_shared<Call>();
    call->context.set_wait_for_ready(wait);
    call->context.set_deadline(std::chrono::system_clock::now() + deadline);
    channels.Authenticate(&call->context);
    Begun(&call->context);
    call->reader = (stub.*method)(&call->context, request, CompletionQueue());
    call->reader->Finish(
        &call->response, &call->status,
        WhenComplete([self = shared_from_this(), call, done = std::move(done)](bool) mutable {
          self->Ended(&call->context);
          absl::StatusOr<Response> result = std::move(call->response);
          if (!call->status.ok()) result = ToStatus(call->status);
          // Before what `done` keeps: a channel outlives its calls.
          call = nullptr;
          done(std::move(result));
        }));
  }

  // Cancels those that are under way, and all that come.
  void CancelAll() {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* context : under_way_) context->TryCancel();
  }

  // Waits until none is under way, for so long at most; whether that came to pass.
  bool AwaitNone(absl::Duration limit) {
    absl::MutexLock lock(&mutex_);
    return ended_.AwaitFor(&mutex_, limit, [this] { return under_way_.empty(); });
  }

 private:
  void Begun(grpc::ClientContext* context) {
    absl::MutexLock lock(&mutex_);
    under_way_.insert(context);
    if (cancelled_) context->TryCancel();
  }
  void Ended(grpc::ClientContext* context) {
    absl::MutexLock lock(&mutex_);
    under_way_.erase(context);
    ended_.Changed();
  }

  absl::Mutex mutex_;
  absl::flat_hash_set<grpc::ClientContext*> under_way_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition ended_;
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CALLS_H_
