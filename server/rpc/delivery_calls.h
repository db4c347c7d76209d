// The methods of DeliveryService with one request and one response.
#ifndef RESTANTE_SERVER_RPC_DELIVERY_CALLS_H_
#define RESTANTE_SERVER_RPC_DELIVERY_CALLS_H_

#include "absl/status/status.h"
#include "restante/v1/delivery.pb.h"
#include "server/access/caller.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/rpc/call.h"

namespace restante::rpc::calls {

Task<absl::Status> GetReceipt(mail::Deliveries* deliveries, Call& call, const v1::GetReceiptRequest* request,
                              v1::GetReceiptResponse* response);
// What CheckRecipient and the event Check are answered.
void Check(mail::Deliveries* deliveries, const access::Caller& caller,
           const v1::CheckRecipientRequest& request, engine::Done<v1::Decision> done);
Task<absl::Status> CheckRecipient(mail::Deliveries* deliveries, Call& call,
                                  const v1::CheckRecipientRequest* request,
                                  v1::CheckRecipientResponse* response);
Task<absl::Status> GetCapacity(mail::Deliveries* deliveries, const v1::GetCapacityRequest* request,
                               v1::Capacity* response);

}  // namespace restante::rpc::calls

#endif  // RESTANTE_SERVER_RPC_DELIVERY_CALLS_H_
