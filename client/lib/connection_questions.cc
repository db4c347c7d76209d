// Single questions to a store, in no transaction.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/lib/connection.h"

namespace restante::client_internal {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::shared_ptr<v1::DeliveryService::Stub> Connection::StubFor(bool wait, absl::Status* why) const {
  absl::MutexLock lock(&mutex_);
  if (stub_ != nullptr && (link_ != Link::kAway || wait)) return stub_;
  *why = away_why_;
  return nullptr;
}

void Connection::GetReceipt(const v1::GetReceiptRequest& request, milliseconds deadline, bool wait,
                            Calls::Done<v1::GetReceiptResponse> done) {
  absl::Status why;
  const std::shared_ptr<v1::DeliveryService::Stub> stub = StubFor(wait, &why);
  if (stub == nullptr) return done(why);
  calls_->Ask(*stub, channels_, &v1::DeliveryService::Stub::AsyncGetReceipt, request, deadline, wait,
              std::move(done));
}

// --- CheckRecipient -----------------------------------------------------------------

void Connection::CheckRecipient(std::shared_ptr<const v1::CheckRecipientRequest> request,
                                milliseconds deadline, CheckDone done) {
  Question question{.stream = nullptr,
                    .end = steady_clock::now() + deadline,
                    .request = std::move(request),
                    .done = std::move(done)};
  while (true) {
    std::shared_ptr<DeliverStream> stream;
    const std::shared_ptr<const v1::CheckRecipientRequest> asked = question.request;
    uint64_t number;
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_ || link_ == Link::kAway || asks_alone_) break;
      stream = LeastLoaded();
      if (stream == nullptr) stream = Open(/*solo=*/false);
      question.stream = stream.get();
      number = ++last_question_;
      WatchQuestions(question.end);
      questions_.emplace(number, std::move(question));
    }
    if (stream->Check(number, *asked)) return;
    // It ended between the two; OnStreamDone is on its way, or has answered.
    absl::MutexLock lock(&mutex_);
    Forget(stream.get());
    const auto found = questions_.find(number);
    if (found == questions_.end()) return;
    question = std::move(found->second);
    questions_.erase(found);
  }
  AskAlone(std::move(question));
}

void Connection::AskAlone(Question question) {
  absl::Status why;
  const std::shared_ptr<v1::DeliveryService::Stub> stub = StubFor(/*wait=*/false, &why);
  if (stub == nullptr) {
    std::vector<Question> questions;
    questions.push_back(std::move(question));
    return Fail(std::move(questions), why);
  }
  const std::shared_ptr<const v1::CheckRecipientRequest> request = question.request;
  const milliseconds left = duration_cast<milliseconds>(question.end - steady_clock::now());
  calls_->Ask<v1::CheckRecipientRequest, v1::CheckRecipientResponse>(
      *stub, channels_, &v1::DeliveryService::Stub::AsyncCheckRecipient, *request,
      std::max(left, milliseconds(0)), /*wait=*/false,
      [handlers = handlers_, done = std::move(question.done)](auto response) mutable {
        handlers->Post([done = std::move(done), response = std::move(response)]() mutable {
          if (!response.ok()) return done(response.status());
          done(std::move(*response->mutable_decision()));
        });
      });
}

void Connection::OnChecked(std::vector<v1::Checked> answers) {
  std::vector<std::pair<CheckDone, v1::Decision>> all;
  all.reserve(answers.size());
  {
    absl::MutexLock lock(&mutex_);
    for (v1::Checked& answer : answers) {
      const auto found = questions_.find(answer.number());
      if (found == questions_.end()) continue;  // It comes too late.
      all.emplace_back(std::move(found->second.done), std::move(*answer.mutable_decision()));
      questions_.erase(found);
    }
  }
  handlers_->Post([handlers = handlers_.get(), all = std::move(all)]() mutable {
    for (auto& [done, decision] : all) {
      if (handlers->closed()) return;
      done(std::move(decision));
    }
  });
}

void Connection::OnCheckUnknown(DeliverStream* stream) {
  std::vector<Question> questions;
  {
    absl::MutexLock lock(&mutex_);
    asks_alone_ = true;
    questions = TakeQuestions([stream](const Question& question) { return question.stream == stream; });
  }
  for (Question& question : questions) AskAlone(std::move(question));
}

std::vector<Connection::Question> Connection::TakeQuestions(absl::FunctionRef<bool(const Question&)> which) {
  std::vector<Question> taken;
  for (auto it = questions_.begin(); it != questions_.end();) {
    const auto at = it++;
    if (!which(at->second)) continue;
    taken.push_back(std::move(at->second));
    questions_.erase(at);
  }
  return taken;
}

void Connection::Fail(std::vector<Question> questions, const absl::Status& why) {
  if (questions.empty()) return;
  handlers_->Post([handlers = handlers_.get(), questions = std::move(questions), why]() mutable {
    for (Question& question : questions) {
      if (handlers->closed()) return;
      question.done(why);
    }
  });
}

void Connection::WatchQuestions(Time end) {
  // One alarm for all: what is answered in time has none of its own.
  if (end >= question_alarm_) return;
  question_alarm_ = end;
  timer_->At(end, [weak = weak_from_this()] {
    if (const std::shared_ptr<Connection> self = weak.lock()) self->EndOverdueQuestions();
  });
}

void Connection::EndOverdueQuestions() {
  const Time now = steady_clock::now();
  std::vector<Question> overdue;
  {
    absl::MutexLock lock(&mutex_);
    overdue = TakeQuestions([now](const Question& question) { return question.end <= now; });
    question_alarm_ = Time::max();
    for (const auto& [number, question] : questions_) WatchQuestions(question.end);
  }
  Fail(std::move(overdue), absl::DeadlineExceededError(absl::StrCat(options_.target, ": no answer in time")));
}

}  // namespace restante::client_internal
