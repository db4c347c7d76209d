// DeliverMessage: one transaction, driven by a thread that waits.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "restante/client.h"

namespace restante {
namespace {

constexpr size_t kPiece = 64 * 1024;

// Waits for what the transaction hears. The executor's thread tells, the
// caller's thread asks.
class Waiter : public TransactionHandler {
 public:
  explicit Waiter(size_t recipients) : recipients_(recipients) {}

  void OnAnswer(const v1::Answer& answer) override {
    absl::MutexLock lock(&mutex_);
    switch (answer.kind_case()) {
      case v1::Answer::kBegun:
        begun_ = true;
        result_.transaction_id = answer.begun().transaction_id();
        break;
      case v1::Answer::kDecision:
        result_.decisions.push_back(answer.decision());
        break;
      case v1::Answer::kReady:
        ready_ = true;
        break;
      case v1::Answer::kReceipts:
        TakeLocked(answer.receipts());
        over_ = true;
        break;
      case v1::Answer::kRefused:
        result_.refused = answer.refused();
        over_ = true;
        break;
      case v1::Answer::kAborted:
        over_ = true;
        break;
      case v1::Answer::kCredit:
      case v1::Answer::kChecked:
      case v1::Answer::KIND_NOT_SET:
        break;
    }
  }

  void OnLost(absl::Status why, bool commit_sent) override {
    absl::MutexLock lock(&mutex_);
    lost_ = std::move(why);
    commit_sent_ = commit_sent;
    over_ = true;
  }

  // All of these return false when the transaction is over.
  bool AwaitDecisions() {
    return Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return begun_ && result_.decisions.size() >= recipients_;
    });
  }
  bool AwaitReady() {
    return Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ready_; });
  }
  bool AwaitCredit(const Transaction& t) {
    return Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return t.credit() > 0; });
  }
  void AwaitOver() {
    Await([]() { return false; });
  }

  bool over() const {
    absl::MutexLock lock(&mutex_);
    return over_;
  }
  bool AnyAccepted() const {
    absl::MutexLock lock(&mutex_);
    return std::any_of(result_.decisions.begin(), result_.decisions.end(),
                       [](const v1::Decision& d) { return d.outcome() == v1::OUTCOME_OK; });
  }
  void Take(const v1::Receipts& receipts) {
    absl::MutexLock lock(&mutex_);
    TakeLocked(receipts);
  }
  // Once the transaction is over or destroyed.
  DeliveryResult result() const {
    absl::MutexLock lock(&mutex_);
    return result_;
  }
  std::optional<absl::Status> lost(bool* commit_sent) const {
    absl::MutexLock lock(&mutex_);
    *commit_sent = commit_sent_;
    return lost_;
  }

 private:
  template <typename Condition>
  bool Await(Condition met) {
    auto either = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return over_ || met(); };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&either));
    return !over_;
  }
  void TakeLocked(const v1::Receipts& receipts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    result_.committed = receipts.committed();
    result_.transaction_id = receipts.transaction_id();
    result_.receipts.assign(receipts.receipts().begin(), receipts.receipts().end());
  }

  const size_t recipients_;
  mutable absl::Mutex mutex_;
  DeliveryResult result_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> lost_ ABSL_GUARDED_BY(mutex_);
  bool commit_sent_ ABSL_GUARDED_BY(mutex_) = false;
};

// Asks for the outcome of a lost Commit, and waits for it.
absl::StatusOr<v1::GetReceiptResponse> AwaitSettled(DeliveryClient& client, std::string request_id,
                                                    std::vector<std::string> mailboxes,
                                                    std::chrono::milliseconds patience) {
  struct Settled {
    absl::Mutex mutex;
    std::optional<absl::StatusOr<v1::GetReceiptResponse>> result ABSL_GUARDED_BY(mutex);
  };
  auto settled = std::make_shared<Settled>();
  client.Settle(std::move(request_id), std::move(mailboxes), patience, [settled](auto result) {
    absl::MutexLock lock(&settled->mutex);
    settled->result = std::move(result);
  });
  auto known = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(settled->mutex) { return settled->result.has_value(); };
  absl::MutexLock lock(&settled->mutex);
  settled->mutex.Await(absl::Condition(&known));
  return *settled->result;
}

