// What waits for gRPC in this process, and the one thread that does the waiting.
//
// gRPC's callback API has two threads or more. Of all threads that wait in a
// process, one polls, and whenever it has something to do it first wakes the next
// to poll: a switch for every message, whichever of them it is for. So what is on
// the path of a message goes by a completion queue of our own with a single
// thread, and nothing beside it uses callbacks.
#ifndef RESTANTE_CLIENT_LIB_COMPLETION_H_
#define RESTANTE_CLIENT_LIB_COMPLETION_H_

#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "server/base/completion.h"

namespace grpc {
class CompletionQueue;
}

namespace restante::client_internal {

// A tag that calls a member function of the object that it is a member of.
template <typename Owner>
class MemberCompletion final : public Completion {
 public:
  using Member = void (Owner::*)(bool ok);
  MemberCompletion(Owner* owner, Member member) : owner_(owner), member_(member) {}
  void Complete(bool ok) override { (owner_->*member_)(ok); }

 private:
  Owner* const owner_;
  const Member member_;
};

// The queue, for the life of the process.
grpc::CompletionQueue* CompletionQueue();

// Runs `fn`, and then completes on this thread what gRPC has ended on it meanwhile, so
// that the queue's thread is not woken for it. One operation at most: for what `fn`
// begins and gRPC often ends at once, as a write.
void CompleteHere(absl::FunctionRef<void()> fn);

// A tag that runs `fn` and goes.
Completion* WhenComplete(absl::AnyInvocable<void(bool ok)> fn);

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_COMPLETION_H_
