#include "client/lib/connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/lib/completion.h"
#include "client/lib/grpc_status.h"

namespace restante::client_internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Bodies above this take a stream of their own.
constexpr uint64_t kSharedStreamBody = 256 * 1024;
constexpr milliseconds kCapacityInterval{3'000};
// HandedOvers that wait for a stream.
constexpr size_t kMaxHandedOver = 10'000;
// How long Stop waits for gRPC to hand back cancelled calls.
constexpr absl::Duration kStopPatience = absl::Seconds(5);

// Whether asking again can help. What is not known to be hopeless can.
bool WorthRetrying(const absl::Status& status) {
  return !absl::IsInvalidArgument(status) && !absl::IsUnimplemented(status);
}

// Whether an error says that nobody answered, or nobody who lets us in.
bool NobodyAnswered(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status) ||
         absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status);
}

std::chrono::system_clock::time_point WallDeadline(milliseconds after) {
  return std::chrono::system_clock::now() + after;
}

}  // namespace

struct Connection::Settling {
  v1::GetReceiptRequest request;
  Time end;
  milliseconds backoff;
  SettleDone done;
};

template <typename Response>
struct Connection::Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
  Response response;
  grpc::Status status;
};

template <typename Response>
void Connection::Ask(std::shared_ptr<Call<Response>> call,
                     absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
  call->reader->Finish(&call->response, &call->status,
                       WhenComplete([self = shared_from_this(), call, done = std::move(done)](bool) mutable {
                         {
                           absl::MutexLock lock(&self->mutex_);
                           self->calls_.erase(&call->context);
                           self->ended_.Changed();
                         }
                         if (!call->status.ok()) return done(ToStatus(call->status));
                         done(std::move(call->response));
                       }));
}

Connection::Connection(ClientOptions options)
    : options_(std::move(options)),
      channels_(options_),
      timer_(std::make_shared<Timer>()),
      backoff_(options_.min_backoff) {}

Connection::~Connection() = default;

void Connection::Start() {
  {
    absl::MutexLock lock(&mutex_);
    Probe(/*wait=*/false);
  }
  Sweep();
}

void Connection::Stop() {
  timer_->Stop();
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (const std::shared_ptr<DeliverStream>& stream : streams_) stream->Cancel();
    for (grpc::ClientContext* context : calls_) context->TryCancel();
  }
  // Called from a handler, the reaction that runs the handler would be waited
  // for; what is left then goes when gRPC hands it back.
  if (gate_.Close()) return;
  absl::MutexLock lock(&mutex_);
  ended_.AwaitFor(&mutex_, kStopPatience, [this] { return streams_.empty() && calls_.empty(); });
}

// --- transactions ---------------------------------------------------------------

std::shared_ptr<DeliverStream> Connection::Begin(const StatePtr& transaction, v1::Begin begin) {
  bool solo = begin.declared_size() > kSharedStreamBody;
  absl::Status why;
  while (true) {
    std::shared_ptr<DeliverStream> stream;
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_) return nullptr;
      if (link_ == Link::kAway) {
        why = away_why_;
        break;
      }
      stream = Choose(solo);
    }
    if (stream->Begin(transaction, &begin)) return stream;
    // It ended between the two; OnStreamDone is on its way.
    absl::MutexLock lock(&mutex_);
    Forget(stream.get());
  }
  PostLost(transaction, std::move(why), /*commit_sent=*/false);
  return nullptr;
}

std::shared_ptr<DeliverStream> Connection::Choose(bool solo) {
  if (solo) return Open(/*solo=*/true);
  std::shared_ptr<DeliverStream> best = LeastLoaded();
  const auto shared = std::count_if(streams_.begin(), streams_.end(),
                                    [](const auto& stream) { return !stream->solo() && !stream->ended(); });
  if (best == nullptr || (best->load() > 0 && shared < options_.streams)) return Open(/*solo=*/false);
  return best;
}

std::shared_ptr<DeliverStream> Connection::LeastLoaded() {
  std::shared_ptr<DeliverStream> best;
  for (const std::shared_ptr<DeliverStream>& stream : streams_) {
    if (stream->solo() || stream->ended()) continue;
    if (best == nullptr || stream->load() < best->load()) best = stream;
  }
  return best;
}

std::shared_ptr<DeliverStream> Connection::Open(bool solo) {
  auto stream = std::make_shared<DeliverStream>(shared_from_this(), solo);
  streams_.push_back(stream);
  stream->Start(stub_.get(), &channels_);
  SendHandedOver();
  return stream;
}

