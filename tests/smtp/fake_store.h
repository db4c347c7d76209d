// A store for tests of the front end: answers as it is told, when it is told.
#ifndef RESTANTE_TESTS_SMTP_FAKE_STORE_H_
#define RESTANTE_TESTS_SMTP_FAKE_STORE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "restante/delivery.h"

namespace restante::smtp {

// One thread: that of the sessions.
class FakeStore : public DeliveryClient {
 public:
  // The steps at which an answer can be held back or the store be lost.
  enum class Step { kBegin, kRecipient, kData, kText, kCommit, kSettle, kAbort, kCheck };

  struct Stored {
    v1::Begin begin;
    std::vector<std::string> recipients;  // That got it.
    std::string text;
    std::string digest;
  };

  enum class Settled { kCommitted, kNotCommitted, kUnknown };

  // --- knobs ---
  v1::Outcome begin = v1::OUTCOME_OK;
  std::map<std::string, v1::Outcome> recipients;    // Others are OK.
  v1::Outcome data = v1::OUTCOME_OK;                // Refused at DATA.
  std::map<std::string, v1::Outcome> lost_at_data;  // PER_RECIPIENT.
  v1::Outcome commit = v1::OUTCOME_OK;              // Refused at Commit.
  std::map<std::string, v1::Outcome> receipts;      // Others are OK.
  std::map<std::string, std::string> suppressed;    // By which transaction they have it.
  uint64_t refuse_text_after = std::numeric_limits<uint64_t>::max();
  v1::Outcome refuse_text_with = v1::OUTCOME_MESSAGE_TOO_LARGE;
  std::optional<v1::Shortage> shortage;  // Goes with every refusal.
  std::set<Step> lose_at;
  std::set<Step> hold_at;
  Settled settled = Settled::kUnknown;
  uint64_t window = 256 * 1024;
  // Grants credit for what it has taken; else only Grant() does.
  bool auto_credit = true;
  v1::Capacity capacity_answer;
  bool away = false;  // For connected() and CheckRecipient.
  // Where answers run; by default they wait for Drain().
  std::function<void(absl::AnyInvocable<void()>)> executor;

  // --- what happened ---
  std::vector<Stored> stored;
  std::vector<v1::Begin> begun;
  std::vector<std::string> foreseen;  // The first recipient as Begin was told it.
  std::vector<v1::Recipient> asked;
  size_t open = 0;     // Transactions that have neither ended nor been given up.
  size_t aborted = 0;  // Given up before their end.
  size_t commits = 0;
  std::vector<std::string> handed_over;  // Transaction ids.
  size_t chunks = 0;
  uint64_t chunk_octets = 0;
  size_t settles = 0;
  std::vector<std::string> settle_mailboxes;
  std::string settle_request_id;
  std::vector<v1::CheckRecipientRequest> checks;
  // A client that broke the order or the credit.
  std::vector<std::string> violations;

  // Runs what has gathered, and what comes of it.
  void Drain();
  // Lets go what was held, and holds no more.
  void Release();
  // More credit for every open transaction.
  void Grant(uint64_t octets);
  // Ends every open transaction as a lost stream does.
  void LoseAll();

  // DeliveryClient.
  std::unique_ptr<Transaction> Begin(v1::Begin request, TransactionHandler* handler,
                                     absl::string_view first_recipient) override;
  void HandedOver(std::string transaction_id, std::vector<std::string> mailboxes) override;
  void Settle(std::string request_id, std::vector<std::string> mailboxes, std::chrono::milliseconds patience,
              absl::AnyInvocable<void(absl::StatusOr<v1::GetReceiptResponse>)> done) override;
  void CheckRecipient(v1::CheckRecipientRequest request, std::chrono::milliseconds patience,
                      absl::AnyInvocable<void(absl::StatusOr<v1::CheckRecipientResponse>)> done) override;
  v1::Capacity capacity() const override { return capacity_answer; }
  bool connected() const override { return !away; }
  std::vector<StoreState> stores() const override { return {}; }

 private:
  class FakeTransaction;
  struct State;

  void Post(Step step, absl::AnyInvocable<void()> fn);
  void Answer(Step step, const std::shared_ptr<State>& state, v1::Answer answer);
  void Lose(const std::shared_ptr<State>& state, bool commit_sent);
  v1::Receipts ReceiptsOf(const State& state);

  std::deque<absl::AnyInvocable<void()>> queue_;
  std::deque<absl::AnyInvocable<void()>> held_;
  std::vector<std::shared_ptr<State>> states_;
};

}  // namespace restante::smtp

#endif  // RESTANTE_TESTS_SMTP_FAKE_STORE_H_
