// One delivery transaction and the stream that it would come by: events in,
// answers out as text. The caller says when it has heard enough.
#ifndef RESTANTE_TESTS_MODEL_CONVERSATION_H_
#define RESTANTE_TESTS_MODEL_CONVERSATION_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "restante/v1/delivery.pb.h"
#include "server/base/strand.h"
#include "server/mail/deliveries.h"
#include "server/mail/transaction.h"

namespace restante::model {

// One thread talks; answers come on any.
class Conversation : public mail::TransactionSink, public std::enable_shared_from_this<Conversation> {
 public:
  // `caller` scopes request ids.
  static std::shared_ptr<Conversation> Begin(mail::Deliveries& deliveries, const std::string& caller);

  // Sends an event and does not wait.
  void Tell(v1::Event event);
  // The stream ends, without a word.
  void HangUp();
  // Waits until everything told is handled. All answers since the last time, in
  // order; "over" at the end if the transaction has ended.
  std::string Answers();
  std::string Ask(v1::Event event) {
    Tell(std::move(event));
    return Answers();
  }

  // As of the last Answers.
  bool over() const { return over_seen_; }
  // Octets of text that may be sent, as of the last Answers.
  uint64_t credit() const { return credit_seen_; }
  // Outcome of the last Decision or Refused, OUTCOME_OK for Receipts.
  v1::Outcome outcome() const { return outcome_seen_; }
  // Whether somebody lost a reservation that was granted, as of the last Answers.
  bool lost() const { return lost_seen_; }
  // The receipts, once they came.
  const v1::Receipts& receipts() const { return receipts_seen_; }

  void Post(absl::AnyInvocable<void()> fn) override;
  void Send(v1::Answer answer) override;
  void Ended(uint64_t number) override;
  void OutcomeUnknown(absl::Status why) override;

 private:
  Conversation() = default;
  bool Quiet() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return told_ == handled_ && !waiting_; }

  Strand strand_;
  std::shared_ptr<mail::Transaction> transaction_;  // The strand's.

  absl::Mutex mutex_;
  uint64_t told_ ABSL_GUARDED_BY(mutex_) = 0, handled_ ABSL_GUARDED_BY(mutex_) = 0;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::string answers_ ABSL_GUARDED_BY(mutex_);
  uint64_t credit_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::Outcome outcome_ ABSL_GUARDED_BY(mutex_) = v1::OUTCOME_OK;
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  v1::Receipts receipts_ ABSL_GUARDED_BY(mutex_);

  // The talking thread's own.
  bool over_seen_ = false;
  uint64_t credit_seen_ = 0;
  v1::Outcome outcome_seen_ = v1::OUTCOME_OK;
  bool lost_seen_ = false;
  v1::Receipts receipts_seen_;
};

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_CONVERSATION_H_
