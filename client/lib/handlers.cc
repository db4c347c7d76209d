#include "client/lib/handlers.h"

#include "client/lib/completion.h"

namespace restante::client_internal {

void Handlers::Post(absl::AnyInvocable<void()> fn) {
  auto guarded = [self = shared_from_this(), fn = std::move(fn)]() mutable {
    if (!self->gate_.Enter()) return;
    fn();
    self->gate_.Leave();
  };
  if (executor_) {
    executor_(std::move(guarded));
  } else {
    strand_.Post(std::move(guarded));
  }
}

void Handlers::Soon(absl::AnyInvocable<void()> fn) {
  if (!executor_) return fn();
  Post([fn = std::move(fn)]() mutable { CompleteHere([&] { fn(); }); });
}

void Handlers::Answers(std::vector<std::pair<StatePtr, v1::Answer>> answers) {
  // Kept alive by Post.
  Post([this, answers = std::move(answers)] {
    for (const auto& [transaction, answer] : answers) {
      if (gate_.closed()) return;  // One of the handlers has destroyed the client.
      if (transaction->told_last || !transaction->gate.Enter()) continue;
      transaction->told_last = answer.has_receipts() || answer.has_refused() || answer.has_aborted();
      transaction->handler->OnAnswer(answer);
      transaction->gate.Leave();
    }
  });
}

void Handlers::Lost(StatePtr transaction, absl::Status why, bool commit_sent) {
  Post([transaction = std::move(transaction), why = std::move(why), commit_sent]() mutable {
    if (std::exchange(transaction->told_last, true) || !transaction->gate.Enter()) return;
    transaction->handler->OnLost(std::move(why), commit_sent);
    transaction->gate.Leave();
  });
}

}  // namespace restante::client_internal
