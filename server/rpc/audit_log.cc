#include "server/rpc/audit_log.h"

#include <google/protobuf/descriptor.h>

#include <memory>

#include "absl/strings/match.h"
#include "server/base/log.h"
#include "server/rpc/domains.h"
#include "server/rpc/mailbox_calls.h"

namespace restante::rpc {
namespace {

using google::protobuf::Message;

// What nobody sets.
constexpr const char* kDerived[] = {
    "effective_max_bytes", "effective_max_messages", "create_time", "uid_validity", "uid_next",
    "highest_modseq"};

template <typename Request, typename View>
Task<AuditedState> Get(mail::Provisioning* provisioning, std::string name,
                       Task<absl::Status> (*get)(mail::Provisioning*, const Request*, View*)) {
  Request request;
  request.set_name(std::move(name));
  View view;
  const absl::Status status = co_await get(provisioning, &request, &view);
  co_return status.ok() ? StateAfter(view) : AuditedState();
}

}  // namespace

Task<AuditedState> StateBefore(mail::Provisioning* provisioning, const Message& change) {
  const std::string name = ResourceOf(change);
  AuditedState state;
  if (absl::StartsWith(name, "domains/")) {
    state = co_await Get(provisioning, name, calls::GetDomain);
  } else if (absl::StartsWith(name, "aliases/")) {
    state = co_await Get(provisioning, name, calls::GetAlias);
  } else if (!name.empty()) {
    state = co_await Get(provisioning, name, calls::GetMailbox);
  }
  co_return state;
}

AuditedState StateAfter(const Message& response) {
  const auto* etag = response.GetDescriptor()->FindFieldByName("etag");
  if (etag == nullptr) return {};
  const std::unique_ptr<Message> told(response.New());
  told->CopyFrom(response);
  for (const char* name : kDerived) {
    const auto* field = response.GetDescriptor()->FindFieldByName(name);
    if (field != nullptr) told->GetReflection()->ClearField(told.get(), field);
  }
  return {told->ShortDebugString(), response.GetReflection()->GetString(response, etag)};
}

void LogChange(const Call& call, const AuditedState& before, const AuditedState& after) {
  if (!before.etag.empty() && before.etag == after.etag) return;
  const auto text = [](const AuditedState& state) { return state.text.empty() ? "none" : state.text; };
  Log(LogLevel::kAudit, "changed",
      {{"caller", call.caller()},
       {"peer", call.peer_address()},
       {"method", call.method().substr(1)},
       {"before", text(before)},
       {"after", text(after)}});
}

void LogOperation(const Call& call, const Message& request) {
  Log(LogLevel::kAudit, "operation",
      {{"caller", call.caller()},
       {"peer", call.peer_address()},
       {"method", call.method().substr(1)},
       {"request", request.ShortDebugString()}});
}

}  // namespace restante::rpc
