// One delivery transaction: events in, answers out (proto delivery.proto says
// which). The state table:
//
//   state       | event     | becomes               | answer
//   ------------|-----------|-----------------------|---------------------------
//   kNew        | Begin     | kOpen / kReplaying    | Begun | Refused
//   kOpen       | Recipient | kOpen                 | Decision
//   kOpen       | Data      | kReady                | Ready | Refused
//   kReady      | chunk     | kReady                | Credit now and then | Refused
//   kReady      | Commit    | kEnded                | Receipts | Refused
//   kReplaying  | any       | kReplaying -> kEnded  | as the stored receipt says
//   any         | Abort     | kEnded                | Aborted
//   any         | another   | kEnded                | Refused (INVALID_EVENT)
//
// Refused ends the transaction and releases everything at once. Each event is handled when the engine has
// answered the one before. What a crash leaves of each state: nothing, for all
// but a Commit that the engine made durable (engine/embedded/FORMAT.md).
#ifndef RESTANTE_SERVER_MAIL_TRANSACTION_H_
#define RESTANTE_SERVER_MAIL_TRANSACTION_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "restante/v1/delivery.pb.h"
#include "server/engine/engine.h"
#include "server/mail/directory.h"

namespace restante::mail {

class Deliveries;

// What a transaction talks through: the stream that it came by. May outlive the
// stream itself; then answers go nowhere.
class TransactionSink {
 public:
  virtual ~TransactionSink() = default;
  // Runs `fn` on the stream's strand.
  virtual void Post(absl::AnyInvocable<void()> fn) = 0;
  // On the strand.
  virtual void Send(v1::Answer answer) = 0;
  // On the strand: the transaction is over; the sink drops what comes for it.
  virtual void Ended(uint64_t number) = 0;
  // On the strand: no true answer can be given. Ends the stream, so that the
  // client asks GetReceipt.
  virtual void OutcomeUnknown(absl::Status why) = 0;
};

// Octets that may be sent before the first Credit.
inline constexpr uint64_t kInitialCredit = 256 * 1024;

// Whether an address, as it was given, is the caller's affair. Null: each is.
using RecipientFilter = std::function<bool(const std::string& address)>;

// All calls on the sink's strand unless said otherwise.
class Transaction : public std::enable_shared_from_this<Transaction> {
 public:
  // `caller` scopes the request id; `peer` is the address to count by when the
  // client's is not given; to recipients that `filter` says no to all domains are
  // foreign.
  Transaction(Deliveries* deliveries, std::shared_ptr<TransactionSink> sink, uint64_t number,
              std::string caller, std::string peer, RecipientFilter filter = nullptr);
  ~Transaction();

  void Handle(v1::Event event);

  // The stream has ended: gives up unless Commit was read.
  void Abandon();

  // Whether Commit was read: the transaction goes on without its stream.
  bool commit_read() const { return commit_read_; }
  // Whether an event is still being handled, and later ones wait for it.
  bool waiting() const { return waiting_; }

  // Any thread: fails the transaction if it is overdue at `now_us` (monotonic).
  void EndIfOverdue(int64_t now_us);

 private:
  enum class State { kNew, kOpen, kReady, kReplaying, kEnded };

  struct Accepted {
    std::string address;  // As given.
    uint64_t mailbox = 0;
    bool permfail = false;  // The domain's policy.
    bool exempt = false;
    // Another recipient of this transaction has the same mailbox before it.
    bool repeated = false;
    size_t decided = 0;  // Its place in decided_.
    // Of all that have this mailbox; kept by the first.
    std::vector<stored::DsnRecipient> dsn;
    v1::Outcome outcome = v1::OUTCOME_OK;  // What it would be at Commit.
    std::optional<engine::Shortage> shortage;
  };