void Connection::HandedOver(v1::HandedOver handed_over) {
  std::shared_ptr<DeliverStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    KeepHandedOver(std::move(handed_over));
    stream = QueueHandedOver();
  }
  // Most often the next transaction begins in the same breath: one message for both.
  if (stream != nullptr) Soon([stream] { stream->WriteQueued(); });
}

void Connection::KeepHandedOver(v1::HandedOver handed_over) {
  if (handed_over_.size() >= kMaxHandedOver) handed_over_.pop_front();
  handed_over_.push_back(std::move(handed_over));
}

void Connection::SendHandedOver() {
  if (const std::shared_ptr<DeliverStream> stream = QueueHandedOver()) stream->WriteQueued();
}

std::shared_ptr<DeliverStream> Connection::QueueHandedOver() {
  // Where the next transaction of a caller that has one at a time goes, too: the
  // store hears of this first.
  const std::shared_ptr<DeliverStream> stream = LeastLoaded();
  while (stream != nullptr && !handed_over_.empty() && stream->HandedOver(handed_over_.front())) {
    handed_over_.pop_front();
  }
  return stream;
}

void Connection::Post(absl::AnyInvocable<void()> fn) {
  auto guarded = [self = shared_from_this(), fn = std::move(fn)]() mutable {
    if (!self->gate_.Enter()) return;
    fn();
    self->gate_.Leave();
  };
  if (options_.executor) {
    options_.executor(std::move(guarded));
  } else {
    strand_.Post(std::move(guarded));
  }
}

void Connection::PostLost(StatePtr transaction, absl::Status why, bool commit_sent) {
  Post([transaction = std::move(transaction), why = std::move(why), commit_sent]() mutable {
    if (std::exchange(transaction->told_last, true) || !transaction->gate.Enter()) return;
    transaction->handler->OnLost(std::move(why), commit_sent);
    transaction->gate.Leave();
  });
}

void Connection::Soon(absl::AnyInvocable<void()> fn) {
  if (!options_.executor) return fn();
  Post([fn = std::move(fn)]() mutable { CompleteHere([&] { fn(); }); });
}

void Connection::OnAnswers(std::vector<std::pair<StatePtr, v1::Answer>> answers) {
  Post([this, answers = std::move(answers)] {
    for (const auto& [transaction, answer] : answers) {
      if (gate_.closed()) return;  // One of the handlers has destroyed the client.
      if (transaction->told_last || !transaction->gate.Enter()) continue;
      transaction->told_last = answer.has_receipts() || answer.has_refused() || answer.has_aborted();
      transaction->handler->OnAnswer(answer);
      transaction->gate.Leave();
    }
  });
}

void Connection::Sweep() {
  std::vector<std::shared_ptr<DeliverStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    streams = streams_;
  }
  Time now = steady_clock::now();
  for (const std::shared_ptr<DeliverStream>& stream : streams) {
    for (Lost& lost : stream->TakeOverdue(now - options_.deadline)) {
      PostLost(std::move(lost.transaction),
               absl::DeadlineExceededError(
                   absl::StrCat(options_.target, ": no answer for ", options_.deadline.count(), " ms")),
               lost.commit_sent);
    }
  }
  milliseconds interval = std::clamp(options_.deadline / 10, milliseconds(5), milliseconds(1'000));
  timer_->At(now + interval, [weak = weak_from_this()] {
    if (std::shared_ptr<Connection> self = weak.lock()) self->Sweep();
  });
}

// --- the link ---------------------------------------------------------------------

v1::Capacity Connection::capacity() const {
  absl::MutexLock lock(&mutex_);
  return capacity_;
}

bool Connection::connected() const {
  absl::MutexLock lock(&mutex_);
  return link_ == Link::kStanding;
}

void Connection::Forget(DeliverStream* stream) {
  auto at = std::find_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s.get() == stream; });
  if (at != streams_.end()) streams_.erase(at);
  ended_.Changed();
}

