#include "tests/smtp/fake_store.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace restante::smtp {

struct FakeStore::State {
  TransactionHandler* handler = nullptr;
  bool ended = false;
  size_t number = 0;
  Stored message;
  std::vector<std::string> accepted;
  uint64_t credit = 0;
  uint64_t received = 0;
  bool begun = false;
  bool ready = false;
  bool commit = false;
  bool failed = false;  // What follows is dropped.
};

namespace {

void ExplainRefusals(const v1::Shortage& shortage, v1::Answer* answer) {
  const auto explain = [&](auto& said) {
    if (said.outcome() != v1::OUTCOME_OK) *said.mutable_shortage() = shortage;
  };
  if (answer->has_decision()) {
    v1::Decision& decision = *answer->mutable_decision();
    decision.set_mailbox("mailboxes/" + decision.address());
    explain(decision);
  }
  if (answer->has_refused()) explain(*answer->mutable_refused());
  if (answer->has_ready()) {
    for (v1::Decision& lost : *answer->mutable_ready()->mutable_lost()) {
      lost.set_mailbox("mailboxes/" + lost.address());
      explain(lost);
    }
  }
  if (answer->has_receipts()) {
    for (v1::Receipt& receipt : *answer->mutable_receipts()->mutable_receipts()) explain(receipt);
  }
}

}  // namespace

class FakeStore::FakeTransaction : public Transaction {
 public:
  FakeTransaction(FakeStore* store, std::shared_ptr<State> state) : store_(store), state_(std::move(state)) {}
  ~FakeTransaction() override {
    state_->handler = nullptr;
    if (state_->ended) return;
    state_->ended = true;
    --store_->open;
    if (!state_->commit) ++store_->aborted;
  }

  void Recipient(v1::Recipient recipient) override {
    const std::string& address = recipient.address();
    store_->asked.push_back(recipient);
    if (state_->ended) return;
    if (state_->ready) store_->violations.push_back("Recipient after Data");
    v1::Answer answer;
    v1::Decision& decision = *answer.mutable_decision();
    decision.set_address(address);
    const auto outcome = store_->recipients.find(address);
    decision.set_outcome(outcome == store_->recipients.end() ? v1::OUTCOME_OK : outcome->second);
    if (recipient.ignore_quota() && decision.outcome() == v1::OUTCOME_MAILBOX_FULL) {
      decision.set_outcome(v1::OUTCOME_OK);
    }
    if (decision.outcome() == v1::OUTCOME_OK) {
      decision.set_mailbox("mailboxes/" + address);
      state_->accepted.push_back(address);
    }
    store_->Answer(Step::kRecipient, state_, std::move(answer));
  }

  void Data() override {
    if (state_->ended) return;
    if (state_->accepted.empty()) store_->violations.push_back("Data without an accepted recipient");
    v1::Answer answer;
    if (store_->data != v1::OUTCOME_OK) {
      answer.mutable_refused()->set_outcome(store_->data);
    } else {
      v1::Ready& ready = *answer.mutable_ready();
      for (const std::string& address : state_->accepted) {
        const auto lost = store_->lost_at_data.find(address);
        if (lost == store_->lost_at_data.end()) continue;
        v1::Decision& decision = *ready.add_lost();
        decision.set_address(address);
        decision.set_outcome(lost->second);
      }
      state_->ready = true;
    }
    store_->Answer(Step::kData, state_, std::move(answer));
  }

  uint64_t credit() const override { return state_->credit; }