  void Next();                   // Handles events until one has to wait.
  void Apply(v1::Event& event);  // Handles one.
  void OnBegin(const v1::Begin& begin);
  void OnOpened(absl::StatusOr<engine::OpenResult> result);
  void OnRecipient(const v1::Recipient& recipient);
  void ResolveRecipient(const v1::Recipient& recipient, Age age);
  void OnResolved(const v1::Recipient& recipient, Age age, absl::StatusOr<Resolution> result);
  void OnData();
  void OnConfirmed(absl::StatusOr<engine::Confirmed> result);
  void OnChunk(std::string octets);
  void Append(std::string octets);
  void OnExtended(std::string octets, absl::StatusOr<engine::Extended> result);
  void OnAppended(size_t octets, const absl::Status& status);
  void OnFinished(const v1::Commit& commit, absl::StatusOr<std::unique_ptr<engine::StagedBody>> body);
  void OnCommit(const v1::Commit& commit);
  void Store(std::unique_ptr<engine::StagedBody> body);
  void OnStored(absl::StatusOr<stored::Receipt> result);

  // The same steps when a receipt of the id exists already.
  void ReplayRecipient(const std::string& address);

  // Notes who lost their reservation, and gives it up. False if that ends the
  // transaction (which is refused then).
  bool TakeLosses(const std::vector<engine::Lost>& lost);
  // One outcome for all that failed: permanent only if everybody's is.
  v1::Outcome CombinedOutcome() const;
  bool AnyLive() const;
  v1::Receipts Receipts(const stored::Receipt& receipt) const;
  void Decide(const v1::Decision& decision, uint64_t mailbox);
  void Refuse(v1::Outcome outcome, std::string detail, const v1::Shortage* shortage = nullptr);
  void RefuseForStatus(const absl::Status& status, absl::string_view where);
  void Send(v1::Answer answer);
  void ReleaseAll();
  void End();
  void UncountClient();
  // Wraps an engine callback: back onto the strand, this object kept alive, the
  // next event handled afterwards.
  template <typename T, typename Fn>
  absl::AnyInvocable<void(T)> Resume(Fn fn);

  Deliveries* const deliveries_;
  const std::shared_ptr<TransactionSink> sink_;
  const uint64_t number_;
  const std::string caller_;
  const RecipientFilter filter_;
  // Told to the operator.
  void NoteRefusal(v1::Outcome outcome, const std::string& recipient, std::string detail) const;
  static std::string NumbersOf(const v1::Shortage& shortage);

  std::string client_;

  State state_ = State::kNew;
  std::deque<v1::Event> events_;
  bool waiting_ = false;  // For the engine or the directory.
  bool commit_read_ = false;
  bool abandoned_ = false;
  const int64_t since_us_;
  std::atomic<int64_t> last_event_us_;
  std::atomic<bool> overdue_exempt_{false};  // After Commit nothing is overdue.

  engine::TransactionId id_;
  bool engine_open_ = false;
  bool per_recipient_ = false;
  std::string sender_;
  v1::Ret ret_ = v1::RET_UNSPECIFIED;
  std::string envid_;
  bool detect_retries_ = false;
  std::string retry_key_;  // Of a Commit with a digest.
  std::optional<uint64_t> declared_;
  uint64_t client_counted_ = 0;
  uint64_t disk_reserved_ = 0;

  std::vector<Accepted> accepted_;
  std::vector<stored::ReceiptRecipient> decided_;  // All, in order.

  std::unique_ptr<engine::BodyWriter> writer_;
  uint64_t received_ = 0;
  uint64_t covered_ = 0;  // Every live reservation is at least this.
  uint64_t credit_granted_ = kInitialCredit;
  uint64_t consumed_since_credit_ = 0;

  // While replaying.
  stored::Receipt replay_;
  int replay_next_ = 0;
};

template <typename T, typename Fn>
absl::AnyInvocable<void(T)> Transaction::Resume(Fn fn) {
  waiting_ = true;
  return [self = shared_from_this(), fn = std::move(fn)](T result) mutable {
    Transaction* const t = self.get();
    t->sink_->Post([self = std::move(self), fn = std::move(fn), result = std::move(result)]() mutable {
      self->waiting_ = false;
      if (self->state_ == State::kEnded) return;
      fn(self.get(), std::move(result));
      self->Next();
    });
  };
}

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_TRANSACTION_H_
