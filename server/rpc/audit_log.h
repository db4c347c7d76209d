// The log of what operators do: who, from where, what, and how things were before
// and afterwards. (What was refused to them: access/denial_log.h.)
#ifndef RESTANTE_SERVER_RPC_AUDIT_LOG_H_
#define RESTANTE_SERVER_RPC_AUDIT_LOG_H_

#include <google/protobuf/message.h>

#include <string>

#include "server/base/task.h"
#include "server/mail/provisioning.h"
#include "server/rpc/call.h"

namespace restante::rpc {

// A domain, mailbox or alias at one moment; empty: there was none.
struct AuditedState {
  std::string text;
  std::string etag;
};

// Of the resource that `change` names first. It is read before the change and not
// within it: where another change came in between, the etags tell.
Task<AuditedState> StateBefore(mail::Provisioning* provisioning, const google::protobuf::Message& change);

// Of a response; empty for one that is no resource.
AuditedState StateAfter(const google::protobuf::Message& response);

// One line, `changed`, unless nothing was: a repeated request.
void LogChange(const Call& call, const AuditedState& before, const AuditedState& after);

// One line, `operation`, for work on the store as a whole.
void LogOperation(const Call& call, const google::protobuf::Message& request);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_AUDIT_LOG_H_
