#include "tests/model/conversation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/model/describe.h"

namespace restante::model {

std::shared_ptr<Conversation> Conversation::Begin(mail::Deliveries& deliveries, const std::string& caller) {
  std::shared_ptr<Conversation> made(new Conversation);
  made->transaction_ = std::make_shared<mail::Transaction>(&deliveries, made, 1, caller, "");
  return made;
}

void Conversation::Tell(v1::Event event) {
  {
    absl::MutexLock lock(&mutex_);
    ++told_;
  }
  Post([this, event = std::move(event)]() mutable {
    // Handling may end it; what comes after the end is dropped, as by a stream.
    if (const std::shared_ptr<mail::Transaction> transaction = transaction_) {
      event.set_transaction(1);
      transaction->Handle(std::move(event));
    }
    absl::MutexLock lock(&mutex_);
    ++handled_;
  });
}

void Conversation::HangUp() {
  {
    absl::MutexLock lock(&mutex_);
    ++told_;
  }
  Post([this] {
    if (const std::shared_ptr<mail::Transaction> transaction = transaction_) transaction->Abandon();
    absl::MutexLock lock(&mutex_);
    ++handled_;
  });
}

std::string Conversation::Answers() {
  // Behind whatever the clock made others post.
  {
    absl::MutexLock lock(&mutex_);
    ++told_;
  }
  Post([this] {
    absl::MutexLock lock(&mutex_);
    ++handled_;
  });
  absl::MutexLock lock(&mutex_);
  const auto quiet = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return Quiet(); };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&quiet), absl::Minutes(2))) {
    std::fprintf(stderr, "a transaction waits for ever; answers so far: %s\n", answers_.c_str());
    std::abort();
  }
  over_seen_ = over_;
  credit_seen_ = credit_;
  outcome_seen_ = outcome_;
  lost_seen_ = lost_;
  receipts_seen_ = receipts_;
  return absl::StrCat(std::exchange(answers_, ""), over_ ? "over" : "");
}

void Conversation::Post(absl::AnyInvocable<void()> fn) {
  strand_.Post([self = shared_from_this(), fn = std::move(fn)]() mutable {
    fn();
    const bool waiting = self->transaction_ && self->transaction_->waiting();
    bool over = false;
    {
      absl::MutexLock lock(&self->mutex_);
      over = self->over_;
      if (waiting || !over) {
        self->waiting_ = waiting;
        return;
      }
    }
    // It holds this conversation, until here.
    self->transaction_.reset();
    absl::MutexLock lock(&self->mutex_);
    self->waiting_ = false;
  });
}

void Conversation::Send(v1::Answer answer) {
  absl::MutexLock lock(&mutex_);
  if (answer.has_begun()) credit_ = answer.begun().credit();
  if (answer.has_credit()) credit_ += answer.credit().bytes();
  if (answer.has_decision()) outcome_ = answer.decision().outcome();
  if (answer.has_refused()) outcome_ = answer.refused().outcome();
  if (answer.has_receipts()) {
    outcome_ = v1::OUTCOME_OK;
    receipts_ = answer.receipts();
  }
  lost_ |= answer.ready().lost_size() > 0;
  absl::StrAppend(&answers_, Describe(std::move(answer)), "; ");
}

void Conversation::Ended(uint64_t) {
  absl::MutexLock lock(&mutex_);
  over_ = true;
}

void Conversation::OutcomeUnknown(absl::Status why) {
  absl::MutexLock lock(&mutex_);
  absl::StrAppend(&answers_, "outcome unknown: ", why.message(), "; ");
}

}  // namespace restante::model
