#include "server/mail/names.h"
#include "server/rpc/convert.h"
#include "server/rpc/mailbox_calls.h"

namespace restante::rpc::calls {
namespace {

using mail::InvalidField;

// Takes one field of a domain over into `settings`.
absl::Status TakeField(const std::string& path, const v1::Domain& domain, mail::DomainSettings& settings) {
  if (path == "default_bytes") {
    ASSIGN_OR_RETURN(settings.default_bytes, LimitOf("domain.default_bytes", domain.default_bytes(), true));
  } else if (path == "default_messages") {
    ASSIGN_OR_RETURN(settings.default_messages,
                     LimitOf("domain.default_messages", domain.default_messages(), true));
  } else if (path == "max_bytes") {
    ASSIGN_OR_RETURN(settings.max_bytes, LimitOf("domain.max_bytes", domain.max_bytes(), false));
  } else if (path == "over_quota") {
    if (!v1::OverQuotaPolicy_IsValid(domain.over_quota())) {
      return InvalidField("domain.over_quota", "is not a policy");
    }
    settings.over_quota = domain.over_quota() == v1::PERMFAIL ? 1 : 0;
  } else if (path == "catch_all") {
    settings.catch_all = "";
    if (!domain.catch_all().empty()) {
      ASSIGN_OR_RETURN(const mail::Address address,
                       InField("domain.catch_all", mail::ParseMailboxName(domain.catch_all())));
      settings.catch_all = address.ToString();
    }
  } else {
    return InvalidField(
        "update_mask",
        "has a path other than default_bytes, default_messages, max_bytes, over_quota, catch_all");
  }
  return absl::OkStatus();
}

}  // namespace

Task<absl::Status> CreateDomain(mail::Provisioning* provisioning, const v1::CreateDomainRequest* request,
                                v1::Domain* response) {
  CO_ASSIGN_OR_RETURN(std::string name,
                      InField("domain.name", mail::ParseDomainName(request->domain().name())));
  CO_RETURN_IF_ERROR(CheckRequestId("request_id", request->request_id()));
  mail::DomainSettings settings;
  for (const char* path : {"default_bytes", "default_messages", "max_bytes", "over_quota", "catch_all"}) {
    CO_RETURN_IF_ERROR(TakeField(path, request->domain(), settings));
  }
  CO_ASSIGN_OR_RETURN(const mail::DomainView view,
                      co_await provisioning->CreateDomain(name, settings, request->request_id()));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> GetDomain(mail::Provisioning* provisioning, const v1::GetDomainRequest* request,
                             v1::Domain* response) {
  CO_ASSIGN_OR_RETURN(std::string name, InField("name", mail::ParseDomainName(request->name())));
  CO_ASSIGN_OR_RETURN(const mail::DomainView view, co_await provisioning->GetDomain(name));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> ListDomains(mail::Provisioning* provisioning, const v1::ListDomainsRequest* request,
                               v1::ListDomainsResponse* response) {
  const std::string list = "domains";
  CO_ASSIGN_OR_RETURN(const size_t size, PageSizeOf(request->page_size()));
  CO_ASSIGN_OR_RETURN(std::string after, PageAfter(list, request->page_token()));
  CO_ASSIGN_OR_RETURN(const mail::Page<mail::DomainView> page,
                      co_await provisioning->ListDomains(after, size));
  for (const mail::DomainView& view : page.items) *response->add_domains() = ToApi(view);
  response->set_next_page_token(PageToken(list, page.next));
  co_return absl::OkStatus();
}

Task<absl::Status> UpdateDomain(mail::Provisioning* provisioning, const v1::UpdateDomainRequest* request,
                                v1::Domain* response) {
  CO_ASSIGN_OR_RETURN(std::string name,
                      InField("domain.name", mail::ParseDomainName(request->domain().name())));
  if (request->update_mask().paths().empty()) co_return InvalidField("update_mask", "is required");
  mail::DomainSettings settings;
  for (const std::string& path : request->update_mask().paths()) {
    CO_RETURN_IF_ERROR(TakeField(path, request->domain(), settings));
  }
  CO_ASSIGN_OR_RETURN(const mail::DomainView view,
                      co_await provisioning->UpdateDomain(name, settings, request->domain().etag()));
  *response = ToApi(view);
  co_return absl::OkStatus();
}

Task<absl::Status> DeleteDomain(mail::Provisioning* provisioning, const v1::DeleteDomainRequest* request,
                                google::protobuf::Empty*) {
  CO_ASSIGN_OR_RETURN(std::string name, InField("name", mail::ParseDomainName(request->name())));
  absl::Status status = co_await provisioning->DeleteDomain(name, request->etag());
  co_return std::move(status);
}

}  // namespace restante::rpc::calls
