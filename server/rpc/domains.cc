#include "server/rpc/domains.h"

#include <google/protobuf/descriptor.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "server/base/status_macros.h"
#include "server/mail/address.h"
#include "server/mail/names.h"
#include "server/rpc/convert.h"

namespace restante::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

absl::StatusOr<std::string> DomainOf(absl::string_view name) {
  if (absl::StartsWith(name, "domains/")) return mail::ParseDomainName(name);
  mail::Address address;
  if (absl::StartsWith(name, "aliases/")) {
    ASSIGN_OR_RETURN(address, mail::ParseAliasName(name));
  } else if (absl::StrContains(name, "/messages/")) {
    ASSIGN_OR_RETURN(const mail::MessageRef message, mail::ParseMessageName(name));
    address = message.mailbox;
  } else {
    ASSIGN_OR_RETURN(const mail::ParentRef parent, mail::ParseParentName(name));
    address = parent.mailbox;
  }
  return address.domain;
}

bool IsName(absl::string_view text) {
  return absl::StartsWith(text, "domains/") || absl::StartsWith(text, "mailboxes/") ||
         absl::StartsWith(text, "aliases/");
}

void AddNames(const Message& message, std::vector<std::string>& names) {
  std::vector<const FieldDescriptor*> fields;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        AddNames(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                      : reflection.GetMessage(message, field),
                 names);
      } else if (field->type() == FieldDescriptor::TYPE_STRING) {
        std::string text = field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                                : reflection.GetString(message, field);
        if (IsName(text)) names.push_back(std::move(text));
      }
    }
  }
}

}  // namespace

std::vector<std::string> ResourceNames(const Message& message) {
  std::vector<std::string> names;
  AddNames(message, names);
  return names;
}

absl::Status CheckDomains(const access::Grant& grant, const Message& request) {
  if (!grant.caller().restricted() || grant.rule().scope != access::Scope::kDomains) return absl::OkStatus();
  const std::vector<std::string> names = ResourceNames(request);
  if (names.empty()) return grant.DenyWholeStore();
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const std::string domain, InField("name", DomainOf(name)));
    RETURN_IF_ERROR(grant.CheckDomain(domain));
  }
  return absl::OkStatus();
}

bool MayReach(const access::Caller& caller, const std::string& address) {
  if (!caller.restricted()) return true;
  const absl::StatusOr<mail::Address> parsed = mail::ParseAddress(address);
  return parsed.ok() && caller.MayTouch(parsed->domain);
}

}  // namespace restante::rpc
