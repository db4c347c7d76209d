// A call that was begun and is awaited later, or by nobody.
#ifndef RESTANTE_SERVER_BASE_BEGUN_H_
#define RESTANTE_SERVER_BASE_BEGUN_H_

#include <atomic>
#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace restante {

// Awaited once at most. What answers may do so when this is gone.
template <typename T>
class [[nodiscard]] Begun {
 public:
  using Done = absl::AnyInvocable<void(T)>;

  // Calls `start` at once, which calls what it is given, once.
  explicit Begun(absl::AnyInvocable<void(Done)> start) : state_(std::make_shared<State>()) {
    start([state = state_](T result) {
      state->result.emplace(std::move(result));
      if (state->met.exchange(true, std::memory_order_acq_rel)) state->waiter.resume();
    });
  }
  Begun(Begun&&) noexcept = default;
  Begun& operator=(Begun&&) noexcept = default;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    state_->waiter = waiter;
    return !state_->met.exchange(true, std::memory_order_acq_rel);
  }
  T await_resume() { return *std::move(state_->result); }

 private:
  struct State {
    // Who comes second, the result or who waits for it, goes on.
    std::atomic<bool> met{false};
    std::optional<T> result;
    std::coroutine_handle<> waiter;
  };
  std::shared_ptr<State> state_;
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_BEGUN_H_
