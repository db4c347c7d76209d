#include "server/rpc/mailbox_service.h"

#include "server/rpc/mailbox_calls.h"
#include "server/rpc/serve.h"

namespace restante::rpc {

MailboxService::MailboxService(mail::Provisioning* provisioning, mail::Messages* messages)
    : provisioning_(provisioning), messages_(messages) {}

grpc::ServerUnaryReactor* MailboxService::CreateDomain(grpc::CallbackServerContext* context,
                                                       const v1::CreateDomainRequest* request,
                                                       v1::Domain* response) {
  return Serve(context, calls::CreateDomain(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::GetDomain(grpc::CallbackServerContext* context,
                                                    const v1::GetDomainRequest* request,
                                                    v1::Domain* response) {
  return Serve(context, calls::GetDomain(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::ListDomains(grpc::CallbackServerContext* context,
                                                      const v1::ListDomainsRequest* request,
                                                      v1::ListDomainsResponse* response) {
  return Serve(context, calls::ListDomains(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::UpdateDomain(grpc::CallbackServerContext* context,
                                                       const v1::UpdateDomainRequest* request,
                                                       v1::Domain* response) {
  return Serve(context, calls::UpdateDomain(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::DeleteDomain(grpc::CallbackServerContext* context,
                                                       const v1::DeleteDomainRequest* request,
                                                       google::protobuf::Empty* response) {
  return Serve(context, calls::DeleteDomain(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::CreateMailbox(grpc::CallbackServerContext* context,
                                                        const v1::CreateMailboxRequest* request,
                                                        v1::Mailbox* response) {
  return Serve(context, calls::CreateMailbox(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::GetMailbox(grpc::CallbackServerContext* context,
                                                     const v1::GetMailboxRequest* request,
                                                     v1::Mailbox* response) {
  return Serve(context, calls::GetMailbox(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::ListMailboxes(grpc::CallbackServerContext* context,
                                                        const v1::ListMailboxesRequest* request,
                                                        v1::ListMailboxesResponse* response) {
  return Serve(context, calls::ListMailboxes(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::UpdateMailbox(grpc::CallbackServerContext* context,
                                                        const v1::UpdateMailboxRequest* request,
                                                        v1::Mailbox* response) {
  return Serve(context, calls::UpdateMailbox(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::DeleteMailbox(grpc::CallbackServerContext* context,
                                                        const v1::DeleteMailboxRequest* request,
                                                        google::protobuf::Empty* response) {
  return Serve(context, calls::DeleteMailbox(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::RenameMailbox(grpc::CallbackServerContext* context,
                                                        const v1::RenameMailboxRequest* request,
                                                        v1::Mailbox* response) {
  return Serve(context, calls::RenameMailbox(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::RecalculateUsage(grpc::CallbackServerContext* context,
                                                           const v1::RecalculateUsageRequest* request,
                                                           v1::RecalculateUsageResponse* response) {
  return Serve(context, calls::RecalculateUsage(messages_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::CreateAlias(grpc::CallbackServerContext* context,
                                                      const v1::CreateAliasRequest* request,
                                                      v1::Alias* response) {
  return Serve(context, calls::CreateAlias(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::GetAlias(grpc::CallbackServerContext* context,
                                                   const v1::GetAliasRequest* request, v1::Alias* response) {
  return Serve(context, calls::GetAlias(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::ListAliases(grpc::CallbackServerContext* context,
                                                      const v1::ListAliasesRequest* request,
                                                      v1::ListAliasesResponse* response) {
  return Serve(context, calls::ListAliases(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::UpdateAlias(grpc::CallbackServerContext* context,
                                                      const v1::UpdateAliasRequest* request,
                                                      v1::Alias* response) {
  return Serve(context, calls::UpdateAlias(provisioning_, request, response));
}

grpc::ServerUnaryReactor* MailboxService::DeleteAlias(grpc::CallbackServerContext* context,
                                                      const v1::DeleteAliasRequest* request,
                                                      google::protobuf::Empty* response) {
  return Serve(context, calls::DeleteAlias(provisioning_, request, response));
}

}  // namespace restante::rpc
