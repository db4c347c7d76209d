// DeliveryService over gRPC's callback API: thousands of idle streams cost no
// thread, and nothing blocks in a reaction.
#ifndef RESTANTE_SERVER_RPC_DELIVERY_SERVICE_H_
#define RESTANTE_SERVER_RPC_DELIVERY_SERVICE_H_

#include "restante/v1/delivery.grpc.pb.h"
#include "server/mail/deliveries.h"

namespace restante::rpc {

class DeliveryService final : public v1::DeliveryService::CallbackService {
 public:
  // `deliveries` outlives the service and every stream.
  explicit DeliveryService(mail::Deliveries* deliveries);

  grpc::ServerBidiReactor<v1::DeliverRequest, v1::DeliverResponse>* Deliver(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetReceipt(grpc::CallbackServerContext* context,
                                       const v1::GetReceiptRequest* request,
                                       v1::GetReceiptResponse* response) override;
  grpc::ServerUnaryReactor* CheckRecipient(grpc::CallbackServerContext* context,
                                           const v1::CheckRecipientRequest* request,
                                           v1::CheckRecipientResponse* response) override;
  grpc::ServerUnaryReactor* GetCapacity(grpc::CallbackServerContext* context,
                                        const v1::GetCapacityRequest* request,
                                        v1::Capacity* response) override;

 private:
  mail::Deliveries* const deliveries_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_DELIVERY_SERVICE_H_
