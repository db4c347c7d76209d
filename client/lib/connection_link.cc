// Whether the store is there.
#include <grpcpp/channel.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/lib/connection.h"

namespace restante::client_internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Between probes of a store that stands, and of one of several.
constexpr milliseconds kCapacityInterval{3'000};
constexpr milliseconds kProbeInterval{250};

// Whether an error says that nobody answered, or nobody who lets us in.
bool NobodyAnswered(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status) ||
         absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status);
}

}  // namespace

v1::Capacity Connection::capacity() const {
  absl::MutexLock lock(&mutex_);
  return capacity_;
}

Condition Connection::condition() const {
  absl::MutexLock lock(&mutex_);
  return LockedCondition();
}

Condition Connection::LockedCondition() const {
  if (stopped_ || link_ == Link::kAway) return Condition::kAway;
  if (link_ == Link::kConnecting) return Condition::kConnecting;
  if (draining_) return Condition::kDraining;
  return silent_ ? Condition::kSilent : Condition::kReady;
}

void Connection::TellCondition() {
  {
    absl::MutexLock lock(&mutex_);
    const Condition condition = LockedCondition();
    if (std::exchange(told_, condition) == condition) return;
  }
  if (const std::shared_ptr<ConnectionOwner> owner = owner_.lock()) owner->OnCondition();
}

size_t Connection::load() const {
  absl::MutexLock lock(&mutex_);
  size_t load = 0;
  for (const std::shared_ptr<DeliverStream>& stream : streams_) load += stream->load();
  return load;
}

void Connection::Forget(DeliverStream* stream) {
  auto at = std::find_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s.get() == stream; });
  if (at != streams_.end()) streams_.erase(at);
  ended_.Changed();
}

void Connection::OnStreamDone(DeliverStream* stream, absl::Status why, bool answered, std::vector<Lost> lost,
                              std::vector<v1::HandedOver> unsent) {
  why = absl::Status(why.code(), absl::StrCat(options_.target, ": ", why.message()));
  std::vector<Question> questions;
  {
    absl::MutexLock lock(&mutex_);
    Forget(stream);
    questions = TakeQuestions([stream](const Question& question) { return question.stream == stream; });
    for (v1::HandedOver& handed_over : unsent) KeepHandedOver(std::move(handed_over));
    if (!stopped_ && !(stream->solo() && stream->finished())) {
      if (answered || steady_clock::now() - stream->started() > options_.max_backoff) {
        backoff_ = options_.min_backoff;
        if (link_ == Link::kStanding) link_ = Link::kConnecting;
        Probe(/*wait=*/false);
      } else if (link_ != Link::kAway) {
        GoAway(why);
        if (!probing_) ProbeAfter(NextBackoff(), /*wait=*/true);
      }
    }
  }
  TellCondition();
  for (Lost& l : lost) handlers_->Lost(std::move(l.transaction), why, l.commit_sent);
  Fail(std::move(questions), why);
}

void Connection::GoAway(absl::Status why) {
  link_ = Link::kAway;
  away_why_ = std::move(why);
}

milliseconds Connection::NextBackoff() {
  milliseconds now = backoff_;
  backoff_ = std::min(backoff_ * 2, options_.max_backoff);
  return now;
}

void Connection::ProbeAfter(milliseconds delay, bool wait) {
  if (std::exchange(probe_planned_, true)) return;
  timer_->At(steady_clock::now() + delay, [weak = weak_from_this(), wait] {
    std::shared_ptr<Connection> self = weak.lock();
    if (self == nullptr) return;
    {
      absl::MutexLock lock(&self->mutex_);
      self->probe_planned_ = false;
      self->Probe(wait);
    }
    self->TellCondition();
  });
}

absl::Status Connection::RenewChannel() {
  channels_.Renew();
  absl::Status why;
  std::shared_ptr<grpc::Channel> channel = channels_.Current(&why);
  if (channel != nullptr && channel != channel_) {
    stub_ = v1::DeliveryService::NewStub(channel);
    channel_ = std::move(channel);
  }
  return why;
}

void Connection::Probe(bool wait) {
  if (stopped_ || probing_) return;
  channels_.Look();
  // A connection that stands is left alone.
  if (link_ != Link::kStanding) {
    if (absl::Status why = RenewChannel(); !why.ok()) {
      GoAway(absl::UnavailableError(absl::StrCat(options_.target, ": ", why.message())));
      return ProbeAfter(NextBackoff(), /*wait=*/true);
    }
  }
  probing_ = true;
  const bool impatient = link_ == Link::kStanding && !alone_;
  calls_->Ask<v1::GetCapacityRequest, v1::Capacity>(
      *stub_, channels_, &v1::DeliveryService::Stub::AsyncGetCapacity, {},
      impatient ? options_.store_patience : options_.deadline, wait,
      [self = shared_from_this(), wait](absl::StatusOr<v1::Capacity> capacity) {
        self->OnProbed(wait, std::move(capacity));
        self->TellCondition();
      });
}

void Connection::OnProbed(bool waited, absl::StatusOr<v1::Capacity> capacity) {
  const absl::Status& status = capacity.status();
  absl::MutexLock lock(&mutex_);
  probing_ = false;
  if (stopped_) return;
  if (!NobodyAnswered(status)) {
    silent_ = false;
    draining_ = (draining_ && link_ == Link::kStanding) || (status.ok() && capacity->draining());
    if (status.ok()) capacity_ = *std::move(capacity);
    link_ = Link::kStanding;
    // Kept open so that a loss of the store is noticed at once, and the first
    // transaction finds a stream.
    if (streams_.empty()) Open(/*solo=*/false);
    SendHandedOver();
    ProbeAfter(alone_ ? kCapacityInterval : kProbeInterval, /*wait=*/false);
    return;
  }
  if (link_ == Link::kStanding && absl::IsDeadlineExceeded(status)) {
    // Slow, not gone: the streams' own deadlines and keepalive judge that.
    silent_ = true;
    ProbeAfter(alone_ ? kCapacityInterval : kProbeInterval, /*wait=*/false);
    return;
  }
  GoAway(absl::UnavailableError(absl::StrCat(options_.target, ": ", status.message())));
  if (waited && !absl::IsDeadlineExceeded(status)) {
    ProbeAfter(NextBackoff(), /*wait=*/true);
  } else {
    Probe(/*wait=*/true);
  }
}

}  // namespace restante::client_internal