  void Chunk(std::string octets) override {
    if (state_->ended || state_->failed) return;
    if (octets.empty()) store_->violations.push_back("an empty chunk");
    if (!state_->ready) store_->violations.push_back("Chunk before Ready");
    if (octets.size() > state_->credit) store_->violations.push_back("more than was granted");
    ++store_->chunks;
    store_->chunk_octets += octets.size();
    state_->credit -= octets.size();
    state_->received += octets.size();
    state_->message.text += octets;
    if (store_->lose_at.count(Step::kText) > 0) {
      state_->failed = true;
      return store_->Lose(state_, false);
    }
    v1::Answer answer;
    if (state_->received > store_->refuse_text_after) {
      state_->failed = true;
      answer.mutable_refused()->set_outcome(store_->refuse_text_with);
      return store_->Answer(Step::kText, state_, std::move(answer));
    }
    if (!store_->auto_credit) return;
    answer.mutable_credit()->set_bytes(octets.size());
    // As the library does: granted before the handler hears of it.
    store_->Post(Step::kText, [state = state_, answer] {
      if (state->ended) return;
      state->credit += answer.credit().bytes();
      if (state->handler != nullptr) state->handler->OnAnswer(answer);
    });
  }

  void Commit(std::string digest) override {
    if (state_->ended || state_->failed) return;
    if (!state_->ready || state_->commit) store_->violations.push_back("Commit out of order");
    state_->commit = true;
    state_->message.digest = std::move(digest);
    ++store_->commits;
    v1::Answer answer;
    if (store_->commit != v1::OUTCOME_OK) {
      answer.mutable_refused()->set_outcome(store_->commit);
    } else {
      *answer.mutable_receipts() = store_->ReceiptsOf(*state_);
      for (const v1::Receipt& receipt : answer.receipts().receipts()) {
        if (receipt.outcome() == v1::OUTCOME_OK) state_->message.recipients.push_back(receipt.address());
      }
      if (answer.receipts().committed()) store_->stored.push_back(state_->message);
    }
    store_->Answer(Step::kCommit, state_, std::move(answer));
  }

  void Abort() override {
    if (state_->ended) return;
    v1::Answer answer;
    answer.mutable_aborted();
    store_->Answer(Step::kAbort, state_, std::move(answer));
  }

 private:
  FakeStore* const store_;
  const std::shared_ptr<State> state_;
};

v1::Receipts FakeStore::ReceiptsOf(const State& state) {
  v1::Receipts result;
  result.set_transaction_id(absl::StrFormat("%032d", state.number));
  const bool all_or_none = state.message.begin.mode() == v1::Begin::ALL_OR_NONE;
  size_t failed = 0;
  for (const std::string& address : state.accepted) {
    v1::Receipt& receipt = *result.add_receipts();
    receipt.set_address(address);
    receipt.set_mailbox("mailboxes/" + address);
    receipt.set_outcome(v1::OUTCOME_OK);
    if (const auto s = suppressed.find(address); s != suppressed.end()) {
      receipt.set_first_transaction_id(s->second);
    }
    if (const auto o = receipts.find(address); o != receipts.end()) receipt.set_outcome(o->second);
    if (const auto o = lost_at_data.find(address); o != lost_at_data.end()) receipt.set_outcome(o->second);
    if (receipt.outcome() != v1::OUTCOME_OK) ++failed;
  }
  result.set_committed(all_or_none ? failed == 0 : failed < state.accepted.size());
  return result;
}

std::unique_ptr<Transaction> FakeStore::Begin(v1::Begin request, TransactionHandler* handler,
                                              absl::string_view first_recipient) {
  foreseen.emplace_back(first_recipient);
  auto state = std::make_shared<State>();
  state->handler = handler;
  state->message.begin = request;
  begun.push_back(std::move(request));
  state->number = begun.size();
  ++open;
  states_.push_back(state);
  v1::Answer answer;
  if (begin != v1::OUTCOME_OK) {
    answer.mutable_refused()->set_outcome(begin);
  } else {
    answer.mutable_begun()->set_transaction_id(absl::StrFormat("%032d", state->number));
    answer.mutable_begun()->set_credit(window);
    state->credit = window;
  }
  Answer(Step::kBegin, state, std::move(answer));
  return std::make_unique<FakeTransaction>(this, state);
}

