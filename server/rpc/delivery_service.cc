#include "server/rpc/delivery_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/rpc/caller.h"
#include "server/rpc/deliver_stream.h"
#include "server/rpc/errors.h"

namespace restante::rpc {

DeliveryService::DeliveryService(mail::Deliveries* deliveries) : deliveries_(deliveries) {}

grpc::ServerBidiReactor<v1::DeliverRequest, v1::DeliverResponse>* DeliveryService::Deliver(
    grpc::CallbackServerContext* context) {
  return DeliverStream::Start(deliveries_, CallerIdentity(*context), PeerAddress(*context));
}

grpc::ServerUnaryReactor* DeliveryService::GetReceipt(grpc::CallbackServerContext* context,
                                                      const v1::GetReceiptRequest* request,
                                                      v1::GetReceiptResponse* response) {
  auto* reactor = context->DefaultReactor();
  if (request->request_id().size() != 16) {
    reactor->Finish(
        grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                     absl::StrCat("request_id: has ", request->request_id().size(), " octets, not 16")));
    return reactor;
  }
  // The embedded engine finds a receipt without the mailboxes.
  deliveries_->Settle(CallerIdentity(*context), request->request_id(), {},
                      [reactor, response](absl::StatusOr<v1::GetReceiptResponse> result) {
                        if (!result.ok()) return reactor->Finish(ToGrpcStatus(result.status()));
                        *response = *std::move(result);
                        reactor->Finish(grpc::Status::OK);
                      });
  return reactor;
}

grpc::ServerUnaryReactor* DeliveryService::CheckRecipient(grpc::CallbackServerContext* context,
                                                          const v1::CheckRecipientRequest* request,
                                                          v1::CheckRecipientResponse* response) {
  auto* reactor = context->DefaultReactor();
  std::optional<uint64_t> size;
  if (request->has_size()) size = request->size();
  deliveries_->Check(request->address(), request->sender(), size, [reactor, response](v1::Decision decision) {
    *response->mutable_decision() = std::move(decision);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* DeliveryService::GetCapacity(grpc::CallbackServerContext* context,
                                                       const v1::GetCapacityRequest*,
                                                       v1::Capacity* response) {
  auto* reactor = context->DefaultReactor();
  *response = deliveries_->GetCapacity();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace restante::rpc
