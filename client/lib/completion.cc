#include "client/lib/completion.h"

#include <grpcpp/completion_queue.h>

#include <memory>
#include <thread>

namespace restante::client_internal {
namespace {

class FunctionCompletion final : public Completion {
 public:
  explicit FunctionCompletion(absl::AnyInvocable<void(bool)> fn) : fn_(std::move(fn)) {}
  void Complete(bool ok) override {
    const std::unique_ptr<FunctionCompletion> self(this);
    fn_(ok);
  }

 private:
  absl::AnyInvocable<void(bool)> fn_;
};

}  // namespace

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

Completion* WhenComplete(absl::AnyInvocable<void(bool ok)> fn) {
  return new FunctionCompletion(std::move(fn));
}

}  // namespace restante::client_internal
