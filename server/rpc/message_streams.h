// The streaming methods of MessageService. Each reads or writes one gRPC message at a
// time.
#ifndef RESTANTE_SERVER_RPC_MESSAGE_STREAMS_H_
#define RESTANTE_SERVER_RPC_MESSAGE_STREAMS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "restante/v1/message.pb.h"
#include "server/base/task.h"
#include "server/mail/messages.h"
#include "server/rpc/call.h"

namespace restante::rpc {

struct AppendOptions {
  mail::Messages* messages = nullptr;
  // An append whose caller sends nothing for so long is cancelled, and with it what
  // it has reserved (`--transaction-idle`).
  absl::Duration idle = absl::Minutes(10);
};

Task<absl::Status> ReadMessage(mail::Messages* messages, Call& call, const v1::ReadMessageRequest* request);
Task<absl::Status> AppendMessage(const AppendOptions* options, Call& call, v1::Message* response);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_MESSAGE_STREAMS_H_
