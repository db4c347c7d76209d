// The same for many, some at once.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_PARALLEL_H_
#define RESTANTE_SERVER_ENGINE_MOVING_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/steady_condition.h"

namespace restante::moving {

// Calls `work` with each number below `count`, on up to `width` threads; ends soon after the
// first error, which it returns. `tick` gets how many are done, now and then and in the end,
// on the caller's thread.
inline absl::Status ForEach(
    size_t count, int width, absl::FunctionRef<absl::Status(size_t)> work,
    absl::FunctionRef<void(uint64_t done)> tick = [](uint64_t) {}) {
  constexpr absl::Duration kTick = absl::Milliseconds(200);
  std::atomic<size_t> next{0};
  std::atomic<uint64_t> done{0};
  std::atomic<bool> ended{false};
  absl::Mutex mutex;
  SteadyCondition changed;
  absl::Status failed;
  std::vector<std::thread> threads;
  size_t running = std::min<size_t>(static_cast<size_t>(std::max(1, width)), count);
  const auto run = [&] {
    for (size_t i = next++; i < count && !ended; i = next++) {
      const absl::Status status = work(i);
      ++done;
      if (status.ok()) continue;
      ended = true;
      absl::MutexLock lock(&mutex);
      failed.Update(status);
    }
    absl::MutexLock lock(&mutex);
    --running;
    changed.Changed();
  };
  for (size_t i = running; i > 0; --i) threads.emplace_back(run);
  for (bool over = false; !over;) {
    {
      absl::MutexLock lock(&mutex);
      over = changed.AwaitFor(&mutex, kTick, [&] { return running == 0; });
    }
    tick(done);
  }
  for (std::thread& thread : threads) thread.join();
  return failed;
}

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_PARALLEL_H_
