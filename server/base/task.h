// Sequences of asynchronous steps, written as if they were called: C++20
// coroutines over functions that take a `done` callback.
//
//     Task<absl::StatusOr<int>> Twice(Engine* engine) {
//       CO_ASSIGN_OR_RETURN(int n, co_await Await<absl::StatusOr<int>>(
//           [&](auto done) { engine->Ask(std::move(done)); }));
//       co_return 2 * n;
//     }
//     Start(Twice(engine), [](absl::StatusOr<int> n) { ... });
//
// A task starts when it is awaited (or by Start) on the thread that awaits it,
// and goes on wherever the callback that it waits for is called. One that waits
// for nothing does not use up the stack, so a loop may await any number of them.
// What a task refers to must outlive it: parameters are taken by value.
#ifndef RESTANTE_SERVER_BASE_TASK_H_
#define RESTANTE_SERVER_BASE_TASK_H_

#include <atomic>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/notification.h"
#include "server/base/status_macros.h"

// As RETURN_IF_ERROR and ASSIGN_OR_RETURN, in a coroutine.
#define CO_RETURN_IF_ERROR(expression)                              \
  do {                                                              \
    if (absl::Status co_status_ = (expression); !co_status_.ok()) { \
      co_return co_status_;                                         \
    }                                                               \
  } while (false)
#define CO_ASSIGN_OR_RETURN(lhs, expression) \
  CO_ASSIGN_OR_RETURN_INNER(RESTANTE_CONCAT(status_or_, __LINE__), lhs, expression)
#define CO_ASSIGN_OR_RETURN_INNER(temporary, lhs, expression) \
  auto temporary = (expression);                              \
  if (!temporary.ok()) {                                      \
    co_return std::move(temporary).status();                  \
  }                                                           \
  lhs = *std::move(temporary)

namespace restante {
namespace task_internal {

// Brings together who waits and what it waits for, whichever comes first.
class Meeting {
 public:
  // The result is there. Resumes who waits, if it does; nothing of the awaited
  // may be touched afterwards.
  void Arrived(std::coroutine_handle<> waiter) {
    if (met_.exchange(true, std::memory_order_acq_rel)) waiter.resume();
  }
  // Whether to suspend: the result is not there yet.
  bool Wait() { return !met_.exchange(true, std::memory_order_acq_rel); }

 private:
  std::atomic<bool> met_{false};
};

}  // namespace task_internal

template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type {
    std::optional<T> value;
    std::coroutine_handle<> waiter;
    task_internal::Meeting meeting;

    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        self.promise().meeting.Arrived(self.promise().waiter);
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    template <typename U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
    void unhandled_exception() noexcept { std::terminate(); }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    // The task may end on another thread, and with it *this, once Wait was called.
    handle_.promise().waiter = waiter;
    task_internal::Meeting& meeting = handle_.promise().meeting;
    handle_.resume();
    return meeting.Wait();
  }
  T await_resume() { return *std::move(handle_.promise().value); }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

// Waits for a function that answers by a callback, called exactly once.
template <typename T>
class [[nodiscard]] Await {
 public:
  using Done = absl::AnyInvocable<void(T)>;

  explicit Await(absl::AnyInvocable<void(Done)> start) : start_(std::move(start)) {}
  Await(const Await&) = delete;
  Await& operator=(const Await&) = delete;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    start_([this, waiter](T result) {
      result_.emplace(std::move(result));
      meeting_.Arrived(waiter);
    });
    return meeting_.Wait();
  }
  T await_resume() { return *std::move(result_); }

 private:
  absl::AnyInvocable<void(Done)> start_;
  std::optional<T> result_;
  task_internal::Meeting meeting_;
};

namespace task_internal {

struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

template <typename T>
Detached Run(Task<T> task, absl::AnyInvocable<void(T)> done) {
  T result = co_await std::move(task);
  done(std::move(result));
}

}  // namespace task_internal

// Runs a task and calls `done` with its result, once.
template <typename T>
void Start(Task<T> task, absl::AnyInvocable<void(T)> done) {
  task_internal::Run<T>(std::move(task), std::move(done));
}

// The result of a task, for a thread that may wait, and that the task does not need.
template <typename T>
T Wait(Task<T> task) {
  absl::Notification ended;
  std::optional<T> result;
  Start<T>(std::move(task), [&](T value) {
    result.emplace(std::move(value));
    ended.Notify();
  });
  ended.WaitForNotification();
  return *std::move(result);
}

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_TASK_H_
