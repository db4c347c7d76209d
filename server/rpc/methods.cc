#include "server/rpc/methods.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/rpc/backup_call.h"
#include "server/rpc/channelz.h"
#include "server/rpc/compact_call.h"
#include "server/rpc/deliver_stream.h"
#include "server/rpc/delivery_calls.h"
#include "server/rpc/mailbox_calls.h"
#include "server/rpc/message_calls.h"
#include "server/rpc/scrub_call.h"
#include "server/rpc/verify_call.h"

namespace restante::rpc {
namespace {

std::vector<std::string> OwnServices() {
  return {"restante.v1.DeliveryService", "restante.v1.MailboxService", "restante.v1.MessageService",
          "restante.v1.StoreService"};
}

std::vector<std::string> ListedServices() {
  std::vector<std::string> services = OwnServices();
  services.insert(services.end(), {"grpc.channelz.v1.Channelz", "grpc.health.v1.Health",
                                   "grpc.reflection.v1alpha.ServerReflection"});
  return services;
}

}  // namespace

Api::Api(engine::Engine* engine, mail::Deliveries* deliveries, mail::Provisioning* provisioning,
         mail::Messages* messages, absl::Duration append_idle)
    : engine_(engine),
      deliveries_(deliveries),
      provisioning_(provisioning),
      messages_(messages),
      append_{messages, append_idle},
      store_{engine, provisioning, deliveries, messages->clock(), messages->clock()->MonotonicMicros()},
      health_(OwnServices()),
      reflection_(ListedServices()) {}

Methods Api::methods() {
  Methods table = {
      BidiStream("restante.v1.DeliveryService/Deliver", deliveries_, DeliverStream::Serve),
      Unary("restante.v1.DeliveryService/GetReceipt", deliveries_, calls::GetReceipt),
      Unary("restante.v1.DeliveryService/CheckRecipient", deliveries_, calls::CheckRecipient),
      Unary("restante.v1.DeliveryService/GetCapacity", deliveries_, calls::GetCapacity),

      Unary("restante.v1.MailboxService/CreateDomain", provisioning_, calls::CreateDomain),
      Unary("restante.v1.MailboxService/GetDomain", provisioning_, calls::GetDomain),
      Unary("restante.v1.MailboxService/ListDomains", provisioning_, calls::ListDomains),
      Unary("restante.v1.MailboxService/UpdateDomain", provisioning_, calls::UpdateDomain),
      Unary("restante.v1.MailboxService/DeleteDomain", provisioning_, calls::DeleteDomain),
      Unary("restante.v1.MailboxService/CreateMailbox", provisioning_, calls::CreateMailbox),
      Unary("restante.v1.MailboxService/GetMailbox", provisioning_, calls::GetMailbox),
      Unary("restante.v1.MailboxService/ListMailboxes", provisioning_, calls::ListMailboxes),
      Unary("restante.v1.MailboxService/UpdateMailbox", provisioning_, calls::UpdateMailbox),
      Unary("restante.v1.MailboxService/DeleteMailbox", provisioning_, calls::DeleteMailbox),
      Unary("restante.v1.MailboxService/RenameMailbox", provisioning_, calls::RenameMailbox),
      Unary("restante.v1.MailboxService/RecalculateUsage", messages_, calls::RecalculateUsage),
      Unary("restante.v1.MailboxService/CreateAlias", provisioning_, calls::CreateAlias),
      Unary("restante.v1.MailboxService/GetAlias", provisioning_, calls::GetAlias),
      Unary("restante.v1.MailboxService/ListAliases", provisioning_, calls::ListAliases),
      Unary("restante.v1.MailboxService/UpdateAlias", provisioning_, calls::UpdateAlias),
      Unary("restante.v1.MailboxService/DeleteAlias", provisioning_, calls::DeleteAlias),

      Unary("restante.v1.MessageService/ListMessages", messages_, calls::ListMessages),
      Unary("restante.v1.MessageService/GetMessage", messages_, calls::GetMessage),
      ServerStream("restante.v1.MessageService/ReadMessage", messages_, ReadMessage),
      ClientStream("restante.v1.MessageService/AppendMessage", &append_, AppendMessage),
      Unary("restante.v1.MessageService/DeleteMessage", messages_, calls::DeleteMessage),
      Unary("restante.v1.MessageService/BatchDeleteMessages", messages_, calls::BatchDeleteMessages),

      Unary("restante.v1.StoreService/GetStatus", &store_, calls::GetStatus),
      ServerStream("restante.v1.StoreService/Verify", engine_, ServeVerify),
      ServerStream("restante.v1.StoreService/Scrub", engine_, ServeScrub),
      ServerStream("restante.v1.StoreService/Compact", engine_, ServeCompact),
      ServerStream("restante.v1.StoreService/Backup", engine_, ServeBackup),

      Unary("grpc.health.v1.Health/Check", &health_, Health::Check),
      ServerStream("grpc.health.v1.Health/Watch", &health_, Health::Watch),
      BidiStream("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &reflection_,
                 Reflection::Serve),
      BidiStream("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &reflection_, Reflection::Serve),
  };
  Methods channelz = ChannelzMethods();
  std::move(channelz.begin(), channelz.end(), std::back_inserter(table));
  return table;
}

}  // namespace restante::rpc
