#include "server/ops/rate_history.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace restante::ops {
namespace {

constexpr absl::Duration kLook = absl::Seconds(5);

}  // namespace

RateHistory::RateHistory(std::function<OutcomeCounts()> read, const Clock* clock)
    : read_(std::move(read)), clock_(clock), last_(read_()), minute_(Minute()) {
  thread_ = std::thread([this] {
    const auto stopping = [this] {
      mutex_.AssertHeld();
      return stopping_;
    };
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        if (stop_.AwaitFor(&mutex_, kLook, stopping)) return;
      }
      Sample();
    }
  });
}

RateHistory::~RateHistory() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.Changed();
  thread_.join();
}

void RateHistory::MoveTo(int64_t minute) {
  const auto passed = static_cast<size_t>(std::clamp<int64_t>(minute - minute_, 0, kMinutes));
  std::rotate(minutes_.begin(), minutes_.begin() + passed, minutes_.end());
  std::fill(minutes_.end() - passed, minutes_.end(), OutcomeCounts());
  minute_ = std::max(minute_, minute);
}

void RateHistory::Sample() {
  absl::MutexLock lock(&mutex_);
  const OutcomeCounts now = read_();
  MoveTo(Minute());
  OutcomeCounts& current = minutes_.back();
  current.stored += now.stored - last_.stored;
  current.suppressed += now.suppressed - last_.suppressed;
  current.refused += now.refused - last_.refused;
  current.aborted += now.aborted - last_.aborted;
  last_ = now;
}

RateHistory::Minutes RateHistory::Read() const {
  absl::MutexLock lock(&mutex_);
  return minutes_;
}

}  // namespace restante::ops
