#include "restante/delivery.h"

#include <grpcpp/channel.h>
#include <sys/random.h>

#include <cstdlib>
#include <utility>

#include "client/lib/delivery_client.h"
#include "client/lib/stores.h"

namespace restante {
namespace {

using client_internal::DeliverStream;
using client_internal::Handlers;
using client_internal::StatePtr;
using client_internal::Stores;
using client_internal::TransactionState;

class TransactionImpl : public Transaction {
 public:
  TransactionImpl(std::weak_ptr<Handlers> handlers, StatePtr state, std::shared_ptr<DeliverStream> stream)
      : handlers_(std::move(handlers)), state_(std::move(state)), stream_(std::move(stream)) {}

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
    if (std::shared_ptr<Handlers> handlers = handlers_.lock()) {
      std::vector<std::pair<StatePtr, v1::Answer>> answers;
      answers.emplace_back(state_, std::move(answer));
      handlers->Answers(std::move(answers));
    }
  }
  void Commit(std::string digest) override {
    if (stream_ != nullptr) stream_->Commit(state_, std::move(digest));
  }
  void Abort() override {
    if (stream_ != nullptr) stream_->Abort(state_);
  }

 private:
  const std::weak_ptr<Handlers> handlers_;
  const StatePtr state_;
  const std::shared_ptr<DeliverStream> stream_;
};

class DeliveryClientImpl : public DeliveryClient {
 public:
  explicit DeliveryClientImpl(std::shared_ptr<Stores> stores) : stores_(std::move(stores)) {
    stores_->Start();
  }
  ~DeliveryClientImpl() override { stores_->Stop(); }

  std::unique_ptr<Transaction> Begin(v1::Begin begin, TransactionHandler* handler,
                                     absl::string_view first_recipient) override {
    if (begin.request_id().empty()) begin.set_request_id(NewRequestId());
    auto state = std::make_shared<TransactionState>();
    state->handler = handler;
    std::shared_ptr<DeliverStream> stream = stores_->Begin(state, std::move(begin), first_recipient);
    return std::make_unique<TransactionImpl>(stores_->handlers(), std::move(state), std::move(stream));
  }

  void HandedOver(std::string transaction_id, std::vector<std::string> mailboxes) override {
    v1::HandedOver handed_over;
    handed_over.set_transaction_id(std::move(transaction_id));
    for (std::string& mailbox : mailboxes) handed_over.add_mailboxes(std::move(mailbox));
    stores_->HandedOver(std::move(handed_over));
  }

  void Settle(std::string request_id, std::vector<std::string> mailboxes, std::chrono::milliseconds patience,
              absl::AnyInvocable<void(absl::StatusOr<v1::GetReceiptResponse>)> done) override {
    v1::GetReceiptRequest request;
    request.set_request_id(std::move(request_id));
    for (std::string& mailbox : mailboxes) request.add_mailboxes(std::move(mailbox));
    stores_->Settle(std::move(request), patience, std::move(done));
  }

  void CheckRecipient(v1::CheckRecipientRequest request, std::chrono::milliseconds patience,
                      absl::AnyInvocable<void(absl::StatusOr<v1::CheckRecipientResponse>)> done) override {
    stores_->CheckRecipient(std::move(request), patience, std::move(done));
  }

  v1::Capacity capacity() const override { return stores_->capacity(); }
  bool connected() const override { return stores_->connected(); }
  std::vector<StoreState> stores() const override { return stores_->states(); }

 private:
  const std::shared_ptr<Stores> stores_;
};

}  // namespace

std::shared_ptr<DeliveryClient> client_internal::MakeDeliveryClient(ClientOptions options,
                                                                    std::shared_ptr<Resolver> resolver) {
  return std::make_shared<DeliveryClientImpl>(
      std::make_shared<Stores>(std::move(options), std::move(resolver)));
}

std::shared_ptr<DeliveryClient> DeliveryClient::Connect(ClientOptions options) {
  return client_internal::MakeDeliveryClient(std::move(options),
                                             std::make_shared<client_internal::SystemResolver>());
}

std::string NewRequestId() {
  std::string id(16, '\0');
  // Up to 256 octets come whole or, before the kernel's generator is ready, wait.
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) std::abort();
  return id;
}

}  // namespace restante
