#include "server/engine/embedded/scrub_thread.h"

#include <utility>

#include "server/base/clock.h"
#include "server/engine/scrub_record.h"

namespace restante::embedded {
namespace {

// A disk that goes may damage more than a log should hold.
constexpr uint64_t kLoggedDamages = 100;

// The real time: a clock that stands still would hold a scrub up for ever.
int64_t NowUs() { return Clock::System()->MonotonicMicros(); }

}  // namespace

ScrubThread::ScrubThread(Options options, stored::ScrubRecord record, Callbacks callbacks)
    : options_(options), callbacks_(std::move(callbacks)), record_(std::move(record)) {
  figures_.damages = record_.last().damages();
  thread_ = std::thread([this] { Run(); });
}

ScrubThread::~ScrubThread() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.Changed();
  thread_.join();
}

void ScrubThread::Scrub(uint64_t bytes_per_second, engine::UpkeepReport report,
                        absl::AnyInvocable<void(absl::Status)> done) {
  absl::Status refused;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      refused = absl::CancelledError("the store is being closed");
    } else if (requested_) {
      refused = absl::FailedPreconditionError("a scrub that somebody asked for is running");
    } else {
      requested_ = true;
      request_ = {bytes_per_second, std::move(report), std::move(done)};
    }
  }
  if (refused.ok()) {
    changed_.Changed();
  } else {
    done(refused);
  }
}

std::optional<engine::ScrubResult> ScrubThread::Last() const {
  absl::MutexLock lock(&mutex_);
  if (!record_.has_last()) return std::nullopt;
  return engine::FromRecord(record_.last());
}

ScrubThread::Figures ScrubThread::figures() const {
  absl::MutexLock lock(&mutex_);
  return figures_;
}

bool ScrubThread::Due() const {
  if (options_.interval <= absl::ZeroDuration()) return false;
  const uint64_t interval_s = static_cast<uint64_t>(absl::ToInt64Seconds(options_.interval));
  return record_.under_way() || callbacks_.store_time_s() >= record_.begun_s() + interval_s;
}

void ScrubThread::Run() {
  while (true) {
    std::optional<Request> request;
    bool due = false;
    {
      absl::MutexLock lock(&mutex_);
      changed_.AwaitFor(&mutex_, options_.poll, [this] { return stopping_ || request_.has_value(); });
      request = std::exchange(request_, std::nullopt);
      if (stopping_ && !request) return;
      due = !request && Due();
    }
    if (request) {
      RunRequest(*std::move(request));
    } else if (due) {
      RunInBackground();
    }
  }
}

void ScrubThread::RunRequest(Request request) {
  const uint64_t begun_s = callbacks_.store_time_s();
  const int64_t began_us = NowUs();
  stored::ScrubRecord::Result result;
  ScrubOrder order{.bytes_per_second = request.bytes_per_second, .from = {}, .report = {}, .reached = {}};
  order.report = [&](engine::UpkeepProgress progress) {
    Note(progress, &result);
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return false;
    }
    return request.report(std::move(progress));
  };
  order.reached = [](ScrubPlace) {};
  const absl::Status status = callbacks_.scrub(order);
  if (status.ok()) {
    {
      absl::MutexLock lock(&mutex_);
      record_.set_begun_s(begun_s);
    }
    End(std::move(result), began_us);
  }
  {
    absl::MutexLock lock(&mutex_);
    figures_.running = false;
    requested_ = false;
  }
  request.done(status);
}

void ScrubThread::RunInBackground() {
  const int64_t began_us = NowUs();
  stored::ScrubRecord::Result so_far;
  ScrubOrder order{.bytes_per_second = options_.bytes_per_second, .from = {}, .report = {}, .reached = {}};
  {
    absl::MutexLock lock(&mutex_);
    if (!record_.under_way()) {
      record_.set_under_way(true);
      record_.set_begun_s(callbacks_.store_time_s());
      record_.clear_so_far();
      record_.set_part(0);
      record_.set_after(0);
    }
    so_far = record_.so_far();
    order.from = {.part = record_.part(), .after = record_.after()};
  }
  const int64_t before_us = so_far.duration_us();
  order.report = [&](engine::UpkeepProgress progress) {
    Note(progress, &so_far);
    absl::MutexLock lock(&mutex_);
    return !stopping_ && !requested_;
  };
  order.reached = [&](ScrubPlace place) {
    so_far.set_duration_us(before_us + NowUs() - began_us);
    stored::ScrubRecord record;
    {
      absl::MutexLock lock(&mutex_);
      *record_.mutable_so_far() = so_far;
      record_.set_part(place.part);
      record_.set_after(place.after);
      record = record_;
    }
    callbacks_.save(record);
  };
  const absl::Status status = callbacks_.scrub(order);
  if (status.ok()) {
    End(std::move(so_far), began_us - before_us);
  } else if (!absl::IsCancelled(status)) {
    // Whatever it is, the next round tries again, not at once.
    absl::MutexLock lock(&mutex_);
    changed_.AwaitFor(&mutex_, options_.poll, [this] { return stopping_; });
  }
  absl::MutexLock lock(&mutex_);
  figures_.running = false;
}

void ScrubThread::Note(const engine::UpkeepProgress& progress, stored::ScrubRecord::Result* so_far) {
  so_far->set_bytes(progress.done_bytes);
  for (const engine::Damage& damage : progress.damages) {
    if (so_far->damages() < kLoggedDamages) callbacks_.found(damage);
    engine::AddDamage(damage, so_far);
  }
  absl::MutexLock lock(&mutex_);
  figures_.running = true;
  figures_.bytes = so_far->bytes();
  figures_.damages = so_far->damages();
}

void ScrubThread::End(stored::ScrubRecord::Result result, int64_t began_us) {
  result.set_end_us(callbacks_.wall_us());
  result.set_duration_us(NowUs() - began_us);
  const engine::ScrubResult ended = engine::FromRecord(result);
  stored::ScrubRecord record;
  {
    absl::MutexLock lock(&mutex_);
    *record_.mutable_last() = std::move(result);
    record_.set_under_way(false);
    record_.clear_so_far();
    record_.set_part(0);
    record_.set_after(0);
    ++figures_.ended;
    record = record_;
  }
  callbacks_.save(record);
  callbacks_.ended(ended);
}

}  // namespace restante::embedded
