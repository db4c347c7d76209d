// A DeliveryClient's inside: the channel, its streams, and whether the store is
// there.
//
// The link is *connecting* at first and after the loss of a stream that worked:
// transactions then take a stream and share its fate. Once an attempt came to
// nothing it is *away*, and transactions are lost at once; a GetCapacity that
// waits until gRPC has connected again (by its own back-off) brings it back.
#ifndef RESTANTE_CLIENT_LIB_CONNECTION_H_
#define RESTANTE_CLIENT_LIB_CONNECTION_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/lib/channel.h"
#include "client/lib/deliver_stream.h"
#include "client/lib/gate.h"
#include "client/lib/timer.h"
#include "restante/delivery.h"
#include "server/base/steady_condition.h"
#include "server/base/strand.h"

namespace restante::client_internal {

// Any thread.
class Connection : public StreamOwner, public std::enable_shared_from_this<Connection> {
 public:
  using SettleDone = absl::AnyInvocable<void(absl::StatusOr<v1::GetReceiptResponse>)>;

  using CheckDone = absl::AnyInvocable<void(absl::StatusOr<v1::CheckRecipientResponse>)>;

  explicit Connection(ClientOptions options);
  ~Connection() override;

  // Begins to connect.
  void Start();
  // Ends everything; no call of a handler or a `done` is running or follows,
  // but for one that this is called from.
  void Stop();

  // Puts the transaction on a stream. Null if it is lost already.
  std::shared_ptr<DeliverStream> Begin(const StatePtr& transaction, v1::Begin begin);
  void HandedOver(v1::HandedOver handed_over);
  void Settle(v1::GetReceiptRequest request, std::chrono::milliseconds patience, SettleDone done);
  void CheckRecipient(v1::CheckRecipientRequest request, std::chrono::milliseconds patience, CheckDone done);
  v1::Capacity capacity() const;
  bool connected() const;

  // Runs `fn` on the executor, unless stopped by then.
  void Post(absl::AnyInvocable<void()> fn);
  void PostLost(StatePtr transaction, absl::Status why, bool commit_sent);

  void Soon(absl::AnyInvocable<void()> fn) override;
  void OnAnswers(std::vector<std::pair<StatePtr, v1::Answer>> answers) override;
  void OnStreamDone(DeliverStream* stream, absl::Status why, bool answered, std::vector<Lost> lost,
                    std::vector<v1::HandedOver> unsent) override;

 private:
  enum class Link { kConnecting, kStanding, kAway };
  using Time = std::chrono::steady_clock::time_point;
  struct Settling;
  // A unary call under way.
  template <typename Response>
  struct Call;

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
  void Sweep();
  void AskReceipt(std::shared_ptr<Settling> settling);
  void OnReceipt(std::shared_ptr<Settling> settling, absl::StatusOr<v1::GetReceiptResponse> result);
  // Has `done` called with the end of a call that has begun and is in calls_.
  template <typename Response>
  void Ask(std::shared_ptr<Call<Response>> call, absl::AnyInvocable<void(absl::StatusOr<Response>)> done);

  const ClientOptions options_;
  Channels channels_;
  const std::shared_ptr<Timer> timer_;
  Strand strand_;  // The default executor.
  Gate gate_;

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
  // Of channel_; null without credentials that are of use.
  std::shared_ptr<v1::DeliveryService::Stub> stub_ ABSL_GUARDED_BY(mutex_);
  Link link_ ABSL_GUARDED_BY(mutex_) = Link::kConnecting;
  absl::Status away_why_ ABSL_GUARDED_BY(mutex_);
  v1::Capacity capacity_ ABSL_GUARDED_BY(mutex_);
  std::chrono::milliseconds backoff_ ABSL_GUARDED_BY(mutex_);
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  bool probe_planned_ ABSL_GUARDED_BY(mutex_) = false;
  // Shared streams first, then those of single transactions.
  std::vector<std::shared_ptr<DeliverStream>> streams_ ABSL_GUARDED_BY(mutex_);
  // Wait for a stream; oldest first.
  std::deque<v1::HandedOver> handed_over_ ABSL_GUARDED_BY(mutex_);
  // Of unary calls under way.
  absl::flat_hash_set<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mutex_);
  SteadyCondition ended_;  // One of these is gone.
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_CONNECTION_H_
