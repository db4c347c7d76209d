// MessageService: validate, call, convert.
#ifndef RESTANTE_SERVER_RPC_MESSAGE_SERVICE_H_
#define RESTANTE_SERVER_RPC_MESSAGE_SERVICE_H_

#include "absl/time/time.h"
#include "restante/v1/message.grpc.pb.h"
#include "server/mail/messages.h"

namespace restante::rpc {

class MessageService final : public v1::MessageService::CallbackService {
 public:
  // `messages` outlives the service and its calls. `append_idle`: how long an
  // AppendMessage may send nothing (`--transaction-idle`).
  explicit MessageService(mail::Messages* messages, absl::Duration append_idle = absl::Minutes(10));

  grpc::ServerUnaryReactor* ListMessages(grpc::CallbackServerContext* context,
                                         const v1::ListMessagesRequest* request,
                                         v1::ListMessagesResponse* response) override;
  grpc::ServerUnaryReactor* GetMessage(grpc::CallbackServerContext* context,
                                       const v1::GetMessageRequest* request, v1::Message* response) override;
  grpc::ServerWriteReactor<v1::ReadMessageResponse>* ReadMessage(
      grpc::CallbackServerContext* context, const v1::ReadMessageRequest* request) override;
  grpc::ServerReadReactor<v1::AppendMessageRequest>* AppendMessage(grpc::CallbackServerContext* context,
                                                                   v1::Message* response) override;
  grpc::ServerUnaryReactor* DeleteMessage(grpc::CallbackServerContext* context,
                                          const v1::DeleteMessageRequest* request,
                                          google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* BatchDeleteMessages(grpc::CallbackServerContext* context,
                                                const v1::BatchDeleteMessagesRequest* request,
                                                v1::BatchDeleteMessagesResponse* response) override;

 private:
  mail::Messages* const messages_;
  const absl::Duration append_idle_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_MESSAGE_SERVICE_H_
