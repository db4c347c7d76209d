// What all who act in the model share: the first failure, the count of steps,
// and dice.
#ifndef RESTANTE_TESTS_MODEL_JUDGE_H_
#define RESTANTE_TESTS_MODEL_JUDGE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace restante::model {

// Any thread.
class Judge {
 public:
  // Only the first failure is kept: what follows is most often its consequence.
  void Fail(std::string text) {
    absl::MutexLock lock(&mutex_);
    if (!failed_.exchange(true)) failure_ = std::move(text);
  }
  bool failed() const { return failed_; }
  // Empty if there is none.
  std::string failure() const {
    absl::MutexLock lock(&mutex_);
    return failure_;
  }

  // Numbers the step that begins, from 1.
  uint64_t Step() { return ++steps_; }
  uint64_t steps() const { return steps_; }

  // Notes that something was seen to happen.
  void Saw(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    ++seen_[what];
  }
  std::map<std::string, uint64_t> seen() const {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }

 private:
  std::atomic<bool> failed_{false};
  std::atomic<uint64_t> steps_{0};
  mutable absl::Mutex mutex_;
  std::string failure_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> seen_ ABSL_GUARDED_BY(mutex_);
};

// One thread's.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t end) { return random_() % end; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }
  uint64_t operator()() { return random_(); }

 private:
  std::mt19937_64 random_;
};

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_JUDGE_H_
