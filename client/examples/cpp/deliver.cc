// Delivers a message as an MTA does, step by step: deliver STORE SENDER RECIPIENT... < MESSAGE
//
// STORE is HOST:PORT, the message has CRLF line ends. RESTANTE_STORE_CA, a file, has the
// connection go by TLS; RESTANTE_STORE_CERT and RESTANTE_STORE_KEY, or
// RESTANTE_STORE_TOKEN_FILE, say who we are. Exit status: 0 stored for all, 75 try again
// for some, 69 no use to try again (sysexits.h).
//
// With a thread to spare for each message, DeliverMessage() of restante/client.h is all
// this in one call.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "restante/delivery.h"

namespace {

using restante::v1::Outcome;

constexpr size_t kChunk = 64 * 1024;
constexpr std::chrono::minutes kPatience(5);  // For an outcome that was lost.

// A 5xx of SMTP. Everything else is temporary, what a later version may add among it.
bool IsPermanent(Outcome outcome) {
  switch (outcome) {
    case restante::v1::OUTCOME_MAILBOX_FULL_PERMANENTLY:
    case restante::v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT:
    case restante::v1::OUTCOME_MESSAGE_TOO_LARGE:
    case restante::v1::OUTCOME_NO_SUCH_MAILBOX:
    case restante::v1::OUTCOME_FOREIGN_DOMAIN:
    case restante::v1::OUTCOME_MAILBOX_DISABLED:
    case restante::v1::OUTCOME_INVALID_ADDRESS:
      return true;
    default:
      return false;
  }
}

struct Mail {
  std::string sender;
  std::vector<std::string> recipients;
  std::string text;
};

// One transaction. No thread waits for it: each answer causes the next step, on the
// client's thread, or on an event loop's (ClientOptions::executor).
class Delivery final : public restante::TransactionHandler {
 public:
  // A queueing MTA keeps `request_id` (NewRequestId()) with the message: with the same one
  // a repetition stores nothing twice.
  Delivery(restante::DeliveryClient* client, Mail mail, std::string request_id)
      : client_(client), mail_(std::move(mail)), request_id_(std::move(request_id)) {}

  // The recipients' outcomes, in order. Once.
  std::future<std::vector<Outcome>> Start() {
    const std::lock_guard<std::mutex> lock(mutex_);  // Answers may come before Begin() returns.
    restante::v1::Begin begin;
    begin.set_request_id(request_id_);
    begin.set_sender(mail_.sender);
    begin.set_declared_size(mail_.text.size());
    transaction_ = client_->Begin(std::move(begin), this);  // MAIL
    return done_.get_future();
  }

  void OnAnswer(const restante::v1::Answer& answer) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    using Kind = restante::v1::Answer;
    switch (answer.kind_case()) {
      case Kind::kBegun:
        return NextRecipient();
      case Kind::kDecision:
        // With OUTCOME_OK there is room, and it is ours.
        outcomes_.push_back(answer.decision().outcome());
        if (!answer.decision().mailbox().empty()) mailboxes_.push_back(answer.decision().mailbox());
        return NextRecipient();
      case Kind::kReady:
        // From here on a message of the declared size is refused neither for quota nor for disk.
        ready_ = true;
        return SendText();
      case Kind::kCredit:
        return SendText();
      case Kind::kReceipts:
        return Finish(answer.receipts(), restante::v1::OUTCOME_UNAVAILABLE);
      case Kind::kRefused:
        std::cerr << "refused: " << answer.refused().detail() << "\n";
        return Finish({}, answer.refused().outcome());
      case Kind::kAborted:
        return Finish({}, restante::v1::OUTCOME_UNAVAILABLE);
      case Kind::kChecked:
      case Kind::KIND_NOT_SET:
        return;
    }
  }

  void OnLost(absl::Status why, bool commit_sent) override {
    std::cerr << "lost: " << why << "\n";
    if (!commit_sent) return Finish({}, restante::v1::OUTCOME_UNAVAILABLE);
    // Asks what became of it. What is not committed then never will be; what nobody can
    // tell is tried again, with the same request id.
    client_->Settle(request_id_, mailboxes_, kPatience, [this](auto found) {
      if (!found.ok()) std::cerr << "not known: " << found.status() << "\n";
      Finish(found.ok() ? found->receipts() : restante::v1::Receipts(), restante::v1::OUTCOME_UNAVAILABLE);
    });
  }

 private:
  // RCPT, one after another, then DATA.
  void NextRecipient() {
    if (outcomes_.size() < mail_.recipients.size()) {
      return transaction_->Recipient(mail_.recipients[outcomes_.size()]);
    }
    if (std::count(outcomes_.begin(), outcomes_.end(), restante::v1::OUTCOME_OK) == 0) {
      return transaction_->Abort();
    }
    transaction_->Data();
  }

  // As far as there is credit, and the final dot behind it.
  void SendText() {
    if (!ready_) return;
    while (sent_ < mail_.text.size() && transaction_->credit() > 0) {
      const size_t size = std::min<size_t>(transaction_->credit(), kChunk);
      transaction_->Chunk(mail_.text.substr(sent_, size));
      sent_ = std::min(sent_ + size, mail_.text.size());
    }
    if (sent_ == mail_.text.size() && !std::exchange(committed_, true)) transaction_->Commit();
  }

  // Who was accepted, or not asked about, has a receipt or shares what became of the whole.
  void Finish(const restante::v1::Receipts& receipts, Outcome instead) {
    outcomes_.resize(mail_.recipients.size(), restante::v1::OUTCOME_OK);
    int next = 0;
    for (Outcome& outcome : outcomes_) {
      if (outcome != restante::v1::OUTCOME_OK) continue;
      outcome = next < receipts.receipts_size() ? receipts.receipts(next++).outcome() : instead;
    }
    done_.set_value(outcomes_);
  }

  restante::DeliveryClient* const client_;
  const Mail mail_;
  const std::string request_id_;
  std::mutex mutex_;
  std::vector<Outcome> outcomes_;
  std::vector<std::string> mailboxes_;
  size_t sent_ = 0;
  bool ready_ = false, committed_ = false;
  std::promise<std::vector<Outcome>> done_;
  std::unique_ptr<restante::Transaction> transaction_;
};

std::string Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 64;
  const restante::StoreCredentials credentials = {
      .ca_file = Setting("RESTANTE_STORE_CA"),
      .certificate_file = Setting("RESTANTE_STORE_CERT"),
      .key_file = Setting("RESTANTE_STORE_KEY"),
      .token_file = Setting("RESTANTE_STORE_TOKEN_FILE"),
  };
  if (absl::Status status = restante::CheckCredentials(credentials, argv[1]); !status.ok()) {
    std::cerr << status << "\n";
    return 78;
  }
  Mail mail = {argv[2], {argv + 3, argv + argc}, {std::istreambuf_iterator<char>(std::cin), {}}};
  const std::vector<std::string> recipients = mail.recipients;
  auto client = restante::DeliveryClient::Connect({.target = argv[1], .credentials = credentials});
  Delivery delivery(client.get(), std::move(mail), restante::NewRequestId());
  const std::vector<Outcome> outcomes = delivery.Start().get();
  client.reset();  // Its thread has left `delivery`.

  int status = 0;
  for (size_t i = 0; i < recipients.size(); ++i) {
    std::cout << recipients[i] << " " << restante::v1::Outcome_Name(outcomes[i]) << "\n";
    if (outcomes[i] == restante::v1::OUTCOME_OK || status == 75) continue;
    status = IsPermanent(outcomes[i]) ? 69 : 75;
  }
  return status;
}
