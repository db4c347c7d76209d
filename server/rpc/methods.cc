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
#include "server/rpc/settle_call.h"
#include "server/rpc/sweep_call.h"
#include "server/rpc/verify_call.h"
#include "server/rpc/watch_call.h"

namespace restante::rpc {
namespace {

using access::Role;
using access::Roles;
using access::Rule;
using access::Scope;

// Who may call what. The limits of a domain are the affair of who has all domains:
// one that is restricted to it provides for mailboxes within them.
constexpr Rule kDeliver = {Role::kMta, Scope::kNothing};  // Each recipient is decided alone (MayReach).
constexpr Rule kRead = {Role::kReader, Scope::kDomains};
constexpr Rule kSee = {Role::kReader | Role::kOperator, Scope::kDomains};
constexpr Rule kSeeAll = {Role::kReader | Role::kOperator, Scope::kStore};
constexpr Rule kProvide = {Role::kOperator, Scope::kDomains};
constexpr Rule kOperate = {Role::kOperator, Scope::kStore};
constexpr Rule kDescribe = {Role::kOperator, Scope::kNothing};
constexpr Rule kAnyCaller = {Roles::All(), Scope::kNothing};

using Serve = std::function<Task<absl::Status>(Call&)>;

Task<absl::Status> ServeCounted(std::atomic<uint64_t>* open, const Serve* serve, Call& call) {
  ++*open;
  absl::Status status = co_await (*serve)(call);
  --*open;
  co_return std::move(status);
}

// A method of which is known how many calls are open.
Method Counted(std::atomic<uint64_t>* open, Method method) {
  const auto serve = std::make_shared<const Serve>(std::move(method.serve));
  method.serve = [open, serve](Call& call) { return ServeCounted(open, serve.get(), call); };
  return method;
}

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
         mail::Messages* messages, mail::EventFeed* events, absl::Duration append_idle)
    : engine_(engine),
      deliveries_(deliveries),
      provisioning_(provisioning),
      messages_(messages),
      events_(events),
      append_{messages, append_idle},
      store_{engine, provisioning, deliveries, messages->clock(), messages->clock()->MonotonicMicros()},
      health_(OwnServices()),
      reflection_(ListedServices()) {}

Methods Api::methods() {
  Methods table = {
      Counted(&streams_.deliver,
              BidiStream("restante.v1.DeliveryService/Deliver", kDeliver, deliveries_, DeliverStream::Serve)),
      Unary("restante.v1.DeliveryService/GetReceipt", kDeliver, deliveries_, calls::GetReceipt),
      Unary("restante.v1.DeliveryService/CheckRecipient", kDeliver, deliveries_, calls::CheckRecipient),
      Unary("restante.v1.DeliveryService/GetCapacity", kAnyCaller, deliveries_, calls::GetCapacity),

      Change("restante.v1.MailboxService/CreateDomain", kOperate, provisioning_, calls::CreateDomain),
      Unary("restante.v1.MailboxService/GetDomain", kSee, provisioning_, calls::GetDomain),
      Unary("restante.v1.MailboxService/ListDomains", kSeeAll, provisioning_, calls::ListDomains),
      Change("restante.v1.MailboxService/UpdateDomain", kOperate, provisioning_, calls::UpdateDomain),
      Change("restante.v1.MailboxService/DeleteDomain", kOperate, provisioning_, calls::DeleteDomain),
      Change("restante.v1.MailboxService/CreateMailbox", kProvide, provisioning_, calls::CreateMailbox),
      Unary("restante.v1.MailboxService/GetMailbox", kSee, provisioning_, calls::GetMailbox),
      Unary("restante.v1.MailboxService/ListMailboxes", kSee, provisioning_, calls::ListMailboxes),
      Change("restante.v1.MailboxService/UpdateMailbox", kProvide, provisioning_, calls::UpdateMailbox),
      Change("restante.v1.MailboxService/DeleteMailbox", kProvide, provisioning_, calls::DeleteMailbox),
      Change("restante.v1.MailboxService/RenameMailbox", kProvide, provisioning_, calls::RenameMailbox),
      Unary("restante.v1.MailboxService/RecalculateUsage", kProvide, messages_, calls::RecalculateUsage),
      Change("restante.v1.MailboxService/CreateAlias", kProvide, provisioning_, calls::CreateAlias),
      Unary("restante.v1.MailboxService/GetAlias", kSee, provisioning_, calls::GetAlias),
      Unary("restante.v1.MailboxService/ListAliases", kSee, provisioning_, calls::ListAliases),
      Change("restante.v1.MailboxService/UpdateAlias", kProvide, provisioning_, calls::UpdateAlias),
      Change("restante.v1.MailboxService/DeleteAlias", kProvide, provisioning_, calls::DeleteAlias),

      Unary("restante.v1.MessageService/ListMessages", kRead, messages_, calls::ListMessages),
      Unary("restante.v1.MessageService/GetMessage", kRead, messages_, calls::GetMessage),
      ServerStream("restante.v1.MessageService/ReadMessage", kRead, messages_, ReadMessage),
      ClientStream("restante.v1.MessageService/AppendMessage", kRead, &append_, AppendMessage),
      Unary("restante.v1.MessageService/DeleteMessage", kRead, messages_, calls::DeleteMessage),
      Unary("restante.v1.MessageService/BatchDeleteMessages", kRead, messages_, calls::BatchDeleteMessages),

      Unary("restante.v1.StoreService/GetStatus", kOperate, &store_, calls::GetStatus),
      Operation("restante.v1.StoreService/Verify", kOperate, messages_, ServeVerify),
      Operation("restante.v1.StoreService/Scrub", kOperate, engine_, ServeScrub),
      Operation("restante.v1.StoreService/Compact", kOperate, engine_, ServeCompact),
      Operation("restante.v1.StoreService/Backup", kOperate, engine_, ServeBackup),
      Operation("restante.v1.StoreService/Settle", kOperate, engine_, ServeSettle),
      Operation("restante.v1.StoreService/Sweep", kOperate, engine_, ServeSweep),
      Counted(&streams_.watch_events,
              ServerStream("restante.v1.StoreService/WatchEvents", kOperate, events_, ServeWatchEvents)),

      Unary("grpc.health.v1.Health/Check", kAnyCaller, &health_, Health::Check),
      ServerStream("grpc.health.v1.Health/Watch", kAnyCaller, &health_, Health::Watch),
      BidiStream("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", kDescribe, &reflection_,
                 Reflection::Serve),
      BidiStream("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", kDescribe, &reflection_,
                 Reflection::Serve),
  };
  Methods channelz = ChannelzMethods();
  std::move(channelz.begin(), channelz.end(), std::back_inserter(table));
  return table;
}

}  // namespace restante::rpc
