#include "client/lib/connection.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace restante::client_internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Bodies above this take a stream of their own.
constexpr uint64_t kSharedStreamBody = 256 * 1024;
// HandedOvers that wait for a stream.
constexpr size_t kMaxHandedOver = 10'000;

// How many times ClientOptions::store_patience the answers of a silent store are waited for.
constexpr int kSilentPatience = 4;

}  // namespace

Connection::Connection(ClientOptions options, const std::string& name, std::weak_ptr<ConnectionOwner> owner,
                       std::shared_ptr<Handlers> handlers, std::shared_ptr<Timer> timer)
    : options_(std::move(options)),
      channels_(options_, name),
      owner_(std::move(owner)),
      handlers_(std::move(handlers)),
      timer_(std::move(timer)),
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
  calls_->CancelAll();
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  for (const std::shared_ptr<DeliverStream>& stream : streams_) stream->Cancel();
}

bool Connection::AwaitStopped(absl::Duration limit) {
  {
    absl::MutexLock lock(&mutex_);
    if (!ended_.AwaitFor(&mutex_, limit, [this] { return streams_.empty(); })) return false;
  }
  return calls_->AwaitNone(limit);
}

std::shared_ptr<DeliverStream> Connection::Begin(const StatePtr& transaction, v1::Begin* begin,
                                                 absl::Status* why) {
  bool solo = begin->declared_size() > kSharedStreamBody;
  while (true) {
    std::shared_ptr<DeliverStream> stream;
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_ || link_ == Link::kAway) {
        *why = stopped_ ? absl::UnavailableError(absl::StrCat(options_.target, ": given up")) : away_why_;
        return nullptr;
      }
      stream = Choose(solo);
    }
    if (stream->Begin(transaction, begin)) {
      ++begun_;
      return stream;
    }
    // It ended between the two; OnStreamDone is on its way.
    absl::MutexLock lock(&mutex_);
    Forget(stream.get());
  }
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
  // Perhaps it is another store by now, that knows more.
  if (streams_.empty()) asks_alone_ = false;
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

std::deque<v1::HandedOver> Connection::TakeHandedOver() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(handed_over_, {});
}

void Connection::OnAnswers(std::vector<std::pair<StatePtr, v1::Answer>> answers) {
  const std::shared_ptr<ConnectionOwner> owner = owner_.lock();
  bool draining = false;
  for (const auto& [transaction, answer] : answers) {
    if (answer.has_receipts() && owner != nullptr) {
      owner->OnReceipts(this, answer.receipts().transaction_id());
    }
    draining = draining || (answer.has_refused() && answer.refused().outcome() == v1::OUTCOME_DRAINING);
  }
  if (draining) {
    {
      absl::MutexLock lock(&mutex_);
      draining_ = true;
    }
    TellCondition();
  }
  handlers_->Answers(std::move(answers));
}

void Connection::Sweep() {
  std::vector<std::shared_ptr<DeliverStream>> streams;
  // Of one of several stores that hangs less is waited for: another takes the next
  // attempt, and knows what became of a Commit.
  bool hangs;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    streams = streams_;
    hangs = silent_ && !alone_;
  }
  const milliseconds patience =
      hangs ? std::min(options_.deadline, kSilentPatience * options_.store_patience) : options_.deadline;
  const Time now = steady_clock::now();
  for (const std::shared_ptr<DeliverStream>& stream : streams) {
    for (Lost& lost : stream->TakeOverdue(now - patience, /*commits=*/hangs)) {
      handlers_->Lost(std::move(lost.transaction),
                      absl::DeadlineExceededError(
                          absl::StrCat(options_.target, ": no answer for ", patience.count(), " ms")),
                      lost.commit_sent);
    }
  }
  milliseconds interval = std::clamp(options_.deadline / 10, milliseconds(5), milliseconds(1'000));
  if (!alone_) interval = std::min(interval, std::max(options_.store_patience, milliseconds(5)));
  timer_->At(now + interval, [weak = weak_from_this()] {
    if (std::shared_ptr<Connection> self = weak.lock()) self->Sweep();
  });
}

}  // namespace restante::client_internal
