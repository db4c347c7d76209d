#include "client/policy/socketmap_responder.h"

#include <utility>

#include "client/policy/socketmap_answer.h"
#include "server/base/status_macros.h"

namespace restante::policy {

absl::StatusOr<size_t> SocketmapResponder::Consume(absl::string_view in) {
  if (complete()) return 0;
  ASSIGN_OR_RETURN(const size_t used, parser_.Consume(in));
  if (parser_.complete()) {
    ASSIGN_OR_RETURN(request_, ParseSocketmapRequest(parser_.Take()));
  }
  return used;
}

void SocketmapResponder::Answer(absl::AnyInvocable<void(std::string)> done) {
  SocketmapRequest request = *std::move(request_);
  request_.reset();
  absl::StatusOr<std::string> address = AddressToCheck(request, host_->nobody);
  if (!address.ok()) return done(ToNetstring(SocketmapAnswer(request, address.status())));
  v1::CheckRecipientRequest check;
  check.set_address(*std::move(address));
  host_->store->CheckRecipient(std::move(check), host_->patience,
                               [host = host_, request = std::move(request), done = std::move(done)](
                                   absl::StatusOr<v1::CheckRecipientResponse> response) mutable {
                                 absl::StatusOr<v1::Decision> decision =
                                     absl::UnavailableError("the store does not answer");
                                 if (response.ok()) decision = std::move(*response->mutable_decision());
                                 if (!response.ok()) host->on_unavailable(response.status());
                                 done(ToNetstring(SocketmapAnswer(request, decision)));
                               });
}

}  // namespace restante::policy
