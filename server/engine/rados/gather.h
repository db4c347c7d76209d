// Several tasks at the same time.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_GATHER_H_
#define RESTANTE_SERVER_ENGINE_RADOS_GATHER_H_

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/task.h"

namespace restante::rados {

namespace gather_internal {

template <typename T>
struct Gathering {
  std::vector<T> results;
  std::atomic<size_t> next{0}, running{0};
  size_t count = 0;
  std::function<Task<T>(size_t)> task;
  absl::AnyInvocable<void(bool)> done;
};

// One of those that take the next index until none is left.
template <typename T>
Task<bool> Runner(std::shared_ptr<Gathering<T>> all) {
  for (size_t i = all->next++; i < all->count; i = all->next++) {
    T result = co_await all->task(i);
    all->results[i] = std::move(result);
  }
  co_return true;
}

}  // namespace gather_internal

// The results of task(0) to task(count - 1), of which at most `width` run at once.
template <typename T>
Task<std::vector<T>> Gather(size_t count, size_t width, std::function<Task<T>(size_t)> task) {
  auto all = std::make_shared<gather_internal::Gathering<T>>();
  all->count = count;
  all->results.resize(count);
  all->task = std::move(task);
  if (count > 0) {
    Await<bool> ended([all, width](Await<bool>::Done done) {
      const size_t runners = std::min(width, all->count);
      all->done = std::move(done);
      all->running = runners;
      for (size_t i = 0; i < runners; ++i) {
        Start<bool>(gather_internal::Runner<T>(all), [all](bool) {
          if (--all->running == 0) std::move(all->done)(true);
        });
      }
    });
    co_await ended;
  }
  co_return std::move(all->results);
}

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_GATHER_H_
