// The streaming methods of MessageService. Each call is one task that reads or
// writes one gRPC message at a time; the reactor deletes itself when it is done. An
// append whose caller sends nothing for `idle` is cancelled, and with it what it
// has reserved.
#ifndef RESTANTE_SERVER_RPC_MESSAGE_STREAMS_H_
#define RESTANTE_SERVER_RPC_MESSAGE_STREAMS_H_

#include <grpcpp/grpcpp.h>

#include "absl/time/time.h"
#include "restante/v1/message.pb.h"
#include "server/mail/messages.h"

namespace restante::rpc {

grpc::ServerWriteReactor<v1::ReadMessageResponse>* StartReadMessage(mail::Messages* messages,
                                                                    const v1::ReadMessageRequest* request);
grpc::ServerReadReactor<v1::AppendMessageRequest>* StartAppendMessage(mail::Messages* messages,
                                                                      grpc::CallbackServerContext* context,
                                                                      absl::Duration idle,
                                                                      v1::Message* response);

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_MESSAGE_STREAMS_H_
