#include "server/engine/rados/hints.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/clock.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

// Between two messages of one store.
constexpr absl::Duration kPause = absl::Milliseconds(100);
// Before a watch that was lost, or could not be begun, is begun again.
constexpr absl::Duration kBeforeAgain = absl::Milliseconds(500);
// What is heard together is looked after together.
constexpr absl::Duration kGathering = absl::Milliseconds(10);
// Of hints in a message; more are found out later.
constexpr size_t kMost = 200;
// After so long the cluster waits no more for those who have not heard it. (Nobody else does.)
constexpr uint64_t kNotifyTimeout_ms = 1000;

Hints* Self(void* self) { return static_cast<Hints*>(self); }

}  // namespace

Hints::Hints(Pool* pool, Later* later, std::function<void(const std::set<std::string>&)> heard,
             std::function<void()> again)
    : pool_(pool),
      library_(pool->cluster()->library()),
      later_(later),
      own_id_(library_->get_instance_id(pool->cluster()->handle())),
      heard_(std::move(heard)),
      again_(std::move(again)) {}

void Hints::Start() { Watch(); }

void Hints::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  if (watch_ == 0) return;
  rados_completion_t completion;
  library_->aio_create_completion2(this, &OnEnded, &completion);
  if (library_->aio_unwatch(pool_->ioctx(), watch_, completion) != 0) library_->aio_release(completion);
}

void Hints::After(absl::Duration delay, void (Hints::*then)()) {
  later_->After(delay, [this, then] { (this->*then)(); });
}

// --- hearing -----------------------------------------------------------------------

// The object may be gone, as it may be for the first store.
void Hints::Watch() {
  pool_->Write(kHintsObject, std::move(pool_->NewWrite().Create(/*exclusive=*/false)), /*frees=*/true,
               [this](int result) {
                 absl::ReleasableMutexLock lock(&mutex_);
                 if (stopped_) return;
                 if (result == 0) {
                   rados_completion_t completion;
                   library_->aio_create_completion2(this, &OnWatched, &completion);
                   result = library_->aio_watch2(pool_->ioctx(), kHintsObject, completion, &beginning_,
                                                 &OnNotify, &OnLost, /*timeout=*/0, this);
                   if (result == 0) return;
                   library_->aio_release(completion);
                 }
                 lock.Release();
                 OnLost(this, 0, result);
               });
}

void Hints::OnWatched(rados_completion_t completion, void* self) {
  Hints& hints = *Self(self);
  const int result = hints.library_->aio_get_return_value(completion);
  hints.library_->aio_release(completion);
  // (One that could not be begun has ended by itself.)
  if (result < 0) return OnLost(self, 0, result);
  absl::MutexLock lock(&hints.mutex_);
  if (hints.stopped_) return;
  hints.watch_ = hints.beginning_;
  ++hints.watches_;
  // What was told before was not heard.
  hints.later_->After(absl::ZeroDuration(), hints.again_);
}

void Hints::OnEnded(rados_completion_t completion, void* self) {
  Self(self)->library_->aio_release(completion);
}

// (From librados' own thread, on which nothing else may be called.)
void Hints::OnNotify(void* self, uint64_t notify, uint64_t watch, uint64_t notifier, void* data,
                     size_t size) {
  Hints& hints = *Self(self);
  absl::MutexLock lock(&hints.mutex_);
  if (hints.stopped_) return;
  hints.library_->notify_ack(hints.pool_->ioctx(), kHintsObject, notify, watch, nullptr, 0);
  if (notifier == hints.own_id_) return;
  ++hints.heard_count_;
  if (hints.unheard_.empty()) hints.After(kGathering, &Hints::PassOn);
  const absl::string_view text(static_cast<const char*>(data), size);
  for (const absl::string_view line : absl::StrSplit(text, '\n')) hints.unheard_.emplace(line);
}

void Hints::PassOn() {
  std::set<std::string> unheard;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    unheard.swap(unheard_);
  }
  heard_(unheard);
}

void Hints::OnLost(void* self, uint64_t, int) {
  Hints& hints = *Self(self);
  absl::MutexLock lock(&hints.mutex_);
  if (hints.stopped_ || std::exchange(hints.watching_again_, true)) return;
  hints.After(kBeforeAgain, &Hints::WatchAgain);
}

void Hints::WatchAgain() {
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    watching_again_ = false;
    if (watch_ != 0) {
      rados_completion_t completion;
      library_->aio_create_completion2(this, &OnEnded, &completion);
      if (library_->aio_unwatch(pool_->ioctx(), std::exchange(watch_, 0), completion) != 0) {
        library_->aio_release(completion);
      }
    }
  }
  Watch();
}

// --- telling -----------------------------------------------------------------------

void Hints::Tell(std::string what) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || untold_.size() >= kMost) return;
  if (untold_.empty()) {
    const int64_t since_us = Clock::System()->MonotonicMicros() - sent_us_;
    After(std::max(absl::ZeroDuration(), kPause - absl::Microseconds(since_us)), &Hints::Send);
  }
  untold_.insert(std::move(what));
}

void Hints::Send() {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || untold_.empty()) return;
  const std::string text = absl::StrJoin(std::exchange(untold_, {}), "\n");
  sent_us_ = Clock::System()->MonotonicMicros();
  ++told_;
  rados_completion_t completion;
  library_->aio_create_completion2(this, &OnEnded, &completion);
  const int result = library_->aio_notify(pool_->ioctx(), kHintsObject, completion, text.data(),
                                          static_cast<int>(text.size()), kNotifyTimeout_ms, nullptr, nullptr);
  if (result != 0) library_->aio_release(completion);
}

}  // namespace restante::rados
