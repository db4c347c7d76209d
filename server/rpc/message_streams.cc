#include "server/rpc/message_streams.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/task.h"
#include "server/mail/append.h"
#include "server/mail/names.h"
#include "server/rpc/convert.h"
#include "server/rpc/domains.h"

namespace restante::rpc {
namespace {

using mail::InvalidField;

// Cancels a call that is not fed in time.
class IdleWatch {
 public:
  IdleWatch(Call& call, absl::Duration idle) : call_(call), idle_(idle) {}
  ~IdleWatch() { End(); }

  // Time counts from now on. Not while it counts already.
  void Begin() {
    alarm_.emplace();
    // The alarm may go off while the call ends.
    alarm_->Set(call_.queue(), std::chrono::system_clock::now() + absl::ToChronoMicroseconds(idle_),
                new FunctionCompletion([call = call_.shared_from_this()](bool expired) {
                  if (expired) call->Cancel();
                }));
  }
  void End() {
    if (alarm_) alarm_->Cancel();
  }

 private:
  Call& call_;
  const absl::Duration idle_;
  std::optional<grpc::Alarm> alarm_;
};

absl::StatusOr<mail::AppendHeader> HeaderOf(const v1::AppendMessageRequest::Header& header,
                                            std::string caller) {
  mail::AppendHeader out;
  ASSIGN_OR_RETURN(out.parent, InField("header.parent", mail::ParseParentName(header.parent())));
  RETURN_IF_ERROR(CheckRequestId("header.request_id", header.request_id()));
  if (!header.has_size_bytes()) return InvalidField("header.size_bytes", "is required");
  out.caller = std::move(caller);
  out.request_id = header.request_id();
  out.size = header.size_bytes();
  if (header.has_crc32c()) out.crc32c = header.crc32c();
  if (header.has_arrival_time()) {
    ASSIGN_OR_RETURN(out.arrival_us, MicrosOf("header.arrival_time", header.arrival_time()));
  }
  ASSIGN_OR_RETURN(out.flags, FlagsOf("header.flags", header.flags()));
  out.keywords.assign(header.keywords().begin(), header.keywords().end());
  out.sender = header.sender();
  out.recipient = header.recipient();
  out.ignore_quota = header.ignore_quota();
  out.while_on_hold = header.while_on_hold();
  return out;
}

// What is beyond readers.
absl::Status CheckRights(const access::Grant& grant, const v1::AppendMessageRequest::Header& header) {
  if (header.ignore_quota()) {
    RETURN_IF_ERROR(grant.CheckRole(access::Role::kOperator, "header.ignore_quota"));
    // The limits of a domain are not the affair of who is restricted to it (rpc/methods.cc).
    if (grant.caller().restricted()) return grant.DenyWholeStore();
  }
  if (header.while_on_hold()) {
    RETURN_IF_ERROR(grant.CheckRole(access::Role::kOperator, "header.while_on_hold"));
  }
  return absl::OkStatus();
}

Await<bool> ReadWithin(IdleWatch& watch, Call& call, v1::AppendMessageRequest* request) {
  return Await<bool>([&watch, &call, request](auto done) {
    watch.Begin();
    call.Read(request, [&watch, done = std::move(done)](bool ok) mutable {
      watch.End();
      done(ok);
    });
  });
}

}  // namespace

Task<absl::Status> ReadMessage(mail::Messages* messages, Call& call, const v1::ReadMessageRequest* request) {
  CO_ASSIGN_OR_RETURN(mail::MessageRef ref, InField("name", mail::ParseMessageName(request->name())));
  const uint64_t length = request->length() == 0 ? UINT64_MAX : request->length();
  CO_ASSIGN_OR_RETURN(mail::MessageReading reading,
                      co_await messages->Read(std::move(ref), request->offset(), length));
  while (reading.text.left() != 0 && !call.over()) {
    v1::ReadMessageResponse response;
    CO_ASSIGN_OR_RETURN(*response.mutable_chunk(), co_await messages->NextOf(&reading));
    if (reading.text.left() == 0) {
      call.SetLast(response);
    } else if (!co_await call.Write(response)) {
      break;
    }
  }
  if (reading.text.left() != 0) co_return absl::CancelledError("the caller went away");
  co_return absl::OkStatus();
}

Task<absl::Status> AppendMessage(const AppendOptions* options, Call& call, v1::Message* response) {
  IdleWatch watch(call, options->idle);
  mail::Append append(options->messages);
  v1::AppendMessageRequest request;
  const bool first = co_await ReadWithin(watch, call, &request);
  if (!first || !request.has_header()) co_return InvalidField("header", "is required in the first request");
  CO_RETURN_IF_ERROR(CheckDomains(call.grant(), request));
  CO_RETURN_IF_ERROR(CheckRights(call.grant(), request.header()));
  CO_ASSIGN_OR_RETURN(mail::AppendHeader header, HeaderOf(request.header(), call.caller()));
  CO_ASSIGN_OR_RETURN(const std::optional<mail::MessageView> repeated,
                      co_await append.Begin(std::move(header)));
  // What a repeated request sends is read to its end and dropped: a caller that
  // sends everything before it looks for the answer gets it, too.
  while (co_await ReadWithin(watch, call, &request)) {
    if (!request.has_chunk()) co_return InvalidField("chunk", "is required in all requests but the first");
    if (repeated) continue;
    CO_RETURN_IF_ERROR(co_await append.Write(std::move(*request.mutable_chunk())));
  }
  if (call.over()) co_return absl::CancelledError("the caller went away");
  if (repeated) {
    *response = ToApi(*repeated);
    co_return absl::OkStatus();
  }
  CO_ASSIGN_OR_RETURN(const mail::MessageView stored, co_await append.Finish());
  *response = ToApi(stored);
  co_return absl::OkStatus();
}

}  // namespace restante::rpc
