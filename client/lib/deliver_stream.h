// One `Deliver` stream and the transactions on it.
#ifndef RESTANTE_CLIENT_LIB_DELIVER_STREAM_H_
#define RESTANTE_CLIENT_LIB_DELIVER_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/async_stream.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/lib/channel.h"
#include "client/lib/completion.h"
#include "client/lib/gate.h"
#include "restante/delivery.h"
#include "restante/v1/delivery.grpc.pb.h"

namespace restante::client_internal {

// What the stream and the caller's Transaction share.
struct TransactionState {
  TransactionHandler* handler = nullptr;
  Gate gate;  // Around the calls of `handler`.
  std::atomic<uint64_t> credit{0};
  // Whether the last call of `handler` was made; of the executor.
  bool told_last = false;

  // Guarded by the stream's mutex.
  uint64_t number = 0;
  bool open = false;  // In the stream's table.
  // Events that an answer is due for, but for Commit; and since when nothing
  // came while some were, or Commit was called.
  uint32_t awaited = 0;
  std::chrono::steady_clock::time_point since;
  bool commit_queued = false;
  bool commit_sent = false;  // Given to gRPC.
  uint64_t size = 0;
  uint32_t crc32c = 0;
  std::optional<uint64_t> declared_size;
};
using StatePtr = std::shared_ptr<TransactionState>;

// A handler call to come: an answer of `response`, or a loss.
struct Lost {
  StatePtr transaction;
  bool commit_sent = false;
};

class DeliverStream;

// What a stream reports, never under its mutex. Any thread.
class StreamOwner {
 public:
  virtual ~StreamOwner() = default;
  // Runs `fn` once the caller's event loop has done what it is at, or at once.
  virtual void Soon(absl::AnyInvocable<void()> fn) = 0;
  // Answers of one response, each with its transaction.
  virtual void OnAnswers(std::vector<std::pair<StatePtr, v1::Answer>> answers) = 0;
  // Answers to what DeliverStream::Check has sent, of one response.
  virtual void OnChecked(std::vector<v1::Checked> answers) = 0;
  // The store does not know Check: no answer comes to any.
  virtual void OnCheckUnknown(DeliverStream* stream) = 0;
  // The stream has ended and is not used any more. `answered`: the store has
  // sent something on it. `unsent` did not leave.
  virtual void OnStreamDone(DeliverStream* stream, absl::Status why, bool answered, std::vector<Lost> lost,
                            std::vector<v1::HandedOver> unsent) = 0;
};

// Any thread may call. Keeps itself and its owner alive from Start until the
// RPC is over.
class DeliverStream : public std::enable_shared_from_this<DeliverStream> {
 public:
  // A stream for a single transaction (`solo`) ends with it.
  DeliverStream(std::shared_ptr<StreamOwner> owner, bool solo);

  void Start(v1::DeliveryService::Stub* stub, Channels* channels);

  // Puts a new transaction on the stream. False: the stream has ended, and
  // nothing happened to either.
  bool Begin(const StatePtr& transaction, v1::Begin* begin);

  // Events of a transaction of this stream; nothing once it is no longer open.
  void Recipient(const StatePtr& transaction, v1::Recipient recipient);
  void Data(const StatePtr& transaction);
  // False: more than was granted. The transaction is aborted and no longer open.
  bool Chunk(const StatePtr& transaction, std::string octets);
  void Commit(const StatePtr& transaction, std::string digest);
  void Abort(const StatePtr& transaction);
  // Gives the transaction up without an answer, by Abort unless Commit was
  // called.
  void Drop(const StatePtr& transaction);

  // Puts it behind what is queued, to be written with what comes next or by
  // WriteQueued. False: the stream has ended.
  bool HandedOver(const v1::HandedOver& handed_over);
  void WriteQueued();

  // Asks, by a number of the owner's. False: the stream has ended.
  bool Check(uint64_t number, const v1::CheckRecipientRequest& recipient);

  // Takes out, aborts and returns the transactions that have waited since before
  // `limit`; with `commits` also for Receipts.
  std::vector<Lost> TakeOverdue(std::chrono::steady_clock::time_point limit, bool commits);

  // Ends the RPC now.
  void Cancel() { context_.TryCancel(); }

  // Transactions on it.
  size_t load() const { return load_.load(std::memory_order_relaxed); }
  bool solo() const { return solo_; }
  // Takes no transaction any more.
  bool ended();
  // Ended as it should: by a solo transaction's end.
  bool finished();
  std::chrono::steady_clock::time_point started() const { return started_; }

 private:
  struct Batch {
    v1::DeliverRequest request;
    size_t bytes = 0;
    std::vector<StatePtr> commits;
  };

  // Plans a flush, so that what comes in one breath leaves in one message.
  void FlushSoon() ABSL_LOCKS_EXCLUDED(mutex_);
  v1::Event* Push(uint64_t number, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Event* Push(TransactionState& transaction, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PushChunk(TransactionState& transaction, std::string octets) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PushAbort(TransactionState& transaction) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Await(TransactionState& transaction) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close(TransactionState& transaction) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Apply(TransactionState& transaction, const v1::Answer& answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes what is queued unless a write is under way; ends a solo stream that
  // has nothing more to say.
  void Flush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // gRPC's completions.
  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);
  // Once nothing is under way any more.
  void Report();

  const std::shared_ptr<StreamOwner> owner_;
  const bool solo_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::shared_ptr<DeliverStream> self_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::DeliverRequest, v1::DeliverResponse>> rpc_;
  v1::DeliverResponse response_;
  grpc::Status status_;
  MemberCompletion<DeliverStream> on_started_{this, &DeliverStream::OnStarted};
  MemberCompletion<DeliverStream> on_read_{this, &DeliverStream::OnRead};
  MemberCompletion<DeliverStream> on_written_{this, &DeliverStream::OnWritten};
  MemberCompletion<DeliverStream> on_finished_{this, &DeliverStream::OnFinished};
  std::atomic<size_t> load_{0};

  absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, StatePtr> transactions_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Batch> queue_ ABSL_GUARDED_BY(mutex_);
  Batch writing_ ABSL_GUARDED_BY(mutex_);                // Or could not be written.
  bool write_under_way_ ABSL_GUARDED_BY(mutex_) = true;  // The start is the first.
  bool flush_planned_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  // No operation may be started any more.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;  // status_ is there.
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_DELIVER_STREAM_H_
