#include "server/rpc/mailbox_calls.h"

#include "absl/strings/str_cat.h"
#include "server/mail/names.h"
#include "server/rpc/convert.h"

namespace restante::rpc::calls {
namespace {

using mail::InvalidField;

// Takes one field of a mailbox over into `settings`.
absl::Status TakeField(const std::string& path, const v1::Mailbox& mailbox, mail::MailboxSettings& settings) {
  if (path == "max_bytes") {
    ASSIGN_OR_RETURN(settings.max_bytes, LimitOf("mailbox.max_bytes", mailbox.max_bytes(), true));
  } else if (path == "max_messages") {
    ASSIGN_OR_RETURN(settings.max_messages, LimitOf("mailbox.max_messages", mailbox.max_messages(), true));
  } else if (path == "state") {
    switch (mailbox.state()) {
      case v1::Mailbox::STATE_UNSPECIFIED:
      case v1::Mailbox::ACTIVE:
        settings.state = stored::v1::MailboxHead::ACTIVE;
        break;
      case v1::Mailbox::HOLD:
        settings.state = stored::v1::MailboxHead::HOLD;
        break;
      case v1::Mailbox::DISABLED:
        settings.state = stored::v1::MailboxHead::DISABLED;
        break;
      default:
        return InvalidField("mailbox.state", absl::StrCat("is ", mailbox.state(), ", not a state"));
    }
  } else {
    return InvalidField("update_mask", "has a path other than max_bytes, max_messages, state");
  }
  return absl::OkStatus();
}

// The domain that a list is of, empty for all.
absl::StatusOr<std::string> DomainFilter(const std::string& domain) {
  if (domain.empty()) return std::string();
  return InField("domain", mail::ParseDomainName(domain));
}

}  // namespace

Task<absl::Status> CreateMailbox(mail::Provisioning* provisioning, const v1::CreateMailboxRequest* request,
                                 v1::Mailbox* response) {
  CO_ASSIGN_OR_RETURN(mail::Address address,
                      InField("mailbox.name", mail::ParseMailboxName(request->mailbox().name())));
  CO_RETURN_IF_ERROR(CheckRequestId("request_id", request->request_id()));
  mail::MailboxSettings settings;
  for (const char* path : {"max_bytes", "max_messages", "state"}) {
    CO_RETURN_IF_ERROR(TakeField(path, request->mailbox(), settings));
  }
  CO_ASSIGN_OR_RETURN(const mail::MailboxView view,
                      co_await provisioning->CreateMailbox(address, settings, request->request_id()));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> GetMailbox(mail::Provisioning* provisioning, const v1::GetMailboxRequest* request,
                              v1::Mailbox* response) {
  CO_ASSIGN_OR_RETURN(mail::Address address, InField("name", mail::ParseMailboxName(request->name())));
  CO_ASSIGN_OR_RETURN(const mail::MailboxView view, co_await provisioning->GetMailbox(address));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> ListMailboxes(mail::Provisioning* provisioning, const v1::ListMailboxesRequest* request,
                                 v1::ListMailboxesResponse* response) {
  CO_ASSIGN_OR_RETURN(std::string domain, DomainFilter(request->domain()));
  const std::string list = absl::StrCat("mailboxes/", domain);
  CO_ASSIGN_OR_RETURN(const size_t size, PageSizeOf(request->page_size()));
  CO_ASSIGN_OR_RETURN(std::string after, PageAfter(list, request->page_token()));
  CO_ASSIGN_OR_RETURN(const mail::Page<mail::MailboxView> page,
                      co_await provisioning->ListMailboxes(domain, after, size));
  for (const mail::MailboxView& view : page.items) *response->add_mailboxes() = ToApi(view);
  response->set_next_page_token(PageToken(list, page.next));
  co_return absl::OkStatus();
}

Task<absl::Status> UpdateMailbox(mail::Provisioning* provisioning, const v1::UpdateMailboxRequest* request,
                                 v1::Mailbox* response) {
  CO_ASSIGN_OR_RETURN(mail::Address address,
                      InField("mailbox.name", mail::ParseMailboxName(request->mailbox().name())));
  if (request->update_mask().paths().empty()) co_return InvalidField("update_mask", "is required");
  mail::MailboxSettings settings;
  for (const std::string& path : request->update_mask().paths()) {
    CO_RETURN_IF_ERROR(TakeField(path, request->mailbox(), settings));
  }
  CO_ASSIGN_OR_RETURN(const mail::MailboxView view,
                      co_await provisioning->UpdateMailbox(address, settings, request->mailbox().etag()));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> DeleteMailbox(mail::Provisioning* provisioning, const v1::DeleteMailboxRequest* request,
                                 google::protobuf::Empty*) {
  CO_ASSIGN_OR_RETURN(mail::Address address, InField("name", mail::ParseMailboxName(request->name())));
  absl::Status status = co_await provisioning->DeleteMailbox(address, request->etag(), request->force());
  co_return std::move(status);
}

Task<absl::Status> RenameMailbox(mail::Provisioning* provisioning, const v1::RenameMailboxRequest* request,
                                 v1::Mailbox* response) {
  CO_ASSIGN_OR_RETURN(mail::Address from, InField("name", mail::ParseMailboxName(request->name())));
  CO_ASSIGN_OR_RETURN(mail::Address to, InField("new_name", mail::ParseMailboxName(request->new_name())));
  CO_RETURN_IF_ERROR(CheckRequestId("request_id", request->request_id()));
  CO_ASSIGN_OR_RETURN(const mail::MailboxView view,
                      co_await provisioning->RenameMailbox(from, to, request->request_id(), request->etag()));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> RecalculateUsage(mail::Messages* messages, const v1::RecalculateUsageRequest* request,
                                    v1::RecalculateUsageResponse* response) {
  CO_ASSIGN_OR_RETURN(mail::Address address, InField("name", mail::ParseMailboxName(request->name())));
  CO_ASSIGN_OR_RETURN(const mail::Audit audit, co_await messages->Recalculate(address));
  *response->mutable_recorded() = ToUsage(audit.recorded.bytes, audit.recorded.messages, {});
  *response->mutable_actual() = ToUsage(audit.actual.bytes, audit.actual.messages, {});
  response->set_corrected(audit.corrected);
  co_return absl::OkStatus();
}

Task<absl::Status> CreateAlias(mail::Provisioning* provisioning, const v1::CreateAliasRequest* request,
                               v1::Alias* response) {
  CO_ASSIGN_OR_RETURN(mail::Address address,
                      InField("alias.name", mail::ParseAliasName(request->alias().name())));
  CO_ASSIGN_OR_RETURN(mail::Address mailbox,
                      InField("alias.mailbox", mail::ParseMailboxName(request->alias().mailbox())));
  CO_RETURN_IF_ERROR(CheckRequestId("request_id", request->request_id()));
  CO_ASSIGN_OR_RETURN(const mail::AliasView view,
                      co_await provisioning->CreateAlias(address, mailbox, request->request_id()));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> GetAlias(mail::Provisioning* provisioning, const v1::GetAliasRequest* request,
                            v1::Alias* response) {
  CO_ASSIGN_OR_RETURN(mail::Address address, InField("name", mail::ParseAliasName(request->name())));
  CO_ASSIGN_OR_RETURN(const mail::AliasView view, co_await provisioning->GetAlias(address));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> ListAliases(mail::Provisioning* provisioning, const v1::ListAliasesRequest* request,
                               v1::ListAliasesResponse* response) {
  CO_ASSIGN_OR_RETURN(std::string domain, DomainFilter(request->domain()));
  const std::string list = absl::StrCat("aliases/", domain);
  CO_ASSIGN_OR_RETURN(const size_t size, PageSizeOf(request->page_size()));
  CO_ASSIGN_OR_RETURN(std::string after, PageAfter(list, request->page_token()));
  CO_ASSIGN_OR_RETURN(const mail::Page<mail::AliasView> page,
                      co_await provisioning->ListAliases(domain, after, size));
  for (const mail::AliasView& view : page.items) *response->add_aliases() = ToApi(view);
  response->set_next_page_token(PageToken(list, page.next));
  co_return absl::OkStatus();
}

Task<absl::Status> UpdateAlias(mail::Provisioning* provisioning, const v1::UpdateAliasRequest* request,
                               v1::Alias* response) {
  CO_ASSIGN_OR_RETURN(mail::Address address,
                      InField("alias.name", mail::ParseAliasName(request->alias().name())));
  if (request->update_mask().paths().empty()) co_return InvalidField("update_mask", "is required");
  for (const std::string& path : request->update_mask().paths()) {
    if (path != "mailbox") co_return InvalidField("update_mask", "has a path other than mailbox");
  }
  CO_ASSIGN_OR_RETURN(mail::Address mailbox,
                      InField("alias.mailbox", mail::ParseMailboxName(request->alias().mailbox())));
  CO_ASSIGN_OR_RETURN(const mail::AliasView view,
                      co_await provisioning->UpdateAlias(address, mailbox, request->alias().etag()));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> DeleteAlias(mail::Provisioning* provisioning, const v1::DeleteAliasRequest* request,
                               google::protobuf::Empty*) {
  CO_ASSIGN_OR_RETURN(mail::Address address, InField("name", mail::ParseAliasName(request->name())));
  absl::Status status = co_await provisioning->DeleteAlias(address, request->etag());
  co_return std::move(status);
}

}  // namespace restante::rpc::calls
