// StoreService: the store as a whole.
#ifndef RESTANTE_SERVER_RPC_STORE_SERVICE_H_
#define RESTANTE_SERVER_RPC_STORE_SERVICE_H_

#include <cstdint>

#include "restante/v1/store.grpc.pb.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"

namespace restante::rpc {

class StoreService final : public v1::StoreService::CallbackService {
 public:
  // All outlive the service and its calls. Uptime counts from here.
  StoreService(engine::Engine* engine, mail::Provisioning* provisioning, mail::Messages* messages,
               mail::Deliveries* deliveries);

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::StoreStatus* response) override;
  grpc::ServerWriteReactor<v1::VerifyResponse>* Verify(grpc::CallbackServerContext* context,
                                                       const v1::VerifyRequest* request) override;
  grpc::ServerWriteReactor<v1::ScrubResponse>* Scrub(grpc::CallbackServerContext* context,
                                                     const v1::ScrubRequest* request) override;
  grpc::ServerWriteReactor<v1::CompactResponse>* Compact(grpc::CallbackServerContext* context,
                                                         const v1::CompactRequest* request) override;
  grpc::ServerWriteReactor<v1::BackupResponse>* Backup(grpc::CallbackServerContext* context,
                                                       const v1::BackupRequest* request) override;

 private:
  Task<absl::Status> Status(const v1::GetStatusRequest* request, v1::StoreStatus* response);

  engine::Engine* const engine_;
  mail::Provisioning* const provisioning_;
  mail::Deliveries* const deliveries_;
  const Clock* const clock_;
  const int64_t start_us_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_STORE_SERVICE_H_
