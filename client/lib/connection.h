// One store: the channel to it, its streams, and whether it is there.
//
// The link is *connecting* at first and after the loss of a stream that worked:
// transactions then take a stream and share its fate. Once an attempt came to
// nothing it is *away*, and takes none; a GetCapacity that waits until gRPC has
// connected again (by its own back-off) brings it back.
//
// A link that stands may be of no use all the same: the store drains, or is silent.
// That ends nothing, but where there are other stores, these are better.
#ifndef RESTANTE_CLIENT_LIB_CONNECTION_H_
#define RESTANTE_CLIENT_LIB_CONNECTION_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/lib/calls.h"
#include "client/lib/channel.h"
#include "client/lib/connection_owner.h"
#include "client/lib/deliver_stream.h"
#include "client/lib/handlers.h"
#include "client/lib/timer.h"
#include "restante/delivery.h"
#include "server/base/steady_condition.h"

namespace restante::client_internal {

// Any thread.
class Connection : public StreamOwner, public std::enable_shared_from_this<Connection> {
 public:
  // To the store at `options.target`; `name` as of Channels.
  Connection(ClientOptions options, const std::string& name, std::weak_ptr<ConnectionOwner> owner,
             std::shared_ptr<Handlers> handlers, std::shared_ptr<Timer> timer);
  ~Connection() override;

  const std::string& address() const { return options_.target; }

  // Begins to connect.
  void Start();
  // Whether this is the only store there is; it then has more time to answer. At
  // first it is.
  void SetAlone(bool alone) { alone_ = alone; }
  // Ends everything, and takes nothing any more.
  void Stop();
  // Waits until gRPC has handed back what was cancelled; whether it has.
  bool AwaitStopped(absl::Duration limit);

  // Puts the transaction on a stream. Null, and `why` told: it is as it was.
  std::shared_ptr<DeliverStream> Begin(const StatePtr& transaction, v1::Begin* begin, absl::Status* why);

  // Sends it, now or when the store is there.
  void HandedOver(v1::HandedOver handed_over);
  // What HandedOver was given and has not been sent, oldest first.
  std::deque<v1::HandedOver> TakeHandedOver();

  // Asks once. `done` runs on any thread, from within too. With `wait` it is waited for
  // until the store is there.
  void GetReceipt(const v1::GetReceiptRequest& request, std::chrono::milliseconds deadline, bool wait,
                  Calls::Done<v1::GetReceiptResponse> done);
  // Asks once, on a stream if the store knows how. `done` is called as a handler.
  using CheckDone = absl::AnyInvocable<void(absl::StatusOr<v1::Decision>)>;
  void CheckRecipient(std::shared_ptr<const v1::CheckRecipientRequest> request,
                      std::chrono::milliseconds deadline, CheckDone done);

  Condition condition() const;
  v1::Capacity capacity() const;
  // Transactions that were begun here so far, and that are open.
  uint64_t begun() const { return begun_; }
  size_t load() const;

  void Soon(absl::AnyInvocable<void()> fn) override { handlers_->Soon(std::move(fn)); }
  void OnAnswers(std::vector<std::pair<StatePtr, v1::Answer>> answers) override;
  void OnChecked(std::vector<v1::Checked> answers) override;
  void OnCheckUnknown(DeliverStream* stream) override;
  void OnStreamDone(DeliverStream* stream, absl::Status why, bool answered, std::vector<Lost> lost,
                    std::vector<v1::HandedOver> unsent) override;

 private:
  enum class Link { kConnecting, kStanding, kAway };
  using Time = std::chrono::steady_clock::time_point;
  // A CheckRecipient without an answer, on a stream.
  struct Question {
    const DeliverStream* stream;
    Time end;
    std::shared_ptr<const v1::CheckRecipientRequest> request;
    CheckDone done;
  };

  // The stream for a new transaction: one of its own, or the least loaded.
  std::shared_ptr<DeliverStream> Choose(bool solo) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<DeliverStream> Open(bool solo) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The shared stream with the least load; null without one.
  std::shared_ptr<DeliverStream> LeastLoaded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepHandedOver(v1::HandedOver handed_over) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives a stream as many as it takes, and returns it; null without one.
  std::shared_ptr<DeliverStream> QueueHandedOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same, and writes them.
  void SendHandedOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(DeliverStream* stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Asks GetCapacity. With `wait` gRPC holds the call until it is connected.
  void Probe(bool wait) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes the channel that the credentials' files are good for now.
  absl::Status RenewChannel() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnProbed(bool waited, absl::StatusOr<v1::Capacity> capacity);
  void GoAway(absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ProbeAfter(std::chrono::milliseconds delay, bool wait) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::chrono::milliseconds NextBackoff() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Condition LockedCondition() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the owner if the condition has changed.
  void TellCondition() ABSL_LOCKS_EXCLUDED(mutex_);
  void Sweep();

  // connection_questions.cc.
  // The stub for a question; null, and `why` told, while nobody would answer.
  std::shared_ptr<v1::DeliveryService::Stub> StubFor(bool wait, absl::Status* why) const;
  void AskAlone(Question question);
  std::vector<Question> TakeQuestions(absl::FunctionRef<bool(const Question&)> which)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(std::vector<Question> questions, const absl::Status& why);
  // Has what is not answered by `end` told so.
  void WatchQuestions(Time end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndOverdueQuestions();

  const ClientOptions options_;
  Channels channels_;
  const std::weak_ptr<ConnectionOwner> owner_;
  const std::shared_ptr<Handlers> handlers_;
  const std::shared_ptr<Timer> timer_;
  const std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
  std::atomic<bool> alone_{true};
  std::atomic<uint64_t> begun_{0};

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
  // Of channel_; null without credentials that are of use.
  std::shared_ptr<v1::DeliveryService::Stub> stub_ ABSL_GUARDED_BY(mutex_);
  Link link_ ABSL_GUARDED_BY(mutex_) = Link::kConnecting;
  absl::Status away_why_ ABSL_GUARDED_BY(mutex_);
  // Of a link that stands: it says that it is about to end; it did not answer a probe.
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;
  Condition told_ ABSL_GUARDED_BY(mutex_) = Condition::kConnecting;
  v1::Capacity capacity_ ABSL_GUARDED_BY(mutex_);
  std::chrono::milliseconds backoff_ ABSL_GUARDED_BY(mutex_);
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  bool probe_planned_ ABSL_GUARDED_BY(mutex_) = false;
  // Shared streams first, then those of single transactions.
  std::vector<std::shared_ptr<DeliverStream>> streams_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Question> questions_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_question_ ABSL_GUARDED_BY(mutex_) = 0;
  // When the first of them is looked at to be overdue.
  Time question_alarm_ ABSL_GUARDED_BY(mutex_) = Time::max();
  // The store is too old to answer them on a stream.
  bool asks_alone_ ABSL_GUARDED_BY(mutex_) = false;
  // Wait for a stream; oldest first.
  std::deque<v1::HandedOver> handed_over_ ABSL_GUARDED_BY(mutex_);
  SteadyCondition ended_;  // A stream is gone.
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CONNECTION_H_
