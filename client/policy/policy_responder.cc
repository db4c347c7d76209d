#include "client/policy/policy_responder.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace restante::policy {
namespace {

std::string ReplyOf(absl::string_view action) { return absl::StrCat("action=", action, "\n\n"); }

// The reply, told to whom it may concern.
std::string Decided(const Host& host, PolicyRequest request, const absl::StatusOr<v1::Decision>& decision) {
  std::string action = ActionFor(decision, host.when_unavailable);
  if (!decision.ok()) {
    host.on_unavailable(decision.status());
  } else if (decision->outcome() == v1::OUTCOME_UNAVAILABLE) {
    host.on_unavailable(absl::UnavailableError("the store cannot answer now"));
  }
  std::string reply = ReplyOf(action);
  if (action != kDunno) {
    host.on_refusal({std::move(request), decision.ok() ? *decision : v1::Decision(), std::move(action)});
  }
  return reply;
}

}  // namespace

void PolicyResponder::Answer(absl::AnyInvocable<void(std::string)> done) {
  PolicyRequest request = parser_.Take();
  switch (QuestionOf(request)) {
    case PolicyQuestion::kNothing:
      return done(ReplyOf(kDunno));
    case PolicyQuestion::kDisk: {
      absl::StatusOr<v1::Decision> decision = absl::UnavailableError("the store is away");
      if (host_->store->connected()) decision = DecideByDisk(host_->store->capacity(), request.size);
      return done(Decided(*host_, std::move(request), decision));
    }
    case PolicyQuestion::kRecipient: {
      v1::CheckRecipientRequest check = ToCheckRecipient(request);
      return host_->store->CheckRecipient(
          std::move(check), host_->patience,
          [host = host_, request = std::move(request),
           done = std::move(done)](absl::StatusOr<v1::CheckRecipientResponse> response) mutable {
            if (!response.ok()) return done(Decided(*host, std::move(request), response.status()));
            done(Decided(*host, std::move(request), response->decision()));
          });
    }
  }
}

}  // namespace restante::policy
