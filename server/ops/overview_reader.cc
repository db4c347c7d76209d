#include "server/ops/overview_reader.h"

#include <algorithm>
#include <utility>

#include "server/base/task.h"

namespace restante::ops {
namespace {

// Reading costs nothing to speak of below this; else so many times as long has to pass.
constexpr int64_t kCheap_us = 50'000;
constexpr int64_t kShare = 20;

}  // namespace

OverviewReader::~OverviewReader() {
  absl::MutexLock lock(&mutex_);
  changed_.AwaitFor(&mutex_, absl::InfiniteDuration(), [this] { return !reading_; });
}

bool OverviewReader::IsDue() const {
  const int64_t pause_us = took_us_ < kCheap_us ? 0 : kShare * took_us_;
  const int64_t age = std::max(absl::ToInt64Microseconds(options_.age), pause_us);
  return !last_ || !last_->ok() || clock_->MonotonicMicros() - begun_us_ >= age;
}

absl::StatusOr<mail::Overview> OverviewReader::Get() {
  bool read = false;
  {
    absl::MutexLock lock(&mutex_);
    if (!reading_ && IsDue()) read = reading_ = true;
  }
  if (read) Read();
  absl::MutexLock lock(&mutex_);
  const absl::Duration patience = last_ && last_->ok() ? options_.patience : absl::InfiniteDuration();
  changed_.AwaitFor(&mutex_, patience, [this] { return !reading_; });
  return *last_;
}

void OverviewReader::Read() {
  const int64_t begun_us = clock_->MonotonicMicros();
  const int64_t started_us = Clock::System()->MonotonicMicros();
  Start<absl::StatusOr<mail::Overview>>(
      mail::ReadOverview(provisioning_, options_.fullest),
      [this, begun_us, started_us](absl::StatusOr<mail::Overview> overview) {
        absl::MutexLock lock(&mutex_);
        last_ = std::move(overview);
        begun_us_ = begun_us;
        took_us_ = Clock::System()->MonotonicMicros() - started_us;
        reading_ = false;
        changed_.Changed();
      });
}

}  // namespace restante::ops
