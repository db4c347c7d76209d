#include "client/lib/completion.h"

#include <grpc/grpc.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/codegen/completion_queue_tag.h>

#include <thread>

namespace restante::client_internal {
grpc::CompletionQueue* CompletionQueue() {
  // Never taken down: a client may go while one of its operations completes, and
  // the last of them would wait here for its own thread.
  static grpc::CompletionQueue* const queue = [] {
    auto* const q = new grpc::CompletionQueue;
    std::thread([q] {
      void* tag;
      bool ok;
      while (q->Next(&tag, &ok)) static_cast<Completion*>(tag)->Complete(ok);
    }).detach();
    return q;
  }();
  return queue;
}

void CompleteHere(absl::FunctionRef<void()> fn) {
  // As CompletionQueue::DoThenAsyncNext, which would go on to poll: that is for the
  // queue's thread.
  grpc_completion_queue* const queue = CompletionQueue()->cq();
  grpc_completion_queue_thread_local_cache_init(queue);
  fn();
  void* tag = nullptr;
  int succeeded = 0;
  if (grpc_completion_queue_thread_local_cache_flush(queue, &tag, &succeeded) == 0) return;
  bool ok = succeeded != 0;
  if (static_cast<grpc::internal::CompletionQueueTag*>(tag)->FinalizeResult(&tag, &ok)) {
    static_cast<Completion*>(tag)->Complete(ok);
  }
}

Completion* WhenComplete(absl::AnyInvocable<void(bool ok)> fn) {
  return new FunctionCompletion(std::move(fn));
}

}  // namespace restante::client_internal
