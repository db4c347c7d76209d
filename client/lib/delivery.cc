#include "restante/delivery.h"

#include <grpcpp/channel.h>
#include <sys/random.h>

#include <cstdlib>
#include <utility>

#include "client/lib/connection.h"

namespace restante {
namespace {

using client_internal::Connection;
using client_internal::DeliverStream;
using client_internal::StatePtr;
using client_internal::TransactionState;

class TransactionImpl : public Transaction {
 public:
  TransactionImpl(std::weak_ptr<Connection> connection, StatePtr state, std::shared_ptr<DeliverStream> stream)
      : connection_(std::move(connection)), state_(std::move(state)), stream_(std::move(stream)) {}

  ~TransactionImpl() override {
    if (stream_ != nullptr) stream_->Drop(state_);
    state_->gate.Close();
  }

  void Recipient(v1::Recipient recipient) override {
    if (stream_ != nullptr) stream_->Recipient(state_, std::move(recipient));
  }
  void Data() override {
    if (stream_ != nullptr) stream_->Data(state_);
  }
  uint64_t credit() const override { return state_->credit; }
  void Chunk(std::string octets) override {
    if (stream_ == nullptr || stream_->Chunk(state_, std::move(octets))) return;
    v1::Answer answer;
    answer.mutable_refused()->set_outcome(v1::OUTCOME_CREDIT_EXCEEDED);
    answer.mutable_refused()->set_detail("more octets than were granted");
    if (std::shared_ptr<Connection> connection = connection_.lock()) {
      std::vector<std::pair<StatePtr, v1::Answer>> answers;
      answers.emplace_back(state_, std::move(answer));
      connection->OnAnswers(std::move(answers));
    }
  }
  void Commit(std::string digest) override {
    if (stream_ != nullptr) stream_->Commit(state_, std::move(digest));
  }
  void Abort() override {
    if (stream_ != nullptr) stream_->Abort(state_);
  }

 private:
  const std::weak_ptr<Connection> connection_;
  const StatePtr state_;
  const std::shared_ptr<DeliverStream> stream_;
};

class DeliveryClientImpl : public DeliveryClient {
 public:
  explicit DeliveryClientImpl(ClientOptions options)
      : connection_(std::make_shared<Connection>(std::move(options))) {
    connection_->Start();
  }
  ~DeliveryClientImpl() override { connection_->Stop(); }

  std::unique_ptr<Transaction> Begin(v1::Begin begin, TransactionHandler* handler) override {
    if (begin.request_id().empty()) begin.set_request_id(NewRequestId());
    auto state = std::make_shared<TransactionState>();
    state->handler = handler;
    std::shared_ptr<DeliverStream> stream = connection_->Begin(state, std::move(begin));
    return std::make_unique<TransactionImpl>(connection_, std::move(state), std::move(stream));
  }

  void HandedOver(std::string transaction_id, std::vector<std::string> mailboxes) override {
    v1::HandedOver handed_over;
    handed_over.set_transaction_id(std::move(transaction_id));
    for (std::string& mailbox : mailboxes) handed_over.add_mailboxes(std::move(mailbox));
    connection_->HandedOver(std::move(handed_over));
  }

  void Settle(std::string request_id, std::vector<std::string> mailboxes, std::chrono::milliseconds patience,
              absl::AnyInvocable<void(absl::StatusOr<v1::GetReceiptResponse>)> done) override {
    v1::GetReceiptRequest request;
    request.set_request_id(std::move(request_id));
    for (std::string& mailbox : mailboxes) request.add_mailboxes(std::move(mailbox));
    connection_->Settle(std::move(request), patience, std::move(done));
  }

  void CheckRecipient(v1::CheckRecipientRequest request, std::chrono::milliseconds patience,
                      absl::AnyInvocable<void(absl::StatusOr<v1::CheckRecipientResponse>)> done) override {
    connection_->CheckRecipient(std::move(request), patience, std::move(done));
  }

  v1::Capacity capacity() const override { return connection_->capacity(); }
  bool connected() const override { return connection_->connected(); }

 private:
  const std::shared_ptr<Connection> connection_;
};

}  // namespace

std::shared_ptr<DeliveryClient> DeliveryClient::Connect(ClientOptions options) {
  return std::make_shared<DeliveryClientImpl>(std::move(options));
}

std::string NewRequestId() {
  std::string id(16, '\0');
  // Up to 256 octets come whole or, before the kernel's generator is ready, wait.
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) std::abort();
  return id;
}

}  // namespace restante
