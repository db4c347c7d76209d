// The methods of MessageService with one request and one response.
#ifndef RESTANTE_SERVER_RPC_MESSAGE_CALLS_H_
#define RESTANTE_SERVER_RPC_MESSAGE_CALLS_H_

#include <google/protobuf/empty.pb.h>

#include "absl/status/status.h"
#include "restante/v1/message.pb.h"
#include "server/base/task.h"
#include "server/mail/messages.h"

namespace restante::rpc::calls {

Task<absl::Status> ListMessages(mail::Messages* messages, const v1::ListMessagesRequest* request,
                                v1::ListMessagesResponse* response);
Task<absl::Status> GetMessage(mail::Messages* messages, const v1::GetMessageRequest* request,
                              v1::Message* response);
Task<absl::Status> DeleteMessage(mail::Messages* messages, const v1::DeleteMessageRequest* request,
                                 google::protobuf::Empty* response);
Task<absl::Status> BatchDeleteMessages(mail::Messages* messages,
                                       const v1::BatchDeleteMessagesRequest* request,
                                       v1::BatchDeleteMessagesResponse* response);

}  // namespace restante::rpc::calls

#endif  // RESTANTE_SERVER_RPC_MESSAGE_CALLS_H_