void Connection::OnStreamDone(DeliverStream* stream, absl::Status why, bool answered, std::vector<Lost> lost,
                              std::vector<v1::HandedOver> unsent) {
  why = absl::Status(why.code(), absl::StrCat(options_.target, ": ", why.message()));
  {
    absl::MutexLock lock(&mutex_);
    Forget(stream);
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
  for (Lost& l : lost) PostLost(std::move(l.transaction), why, l.commit_sent);
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
    absl::MutexLock lock(&self->mutex_);
    self->probe_planned_ = false;
    self->Probe(wait);
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
  auto call = std::make_shared<Call<v1::Capacity>>();
  call->context.set_wait_for_ready(wait);
  call->context.set_deadline(WallDeadline(options_.deadline));
  channels_.Authenticate(&call->context);
  calls_.insert(&call->context);
  call->reader = stub_->AsyncGetCapacity(&call->context, {}, CompletionQueue());
  Ask<v1::Capacity>(
      call, [this, wait](absl::StatusOr<v1::Capacity> capacity) { OnProbed(wait, std::move(capacity)); });
}

void Connection::OnProbed(bool waited, absl::StatusOr<v1::Capacity> capacity) {
  const absl::Status& status = capacity.status();
  absl::MutexLock lock(&mutex_);
  probing_ = false;
  if (stopped_) return;
  if (!NobodyAnswered(status)) {
    if (status.ok()) capacity_ = *std::move(capacity);
    link_ = Link::kStanding;
    // Kept open so that a loss of the store is noticed at once, and the first
    // transaction finds a stream.
    if (streams_.empty()) Open(/*solo=*/false);
    SendHandedOver();
    ProbeAfter(kCapacityInterval, /*wait=*/false);
    return;
  }
  if (link_ == Link::kStanding && absl::IsDeadlineExceeded(status)) {
    // Slow, not gone: the streams' own deadlines and keepalive judge that.
    ProbeAfter(kCapacityInterval, /*wait=*/false);
    return;
  }
  GoAway(absl::UnavailableError(absl::StrCat(options_.target, ": ", status.message())));
  if (waited && !absl::IsDeadlineExceeded(status)) {
    ProbeAfter(NextBackoff(), /*wait=*/true);
  } else {
    Probe(/*wait=*/true);
  }
}

// --- settling -----------------------------------------------------------------------

void Connection::Settle(v1::GetReceiptRequest request, milliseconds patience, SettleDone done) {
  auto settling = std::make_shared<Settling>();
  settling->request = std::move(request);
  settling->end = steady_clock::now() + patience;
  settling->backoff = options_.min_backoff;
  settling->done = std::move(done);
  AskReceipt(std::move(settling));
}

void Connection::AskReceipt(std::shared_ptr<Settling> settling) {
  auto left = std::chrono::duration_cast<milliseconds>(settling->end - steady_clock::now());
  auto call = std::make_shared<Call<v1::GetReceiptResponse>>();
  call->context.set_wait_for_ready(true);
  call->context.set_deadline(WallDeadline(std::max(milliseconds(1), std::min(left, options_.deadline))));
  channels_.Authenticate(&call->context);
  std::shared_ptr<v1::DeliveryService::Stub> stub;
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    stub = stub_;
    if (stub == nullptr) {
      why = away_why_;
    } else {
      calls_.insert(&call->context);
    }
  }
  if (stub == nullptr) return OnReceipt(std::move(settling), std::move(why));
  call->reader = stub->AsyncGetReceipt(&call->context, settling->request, CompletionQueue());
  Ask<v1::GetReceiptResponse>(call, [this, settling](absl::StatusOr<v1::GetReceiptResponse> receipt) {
    OnReceipt(settling, std::move(receipt));
  });
}

void Connection::OnReceipt(std::shared_ptr<Settling> settling,
                           absl::StatusOr<v1::GetReceiptResponse> result) {
  const Time now = steady_clock::now();
  if (result.ok() || !WorthRetrying(result.status())) {
    // That is the answer.
  } else if (now + settling->backoff < settling->end) {
    timer_->At(now + settling->backoff, [weak = weak_from_this(), settling] {
      if (std::shared_ptr<Connection> self = weak.lock()) self->AskReceipt(settling);
    });
    settling->backoff = std::min(settling->backoff * 2, options_.max_backoff);
    return;
  } else {
    result = absl::DeadlineExceededError(
        absl::StrCat(options_.target, ": the outcome is still unknown: ", result.status().message()));
  }
  Post([settling, result = std::move(result)]() mutable { settling->done(std::move(result)); });
}

// --- asking -------------------------------------------------------------------------

void Connection::CheckRecipient(v1::CheckRecipientRequest request, milliseconds patience, CheckDone done) {
  auto call = std::make_shared<Call<v1::CheckRecipientResponse>>();
  call->context.set_deadline(WallDeadline(patience));
  channels_.Authenticate(&call->context);
  absl::Status away;
  std::shared_ptr<v1::DeliveryService::Stub> stub;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    stub = stub_;
    if (link_ == Link::kAway) {
      away = away_why_;
    } else {
      calls_.insert(&call->context);
    }
  }
  if (!away.ok()) return Post([done = std::move(done), away]() mutable { done(away); });
  call->reader = stub->AsyncCheckRecipient(&call->context, request, CompletionQueue());
  Ask<v1::CheckRecipientResponse>(
      call, [this, done = std::move(done)](absl::StatusOr<v1::CheckRecipientResponse> result) mutable {
        Post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
      });
}

}  // namespace restante::client_internal
