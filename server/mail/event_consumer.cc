#include "server/mail/event_consumer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/task.h"

namespace restante::mail {
namespace {

constexpr size_t kAtOnce = 64;

}  // namespace

EventConsumer::EventConsumer(EventFeed* feed, Options options, Handle handle)
    : feed_(feed),
      options_(std::move(options)),
      handle_(std::move(handle)),
      pause_(options_.first_pause),
      trouble_(absl::StrCat(options_.name, ": an event is tried again later"), Clock::System()),
      thread_([this] { Run(); }) {}

EventConsumer::~EventConsumer() {
  {
    absl::MutexLock lock(&bell_->mutex);
    bell_->stopping = true;
  }
  bell_->changed.Changed();
  thread_.join();
}

EventConsumer::Figures EventConsumer::figures() const {
  const absl::StatusOr<engine::EventPage> kept = Wait(feed_->Kept());
  absl::MutexLock lock(&mutex_);
  Figures figures = figures_;
  if (kept.ok()) figures.backlog = kept->next - 1 - std::min(done_, kept->next - 1);
  return figures;
}

bool EventConsumer::Stopping() const {
  absl::MutexLock lock(&bell_->mutex);
  return bell_->stopping;
}

void EventConsumer::Pause() {
  // Half of it and as much again by chance, so that many stores do not call at once.
  const absl::Duration pause =
      pause_ / 2 + pause_ / 2 * std::uniform_real_distribution<double>(0, 1)(random_);
  pause_ = std::min(2 * pause_, options_.longest_pause);
  absl::MutexLock lock(&bell_->mutex);
  bell_->changed.AwaitFor(&bell_->mutex, pause,
                          [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return bell_->stopping; });
}

void EventConsumer::AwaitMore(uint64_t seen) {
  {
    absl::MutexLock lock(&bell_->mutex);
    bell_->rung = false;
  }
  const uint64_t wait = feed_->Wait(seen, [bell = bell_](bool) {
    {
      absl::MutexLock lock(&bell->mutex);
      bell->rung = true;
    }
    bell->changed.Changed();
  });
  {
    absl::MutexLock lock(&bell_->mutex);
    while (!bell_->changed.AwaitFor(
        &bell_->mutex, absl::InfiniteDuration(),
        [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return bell_->rung || bell_->stopping; })) {
    }
  }
  feed_->Cancel(wait);
}

void EventConsumer::Run() {
  bool begun = false;
  while (!Stopping()) {
    const uint64_t seen = feed_->rung();
    absl::StatusOr<bool> any = true;
    if (!begun) {
      const absl::StatusOr<uint64_t> from = Begin();
      begun = from.ok();
      if (!begun) any = from.status();
    } else {
      any = Step();
    }
    if (!any.ok()) {
      trouble_.Say({{"cause", any.status().message()}});
      Pause();
    } else if (!*any) {
      AwaitMore(seen);
      // A feed that has stopped wakes at once, for ever.
      if (feed_->stopped()) return;
    }
  }
}

absl::StatusOr<uint64_t> EventConsumer::Begin() {
  absl::StatusOr<std::optional<uint64_t>> cursor = Wait(feed_->CursorOf(options_.name));
  if (!cursor.ok()) return cursor.status();
  uint64_t from = cursor->value_or(0);
  if (!*cursor) {
    const absl::StatusOr<engine::EventPage> kept = Wait(feed_->Kept());
    if (!kept.ok()) return kept.status();
    from = kept->next - 1;
    if (absl::Status set = Wait(feed_->SetCursor(options_.name, from)); !set.ok()) return set;
  }
  absl::MutexLock lock(&mutex_);
  done_ = saved_ = from;
  return from;
}

absl::StatusOr<bool> EventConsumer::Step() {
  uint64_t after = 0;
  {
    absl::MutexLock lock(&mutex_);
    after = done_;
  }
  absl::StatusOr<engine::EventPage> page = Wait(feed_->Read(after, kAtOnce));
  if (absl::IsOutOfRange(page.status())) {
    const absl::StatusOr<engine::EventPage> kept = Wait(feed_->Kept());
    if (!kept.ok()) return kept.status();
    const uint64_t to = after < kept->oldest ? kept->oldest - 1 : kept->next - 1;
    const uint64_t dropped = to > after ? to - after : 0;
    Log(LogLevel::kError, absl::StrCat(options_.name, ": events are passed over"),
        {{"cause", page.status().message()}, {"events", absl::StrCat(dropped)}});
    absl::MutexLock lock(&mutex_);
    figures_.dropped += dropped;
    done_ = to;
    return true;
  }
  if (!page.ok()) return page.status();
  if (page->events.empty()) return false;
  absl::Status status = HandleAll(*page);
  status.Update(Save());
  if (!status.ok()) return status;
  return true;
}

absl::Status EventConsumer::HandleAll(const engine::EventPage& page) {
  for (const engine::stored::Event& event : page.events) {
    if (Stopping()) return absl::OkStatus();
    const absl::Status handled = handle_(event);
    absl::MutexLock lock(&mutex_);
    ++(handled.ok() ? figures_.handled : figures_.failed);
    if (!handled.ok()) return handled;
    done_ = event.sequence();
    pause_ = options_.first_pause;
  }
  return absl::OkStatus();
}

absl::Status EventConsumer::Save() {
  uint64_t done = 0;
  {
    absl::MutexLock lock(&mutex_);
    done = done_;
  }
  if (done == saved_) return absl::OkStatus();
  absl::Status status = Wait(feed_->SetCursor(options_.name, done));
  if (status.ok()) saved_ = done;
  return status;
}

}  // namespace restante::mail