// Gives the text's next octets, at most as many as asked for; none at the end.
using NextOctets = std::function<absl::StatusOr<std::string>(size_t)>;

absl::StatusOr<DeliveryResult> DeliverOnce(DeliveryClient& client, const Envelope& envelope,
                                           std::optional<uint64_t> size, const DeliverOptions& options,
                                           const NextOctets& next) {
  v1::Begin begin;
  std::string request_id = NewRequestId();
  begin.set_request_id(request_id);
  begin.set_mode(envelope.mode);
  begin.set_sender(envelope.sender);
  if (size.has_value()) begin.set_declared_size(*size);
  Waiter waiter(envelope.recipients.size());
  std::unique_ptr<Transaction> t = client.Begin(std::move(begin), &waiter, envelope.recipients.front());
  for (const std::string& recipient : envelope.recipients) t->Recipient(recipient);
  if (waiter.AwaitDecisions()) {
    if (!waiter.AnyAccepted()) {
      t.reset();
      return waiter.result();
    }
    t->Data();
    if (waiter.AwaitReady()) {
      while (true) {
        absl::StatusOr<std::string> octets = next(kPiece);
        if (!octets.ok()) return std::move(octets).status();
        if (octets->empty()) break;
        for (absl::string_view rest = *octets; !rest.empty() && waiter.AwaitCredit(*t);) {
          std::string piece(rest.substr(0, t->credit()));
          rest.remove_prefix(piece.size());
          t->Chunk(std::move(piece));
        }
        if (waiter.over()) break;
      }
      t->Commit();  // Without effect if the transaction is over.
      waiter.AwaitOver();
    }
  }
  t.reset();
  bool commit_sent = false;
  std::optional<absl::Status> lost = waiter.lost(&commit_sent);
  if (!lost.has_value()) return waiter.result();
  if (!commit_sent) return *lost;

  std::vector<std::string> mailboxes;
  for (const v1::Decision& decision : waiter.result().decisions) {
    if (decision.outcome() == v1::OUTCOME_OK) mailboxes.push_back(decision.mailbox());
  }
  absl::StatusOr<v1::GetReceiptResponse> settled =
      AwaitSettled(client, std::move(request_id), std::move(mailboxes), options.settle_patience);
  if (!settled.ok()) return absl::UnknownError(settled.status().message());
  if (!settled->committed()) {
    return absl::UnavailableError(absl::StrCat("nothing was stored: ", lost->message()));
  }
  waiter.Take(settled->receipts());
  return waiter.result();
}

absl::StatusOr<DeliveryResult> Deliver(DeliveryClient& client, const Envelope& envelope,
                                       std::optional<uint64_t> size, const DeliverOptions& options,
                                       const NextOctets& next) {
  if (envelope.recipients.empty()) return absl::InvalidArgumentError("a message without recipients");
  // Of several stores one may be found missing by this very delivery.
  for (size_t stores = client.stores().size();; --stores) {
    bool begun_to_read = false;
    absl::StatusOr<DeliveryResult> result =
        DeliverOnce(client, envelope, size, options, [&](size_t most) -> absl::StatusOr<std::string> {
          begun_to_read = true;
          return next(most);
        });
    if (stores <= 1 || begun_to_read || !absl::IsUnavailable(result.status())) return result;
  }
}

}  // namespace

absl::StatusOr<DeliveryResult> DeliverMessage(DeliveryClient& client, const Envelope& envelope,
                                              absl::string_view message, const DeliverOptions& options) {
  return Deliver(client, envelope, message.size(), options, [&](size_t most) -> absl::StatusOr<std::string> {
    std::string piece(message.substr(0, most));
    message.remove_prefix(piece.size());
    return piece;
  });
}

absl::StatusOr<DeliveryResult> DeliverMessage(DeliveryClient& client, const Envelope& envelope,
                                              std::istream& message, const DeliverOptions& options) {
  return Deliver(client, envelope, std::nullopt, options, [&](size_t most) -> absl::StatusOr<std::string> {
    std::string piece(most, '\0');
    message.read(piece.data(), static_cast<std::streamsize>(most));
    if (message.bad()) return absl::DataLossError("the message cannot be read to its end");
    piece.resize(static_cast<size_t>(message.gcount()));
    return piece;
  });
}

}  // namespace restante