void FakeStore::HandedOver(std::string transaction_id, std::vector<std::string> mailboxes) {
  if (mailboxes.empty()) violations.push_back("HandedOver without mailboxes");
  handed_over.push_back(std::move(transaction_id));
}

void FakeStore::Settle(std::string request_id, std::vector<std::string> mailboxes, std::chrono::milliseconds,
                       absl::AnyInvocable<void(absl::StatusOr<v1::GetReceiptResponse>)> done) {
  ++settles;
  settle_request_id = std::move(request_id);
  settle_mailboxes = std::move(mailboxes);
  Post(Step::kSettle, [this, done = std::move(done)]() mutable {
    if (settled == Settled::kUnknown) return done(absl::DeadlineExceededError("still unknown"));
    v1::GetReceiptResponse response;
    response.set_committed(settled == Settled::kCommitted);
    if (settled == Settled::kCommitted) {
      for (const auto& state : states_) {
        if (state->commit) *response.mutable_receipts() = ReceiptsOf(*state);
      }
    }
    done(std::move(response));
  });
}

void FakeStore::CheckRecipient(v1::CheckRecipientRequest request, std::chrono::milliseconds,
                               absl::AnyInvocable<void(absl::StatusOr<v1::CheckRecipientResponse>)> done) {
  checks.push_back(request);
  if (away) {
    return Post(Step::kCheck, [done = std::move(done)]() mutable { done(absl::UnavailableError("away")); });
  }
  const auto outcome = recipients.find(request.address());
  v1::CheckRecipientResponse response;
  v1::Decision& decision = *response.mutable_decision();
  decision.set_address(request.address());
  decision.set_outcome(outcome == recipients.end() ? v1::OUTCOME_OK : outcome->second);
  decision.set_mailbox("mailboxes/" + request.address());
  Post(Step::kCheck, [done = std::move(done), response]() mutable { done(std::move(response)); });
}

void FakeStore::Answer(Step step, const std::shared_ptr<State>& state, v1::Answer answer) {
  if (shortage.has_value()) ExplainRefusals(*shortage, &answer);
  if (lose_at.count(step) > 0) return Lose(state, step == Step::kCommit);
  Post(step, [this, state, answer = std::move(answer)] {
    if (state->ended) return;
    if (answer.has_receipts() || answer.has_refused() || answer.has_aborted()) {
      state->ended = true;
      --open;
      if (answer.has_aborted()) ++aborted;
    }
    if (state->handler != nullptr) state->handler->OnAnswer(answer);
  });
}

void FakeStore::Lose(const std::shared_ptr<State>& state, bool commit_sent) {
  Post(Step::kText, [this, state, commit_sent] {
    if (state->ended) return;
    state->ended = true;
    --open;
    if (state->handler != nullptr) state->handler->OnLost(absl::UnavailableError("stream lost"), commit_sent);
  });
}

void FakeStore::LoseAll() {
  for (const auto& state : states_) {
    if (!state->ended) Lose(state, state->commit);
  }
}

void FakeStore::Grant(uint64_t octets) {
  for (const auto& state : states_) {
    if (state->ended) continue;
    state->credit += octets;
    v1::Answer answer;
    answer.mutable_credit()->set_bytes(octets);
    Answer(Step::kText, state, std::move(answer));
  }
}

void FakeStore::Post(Step step, absl::AnyInvocable<void()> fn) {
  // Answers do not overtake one another.
  if (hold_at.count(step) > 0 || !held_.empty()) {
    held_.push_back(std::move(fn));
  } else if (executor) {
    executor(std::move(fn));
  } else {
    queue_.push_back(std::move(fn));
  }
}

void FakeStore::Release() {
  hold_at.clear();
  for (auto& fn : std::exchange(held_, {})) Post(Step::kBegin, std::move(fn));
}

void FakeStore::Drain() {
  while (!queue_.empty()) {
    auto fn = std::move(queue_.front());
    queue_.pop_front();
    fn();
  }
}

}  // namespace restante::smtp
