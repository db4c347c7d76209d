// Tags of a completion queue of gRPC, of whoever has one.
#ifndef RESTANTE_SERVER_BASE_COMPLETION_H_
#define RESTANTE_SERVER_BASE_COMPLETION_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace restante {

// The tag of an operation, which lives until it is complete.
class Completion {
 public:
  virtual ~Completion() = default;
  // On a thread of the queue. `ok` is what gRPC says of the operation.
  virtual void Complete(bool ok) = 0;
};

// Runs a function once, and goes.
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

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_COMPLETION_H_
