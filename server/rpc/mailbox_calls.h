// The methods of MailboxService as tasks. Request and response outlive them.
#ifndef RESTANTE_SERVER_RPC_MAILBOX_CALLS_H_
#define RESTANTE_SERVER_RPC_MAILBOX_CALLS_H_

#include "absl/status/status.h"
#include "google/protobuf/empty.pb.h"
#include "restante/v1/mailbox.pb.h"
#include "server/base/task.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"

namespace restante::rpc::calls {

Task<absl::Status> CreateDomain(mail::Provisioning* provisioning, const v1::CreateDomainRequest* request,
                                v1::Domain* response);
Task<absl::Status> GetDomain(mail::Provisioning* provisioning, const v1::GetDomainRequest* request,
                             v1::Domain* response);
Task<absl::Status> ListDomains(mail::Provisioning* provisioning, const v1::ListDomainsRequest* request,
                               v1::ListDomainsResponse* response);
Task<absl::Status> UpdateDomain(mail::Provisioning* provisioning, const v1::UpdateDomainRequest* request,
                                v1::Domain* response);
Task<absl::Status> DeleteDomain(mail::Provisioning* provisioning, const v1::DeleteDomainRequest* request,
                                google::protobuf::Empty* response);
Task<absl::Status> CreateMailbox(mail::Provisioning* provisioning, const v1::CreateMailboxRequest* request,
                                 v1::Mailbox* response);
Task<absl::Status> GetMailbox(mail::Provisioning* provisioning, const v1::GetMailboxRequest* request,
                              v1::Mailbox* response);
Task<absl::Status> ListMailboxes(mail::Provisioning* provisioning, const v1::ListMailboxesRequest* request,
                                 v1::ListMailboxesResponse* response);
Task<absl::Status> UpdateMailbox(mail::Provisioning* provisioning, const v1::UpdateMailboxRequest* request,
                                 v1::Mailbox* response);
Task<absl::Status> DeleteMailbox(mail::Provisioning* provisioning, const v1::DeleteMailboxRequest* request,
                                 google::protobuf::Empty* response);
Task<absl::Status> RenameMailbox(mail::Provisioning* provisioning, const v1::RenameMailboxRequest* request,
                                 v1::Mailbox* response);
Task<absl::Status> RecalculateUsage(mail::Messages* messages, const v1::RecalculateUsageRequest* request,
                                    v1::RecalculateUsageResponse* response);
Task<absl::Status> CreateAlias(mail::Provisioning* provisioning, const v1::CreateAliasRequest* request,
                               v1::Alias* response);
Task<absl::Status> GetAlias(mail::Provisioning* provisioning, const v1::GetAliasRequest* request,
                            v1::Alias* response);
Task<absl::Status> ListAliases(mail::Provisioning* provisioning, const v1::ListAliasesRequest* request,
                               v1::ListAliasesResponse* response);
Task<absl::Status> UpdateAlias(mail::Provisioning* provisioning, const v1::UpdateAliasRequest* request,
                               v1::Alias* response);
Task<absl::Status> DeleteAlias(mail::Provisioning* provisioning, const v1::DeleteAliasRequest* request,
                               google::protobuf::Empty* response);

}  // namespace restante::rpc::calls

#endif  // RESTANTE_SERVER_RPC_MAILBOX_CALLS_H_
