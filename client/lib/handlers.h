// The calls that a client makes of its handlers: on its executor, one after another,
// and none any more once it is closed.
#ifndef RESTANTE_CLIENT_LIB_HANDLERS_H_
#define RESTANTE_CLIENT_LIB_HANDLERS_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "client/lib/deliver_stream.h"
#include "client/lib/gate.h"
#include "server/base/strand.h"

namespace restante::client_internal {

// Any thread.
class Handlers : public std::enable_shared_from_this<Handlers> {
 public:
  // As ClientOptions::executor.
  explicit Handlers(std::function<void(absl::AnyInvocable<void()>)> executor)
      : executor_(std::move(executor)) {}

  // Runs `fn` on the executor, unless closed by then.
  void Post(absl::AnyInvocable<void()> fn);

  // Runs `fn` once the caller's event loop has done what it is at, or at once.
  void Soon(absl::AnyInvocable<void()> fn);

  // Answers of one response, each with its transaction.
  void Answers(std::vector<std::pair<StatePtr, v1::Answer>> answers);
  void Lost(StatePtr transaction, absl::Status why, bool commit_sent);

  // No call is running or follows, but for one that this is called from; returns
  // whether it is.
  bool Close() { return gate_.Close(); }
  // What one of them has to ask, before the next is called in the same Post.
  bool closed() const { return gate_.closed(); }

 private:
  const std::function<void(absl::AnyInvocable<void()>)> executor_;
  Strand strand_;  // The default executor.
  Gate gate_;
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_HANDLERS_H_
