#include "server/rpc/deliver_stream.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/rpc/delivery_calls.h"
#include "server/rpc/domains.h"

namespace restante::rpc {
namespace {

// Answers that may wait for a slow reader before no more events are read.
constexpr int kMaxGathered = 4096;
// Checks that may be under way before no more events are read.
constexpr size_t kMaxChecking = 4096;

}  // namespace

SeenNumbers::Result SeenNumbers::Add(uint64_t number) {
  if (!any_) {
    any_ = true;
    first_ = last_ = number;
    return Result::kNew;
  }
  if (Contains(number)) return Result::kSeen;
  if (number != last_ + 1) {
    if (sparse_.size() >= kMaxSparse) return Result::kTooMany;
    sparse_.insert(number);
    return Result::kNew;
  }
  last_ = number;
  while (sparse_.erase(last_ + 1) > 0) ++last_;
  return Result::kNew;
}

bool SeenNumbers::Contains(uint64_t number) const {
  return any_ && ((number >= first_ && number <= last_) || sparse_.contains(number));
}

Task<absl::Status> DeliverStream::Serve(mail::Deliveries* deliveries, Call& call) {
  absl::Status status = co_await Await<absl::Status>([&](auto done) {
    const std::shared_ptr<DeliverStream> stream(new DeliverStream(deliveries, &call, std::move(done)));
    stream->Post([stream] { stream->Pump(); });
  });
  co_return std::move(status);
}

void DeliverStream::Read() {
  reading_ = true;
  call_->Read(&request_,
              [stream = shared_from_this()](bool ok) { stream->Post([stream, ok] { stream->OnRead(ok); }); });
}

void DeliverStream::OnRead(bool ok) {
  reading_ = false;
  if (!call_) return;  // Nobody is there to answer.
  if (!ok) {
    // Half-closed, or gone: nobody will end what is open. What was committed is
    // still answered, to whoever has only half-closed.
    reads_ended_ = true;
    gone_ = gone_ || call_->over();
    AbandonAll();
    return Pump();
  }
  for (v1::Event& event : *request_.mutable_events()) {
    if (!end_.ok()) break;
    Take(std::move(event));
  }
  request_.Clear();
  Pump();
}

void DeliverStream::Take(v1::Event event) {
  if (event.has_handed_over()) return deliveries_->HandedOver(event.handed_over().transaction_id());
  if (event.has_check()) return Check(event.check());
  const uint64_t number = event.transaction();
  auto it = live_.find(number);
  if (event.has_begin()) {
    switch (seen_.Add(number)) {
      case SeenNumbers::Result::kNew:
        break;
      case SeenNumbers::Result::kSeen:
        end_ = absl::InvalidArgumentError(
            absl::StrCat("transaction ", number, ": the number was used before on this stream"));
        return AbandonAll();
      case SeenNumbers::Result::kTooMany:
        end_ = absl::InvalidArgumentError(absl::StrCat("transaction ", number, ": more than ",
                                                       SeenNumbers::kMaxSparse,
                                                       " numbers out of order; use ascending numbers"));
        return AbandonAll();
    }
    if (!MayBegin(number)) return;
    mail::RecipientFilter filter;
    if (grant_.caller().restricted()) {
      filter = [caller = grant_.shared_caller()](const std::string& address) {
        return MayReach(*caller, address);
      };
    }
    it = live_
             .emplace(number,
                      std::make_shared<mail::Transaction>(deliveries_, shared_from_this(), number,
                                                          grant_.caller().name, peer_, std::move(filter)))
             .first;
  } else if (it == live_.end()) {
    v1::Answer answer;
    answer.set_transaction(number);
    if (event.has_abort()) {
      answer.mutable_aborted();
    } else if (seen_.Contains(number)) {
      return;  // Comes too late: it was refused or has ended.
    } else {
      // Without a Begin; answered once.
      seen_.Add(number);
      answer.mutable_refused()->set_outcome(v1::OUTCOME_INVALID_EVENT);
      answer.mutable_refused()->set_detail("the transaction was not begun");
      deliveries_->counters().refused++;
    }
    return Send(std::move(answer));
  }
  // Kept alive here: handling may end it and take it out of live_.
  const std::shared_ptr<mail::Transaction> transaction = it->second;
  transaction->Handle(std::move(event));
}

void DeliverStream::Check(const v1::Check& check) {
  ++checking_;
  auto decided = [stream = shared_from_this(), number = check.number()](v1::Decision decision) {
    stream->Post([stream, number, decision = std::move(decision)]() mutable {
      --stream->checking_;
      v1::Answer answer;
      answer.mutable_checked()->set_number(number);
      *answer.mutable_checked()->mutable_decision() = std::move(decision);
      stream->Send(std::move(answer));
      if (stream->checking_ == 0) stream->Pump();
    });
  };
  if (grant_.Renew().ok()) return calls::Check(deliveries_, grant_.caller(), check.recipient(), decided);
  v1::Decision decision;
  decision.set_address(check.recipient().address());
  decision.set_outcome(v1::OUTCOME_UNAVAILABLE);
  decided(std::move(decision));
}

bool DeliverStream::MayBegin(uint64_t number) {
  const absl::Status status = grant_.Renew();
  if (status.ok()) return true;
  v1::Answer answer;
  answer.set_transaction(number);
  answer.mutable_refused()->set_outcome(v1::OUTCOME_UNAVAILABLE);
  answer.mutable_refused()->set_detail(std::string(status.message()));
  deliveries_->counters().refused++;
  Send(std::move(answer));
  return false;
}

void DeliverStream::Send(v1::Answer answer) {
  if (!call_ || gone_) return;
  *gathered_.add_answers() = std::move(answer);
  // Written when the strand comes to it: answers of one batch go together.
  if (gathered_.answers_size() == 1) {
    Post([stream = shared_from_this()] { stream->Pump(); });
  }
}

void DeliverStream::Ended(uint64_t number) {
  live_.erase(number);
  if (reads_ended_ || !end_.ok()) {
    Post([stream = shared_from_this()] { stream->Pump(); });
  }
}

void DeliverStream::OutcomeUnknown(absl::Status why) {
  if (end_.ok()) end_ = absl::UnavailableError(why.message());
  AbandonAll();
}

void DeliverStream::AbandonAll() {
  std::vector<std::shared_ptr<mail::Transaction>> all;
  all.reserve(live_.size());
  for (const auto& [number, transaction] : live_) all.push_back(transaction);
  for (const auto& transaction : all) transaction->Abandon();
}

void DeliverStream::OnWritten(bool ok) {
  writing_ = false;
  if (!ok) {
    gone_ = true;
    AbandonAll();
  }
  Pump();
}

void DeliverStream::Pump() {
  if (!call_) return;
  if (gone_) gathered_.Clear();
  if (!writing_ && gathered_.answers_size() > 0) {
    writing_ = true;
    call_->Write(gathered_, [stream = shared_from_this()](bool ok) {
      stream->Post([stream, ok] { stream->OnWritten(ok); });
    });
    gathered_.Clear();
  }
  const bool keeps_up = gathered_.answers_size() < kMaxGathered && checking_ < kMaxChecking;
  if (!reading_ && !reads_ended_ && end_.ok() && keeps_up) Read();
  // What is asked of the deliveries does not outlive the call, and so not them.
  if (writing_ || checking_ > 0) return;
  const bool over = gone_ || !end_.ok() || (reads_ended_ && live_.empty());
  if (!over) return;
  // A read under way ends with the stream.
  call_ = nullptr;
  std::exchange(done_, nullptr)(end_);
}

}  // namespace restante::rpc
