#include "server/rpc/domains.h"

#include <google/protobuf/descriptor.h>

#include <utility>
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

// Whether a field says which resource a request is about; what it says has to be
// checked in any case, but free text does not make a request that names nothing one
// that does.
bool SaysResource(const FieldDescriptor& field) {
  for (const char* name : {"name", "new_name", "parent", "domain", "mailbox"}) {
    if (field.name() == name) return true;
  }
  return false;
}

// Calls `fn(field, name)` for the resource names in `message`, and in what it contains.
template <typename Fn>
void ForEachName(const Message& message, const Fn& fn) {
  std::vector<const FieldDescriptor*> fields;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        ForEachName(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                         : reflection.GetMessage(message, field),
                    fn);
      } else if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text = field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                                      : reflection.GetString(message, field);
        if (IsName(text)) fn(*field, text);
      }
    }
  }
}

}  // namespace

std::string ResourceOf(const Message& request) {
  std::string first;
  ForEachName(request, [&](const FieldDescriptor& field, const std::string& name) {
    if (first.empty() && SaysResource(field)) first = name;
  });
  return first;
}

absl::Status CheckDomains(const access::Grant& grant, const Message& request) {
  if (!grant.caller().restricted() || grant.rule().scope != access::Scope::kDomains) return absl::OkStatus();
  bool says = false;
  std::vector<std::pair<std::string, std::string>> names;
  ForEachName(request, [&](const FieldDescriptor& field, const std::string& name) {
    says = says || SaysResource(field);
    names.emplace_back(field.name(), name);
  });
  if (!says) return grant.DenyWholeStore();
  for (const auto& [field, name] : names) {
    ASSIGN_OR_RETURN(const std::string domain, InField(field, DomainOf(name)));
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
