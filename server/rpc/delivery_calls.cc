#include "server/rpc/delivery_calls.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/domains.h"

namespace restante::rpc::calls {

Task<absl::Status> GetReceipt(mail::Deliveries* deliveries, Call& call, const v1::GetReceiptRequest* request,
                              v1::GetReceiptResponse* response) {
  if (request->request_id().size() != 16) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("request_id: has ", request->request_id().size(), " octets, not 16"));
  }
  // The embedded engine finds a receipt without the mailboxes.
  CO_ASSIGN_OR_RETURN(*response, co_await Await<absl::StatusOr<v1::GetReceiptResponse>>([&](auto done) {
    deliveries->Settle(call.caller(), request->request_id(), {}, std::move(done));
  }));
  co_return absl::OkStatus();
}

void Check(mail::Deliveries* deliveries, const access::Caller& caller,
           const v1::CheckRecipientRequest& request, engine::Done<v1::Decision> done) {
  if (!MayReach(caller, request.address())) {
    v1::Decision decision;
    decision.set_address(request.address());
    decision.set_outcome(v1::OUTCOME_FOREIGN_DOMAIN);
    return done(std::move(decision));
  }
  std::optional<uint64_t> size;
  if (request.has_size()) size = request.size();
  deliveries->Check(request.address(), request.sender(), size, std::move(done));
}

Task<absl::Status> CheckRecipient(mail::Deliveries* deliveries, Call& call,
                                  const v1::CheckRecipientRequest* request,
                                  v1::CheckRecipientResponse* response) {
  *response->mutable_decision() = co_await Await<v1::Decision>(
      [&](auto done) { Check(deliveries, call.grant().caller(), *request, std::move(done)); });
  co_return absl::OkStatus();
}

Task<absl::Status> GetCapacity(mail::Deliveries* deliveries, const v1::GetCapacityRequest*,
                               v1::Capacity* response) {
  *response = deliveries->GetCapacity();
  co_return absl::OkStatus();
}

}  // namespace restante::rpc::calls
