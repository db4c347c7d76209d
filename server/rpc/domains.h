// Which domains a request is about, for callers that are restricted to some.
#ifndef RESTANTE_SERVER_RPC_DOMAINS_H_
#define RESTANTE_SERVER_RPC_DOMAINS_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "server/access/authorizer.h"

namespace restante::rpc {

// The name of the resource that `request` is about, the first that it says; empty:
// it says none.
std::string ResourceOf(const google::protobuf::Message& request);

// Whether the caller may touch what `request` names: every resource name in it,
// wherever it stands, so that a new method or field is checked as well. A request
// that names nothing is about everything. kPermissionDenied; kInvalidArgument for
// what is no name; always OK for who is not restricted, and for methods whose rule
// says that they touch nothing.
absl::Status CheckDomains(const access::Grant& grant, const google::protobuf::Message& request);

// Whether mail for `address` is the caller's affair. For others the domain is as
// foreign as one that the store does not host.
bool MayReach(const access::Caller& caller, const std::string& address);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_DOMAINS_H_
