// MailboxService: validate, call, convert.
#ifndef RESTANTE_SERVER_RPC_MAILBOX_SERVICE_H_
#define RESTANTE_SERVER_RPC_MAILBOX_SERVICE_H_

#include "restante/v1/mailbox.grpc.pb.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"

namespace restante::rpc {

class MailboxService final : public v1::MailboxService::CallbackService {
 public:
  // Both outlive the service and its calls.
  MailboxService(mail::Provisioning* provisioning, mail::Messages* messages);

  grpc::ServerUnaryReactor* CreateDomain(grpc::CallbackServerContext* context,
                                         const v1::CreateDomainRequest* request,
                                         v1::Domain* response) override;
  grpc::ServerUnaryReactor* GetDomain(grpc::CallbackServerContext* context,
                                      const v1::GetDomainRequest* request, v1::Domain* response) override;
  grpc::ServerUnaryReactor* ListDomains(grpc::CallbackServerContext* context,
                                        const v1::ListDomainsRequest* request,
                                        v1::ListDomainsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateDomain(grpc::CallbackServerContext* context,
                                         const v1::UpdateDomainRequest* request,
                                         v1::Domain* response) override;
  grpc::ServerUnaryReactor* DeleteDomain(grpc::CallbackServerContext* context,
                                         const v1::DeleteDomainRequest* request,
                                         google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* CreateMailbox(grpc::CallbackServerContext* context,
                                          const v1::CreateMailboxRequest* request,
                                          v1::Mailbox* response) override;
  grpc::ServerUnaryReactor* GetMailbox(grpc::CallbackServerContext* context,
                                       const v1::GetMailboxRequest* request, v1::Mailbox* response) override;
  grpc::ServerUnaryReactor* ListMailboxes(grpc::CallbackServerContext* context,
                                          const v1::ListMailboxesRequest* request,
                                          v1::ListMailboxesResponse* response) override;
  grpc::ServerUnaryReactor* UpdateMailbox(grpc::CallbackServerContext* context,
                                          const v1::UpdateMailboxRequest* request,
                                          v1::Mailbox* response) override;
  grpc::ServerUnaryReactor* DeleteMailbox(grpc::CallbackServerContext* context,
                                          const v1::DeleteMailboxRequest* request,
                                          google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* RenameMailbox(grpc::CallbackServerContext* context,
                                          const v1::RenameMailboxRequest* request,
                                          v1::Mailbox* response) override;
  grpc::ServerUnaryReactor* RecalculateUsage(grpc::CallbackServerContext* context,
                                             const v1::RecalculateUsageRequest* request,
                                             v1::RecalculateUsageResponse* response) override;
  grpc::ServerUnaryReactor* CreateAlias(grpc::CallbackServerContext* context,
                                        const v1::CreateAliasRequest* request, v1::Alias* response) override;
  grpc::ServerUnaryReactor* GetAlias(grpc::CallbackServerContext* context, const v1::GetAliasRequest* request,
                                     v1::Alias* response) override;
  grpc::ServerUnaryReactor* ListAliases(grpc::CallbackServerContext* context,
                                        const v1::ListAliasesRequest* request,
                                        v1::ListAliasesResponse* response) override;
  grpc::ServerUnaryReactor* UpdateAlias(grpc::CallbackServerContext* context,
                                        const v1::UpdateAliasRequest* request, v1::Alias* response) override;
  grpc::ServerUnaryReactor* DeleteAlias(grpc::CallbackServerContext* context,
                                        const v1::DeleteAliasRequest* request,
                                        google::protobuf::Empty* response) override;

 private:
  mail::Provisioning* const provisioning_;
  mail::Messages* const messages_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_MAILBOX_SERVICE_H_
