// A row of the table of methods: what serves which method. A handler is a task that
// returns the call's status; request and response are the table's affair.
#ifndef RESTANTE_SERVER_RPC_METHOD_H_
#define RESTANTE_SERVER_RPC_METHOD_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/access/role.h"
#include "server/base/task.h"
#include "server/mail/provisioning.h"
#include "server/rpc/audit_log.h"
#include "server/rpc/call.h"
#include "server/rpc/domains.h"

namespace restante::rpc {

struct Method {
  std::string name;   // `restante.v1.MailboxService/GetMailbox`
  access::Rule rule;  // Who may call it.
  std::function<Task<absl::Status>(Call&)> serve;
};
using Methods = std::vector<Method>;

namespace method_internal {

template <typename Request, typename Response, typename Handler>
Task<absl::Status> ServeUnary(Call& call, Handler handler) {
  Request request;
  Response response;
  if (!co_await call.Read(&request)) co_return absl::InvalidArgumentError("the request is missing");
  CO_RETURN_IF_ERROR(CheckDomains(call.grant(), request));
  CO_RETURN_IF_ERROR(co_await handler(call, &request, &response));
  call.SetLast(response);
  co_return absl::OkStatus();
}

template <typename Request, typename Response, typename Handler>
Task<absl::Status> ServeChange(mail::Provisioning* provisioning, Call& call, const Request* request,
                               Response* response, Handler handler) {
  const AuditedState before = co_await StateBefore(provisioning, *request);
  CO_RETURN_IF_ERROR(co_await handler(provisioning, request, response));
  LogChange(call, before, StateAfter(*response));
  co_return absl::OkStatus();
}

template <typename Request, typename Handler>
Task<absl::Status> ServeServerStream(Call& call, Handler handler, bool audited) {
  Request request;
  if (!co_await call.Read(&request)) co_return absl::InvalidArgumentError("the request is missing");
  CO_RETURN_IF_ERROR(CheckDomains(call.grant(), request));
  if (audited) LogOperation(call, request);
  absl::Status status = co_await handler(call, &request);
  co_return std::move(status);
}

template <typename Response, typename Handler>
Task<absl::Status> ServeClientStream(Call& call, Handler handler) {
  Response response;
  CO_RETURN_IF_ERROR(co_await handler(call, &response));
  call.SetLast(response);
  co_return absl::OkStatus();
}

}  // namespace method_internal

// One request, one response. `part` outlives the server.
template <typename Part, typename Request, typename Response>
Method Unary(std::string name, access::Rule rule, Part* part,
             Task<absl::Status> (*handler)(Part*, Call&, const Request*, Response*)) {
  return {std::move(name), rule, [=](Call& call) {
            return method_internal::ServeUnary<Request, Response>(
                call, [=](Call& c, const Request* request, Response* response) {
                  return handler(part, c, request, response);
                });
          }};
}
// One that does not ask who calls.
template <typename Part, typename Request, typename Response>
Method Unary(std::string name, access::Rule rule, Part* part,
             Task<absl::Status> (*handler)(Part*, const Request*, Response*)) {
  return {std::move(name), rule, [=](Call& call) {
            return method_internal::ServeUnary<Request, Response>(
                call, [=](Call&, const Request* request, Response* response) {
                  return handler(part, request, response);
                });
          }};
}

// A Unary that changes what operators provide; in the audit log.
template <typename Request, typename Response>
Method Change(std::string name, access::Rule rule, mail::Provisioning* provisioning,
              Task<absl::Status> (*handler)(mail::Provisioning*, const Request*, Response*)) {
  return {std::move(name), rule, [=](Call& call) {
            return method_internal::ServeUnary<Request, Response>(
                call, [=](Call& c, const Request* request, Response* response) {
                  return method_internal::ServeChange(provisioning, c, request, response, handler);
                });
          }};
}

// One request; the handler writes responses.
template <typename Part, typename Request>
Method ServerStream(std::string name, access::Rule rule, Part* part,
                    Task<absl::Status> (*handler)(Part*, Call&, const Request*), bool audited = false) {
  return {std::move(name), rule, [=](Call& call) {
            return method_internal::ServeServerStream<Request>(
                call, [=](Call& c, const Request* request) { return handler(part, c, request); }, audited);
          }};
}
// The same for work on the store as a whole; in the audit log.
template <typename Part, typename Request>
Method Operation(std::string name, access::Rule rule, Part* part,
                 Task<absl::Status> (*handler)(Part*, Call&, const Request*)) {
  return ServerStream(std::move(name), rule, part, handler, /*audited=*/true);
}

// The handler reads requests, and checks the domains that they name; one response.
template <typename Part, typename Response>
Method ClientStream(std::string name, access::Rule rule, Part* part,
                    Task<absl::Status> (*handler)(Part*, Call&, Response*)) {
  return {std::move(name), rule, [=](Call& call) {
            return method_internal::ServeClientStream<Response>(
                call, [=](Call& c, Response* response) { return handler(part, c, response); });
          }};
}

// The handler reads, checks domains, and writes.
template <typename Part>
Method BidiStream(std::string name, access::Rule rule, Part* part,
                  Task<absl::Status> (*handler)(Part*, Call&)) {
  return {std::move(name), rule, [=](Call& call) { return handler(part, call); }};
}

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_METHOD_H_
