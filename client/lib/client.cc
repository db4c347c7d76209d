#include "restante/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/lib/channel.h"
#include "client/lib/grpc_status.h"
#include "client/lib/idle_watch.h"
#include "client/lib/store_names.h"
#include "restante/errors.h"
#include "restante/v1/delivery.grpc.pb.h"
#include "restante/v1/mailbox.grpc.pb.h"
#include "restante/v1/message.grpc.pb.h"
#include "restante/v1/store.grpc.pb.h"
#include "server/base/status_macros.h"

namespace restante {
namespace {

using client_internal::IdleWatch;
using client_internal::StoreName;
using client_internal::ToStatus;

// How long one of several stores may take to be connected to.
constexpr std::chrono::milliseconds kConnectPatience{1'000};

// Whether calls would reach somebody; connects if need be.
bool IsThere(grpc::Channel& channel) {
  const auto deadline = std::chrono::system_clock::now() + kConnectPatience;
  for (grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true); state != GRPC_CHANNEL_READY;
       state = channel.GetState(true)) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || !channel.WaitForStateChange(state, deadline)) return false;
  }
  return true;
}

}  // namespace

struct Client::Stubs {
  explicit Stubs(const ClientOptions& options)
      : deadline(options.deadline), idle(std::make_shared<IdleWatch>(options.deadline)) {
    const absl::StatusOr<std::vector<StoreName>> names = client_internal::ParseStoreNames(options.target);
    none = names.status();
    if (!names.ok()) return;
    for (const StoreName& name : *names) {
      ClientOptions one = options;
      one.target = name.target;
      stores.push_back(std::make_unique<Store>(one));
    }
  }

  // Of one channel.
  struct Set {
    Set(client_internal::Channels* of, const std::shared_ptr<grpc::Channel>& c)
        : channels(of), channel(c), delivery(c), mailbox(c), message(c), store(c) {}

    client_internal::Channels* const channels;
    const std::shared_ptr<grpc::Channel> channel;
    v1::DeliveryService::Stub delivery;
    v1::MailboxService::Stub mailbox;
    v1::MessageService::Stub message;
    v1::StoreService::Stub store;
  };
  struct Store {
    explicit Store(const ClientOptions& options) : channels(options) {}
    client_internal::Channels channels;
    std::shared_ptr<Set> set;
  };

  // Those for the next call: others than before once the credentials have changed.
  absl::StatusOr<std::shared_ptr<Set>> Current() {
    absl::MutexLock lock(&mutex);
    if (stores.empty()) return none;
    for (size_t i = 0; i < stores.size() && stores.size() > 1; ++i) {
      const absl::StatusOr<std::shared_ptr<Set>> set = SetOf(*stores[preferred]);
      if (set.ok() && IsThere(*(*set)->channel)) return set;
      preferred = (preferred + 1) % stores.size();
    }
    return SetOf(*stores[preferred]);
  }

  absl::StatusOr<std::shared_ptr<Set>> SetOf(Store& store) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    store.channels.Look();
    store.channels.Renew();
    absl::Status why;
    const std::shared_ptr<grpc::Channel> channel = store.channels.Current(&why);
    if (channel == nullptr) return why;
    if (store.set == nullptr || store.set->channel != channel) {
      store.set = std::make_shared<Set>(&store.channels, channel);
    }
    return store.set;
  }

  // The end of a call: with several stores, the next goes to another if nobody answered.
  absl::Status Ended(const Set& set, absl::Status status) {
    if (stores.size() < 2 || !IsUnreachable(status)) return status;
    absl::MutexLock lock(&mutex);
    if (&stores[preferred]->channels == set.channels) preferred = (preferred + 1) % stores.size();
    return status;
  }

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub Set::*stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request) {
    ASSIGN_OR_RETURN(const std::shared_ptr<Set> stubs, Current());
    grpc::ClientContext context;
    stubs->channels->Authenticate(&context);
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    Response response;
    absl::Status status = Ended(*stubs, ToStatus(((*stubs).*stub.*method)(&context, request, &response)));
    if (!status.ok()) return status;
    return response;
  }

  // A call that tells its progress; the last response has `done`.
  template <typename Stub, typename Request, typename Response>
  absl::Status Watch(Stub Set::*stub,
                     std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(grpc::ClientContext*,
                                                                                   const Request&),
                     const Request& request, const std::function<void(const Response&)>& progress) {
    ASSIGN_OR_RETURN(const std::shared_ptr<Set> stubs, Current());
    grpc::ClientContext context;
    stubs->channels->Authenticate(&context);
    IdleWatch::Patience patience(idle.get(), &context);
    auto reader = ((*stubs).*stub.*method)(&context, request);
    Response response;
    bool done = false;
    while (reader->Read(&response)) {
      patience.Heard();
      progress(response);
      done = response.done();
    }
    absl::Status status = Ended(*stubs, ToStatus(reader->Finish()));
    if (patience.Over()) return Idle();
    if (status.ok() && !done) return absl::DataLossError("the store ended the work before its end");
    return status;
  }

  absl::Status Idle() const {
    return absl::DeadlineExceededError(absl::StrCat("nothing came for ", deadline.count(), " ms"));
  }

  const std::chrono::milliseconds deadline;
  const std::shared_ptr<IdleWatch> idle;
  absl::Status none;  // Why there are no stores.
  std::vector<std::unique_ptr<Store>> stores;
  absl::Mutex mutex;  // Also around the sets of `stores`.
  size_t preferred ABSL_GUARDED_BY(mutex) = 0;
};

Client::Client(const ClientOptions& options) : stubs_(std::make_unique<Stubs>(options)) {}
Client::~Client() = default;

// --- MailboxService ---------------------------------------------------------------

absl::StatusOr<v1::Domain> Client::CreateDomain(const v1::CreateDomainRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::CreateDomain, request);
}
absl::StatusOr<v1::Domain> Client::GetDomain(const v1::GetDomainRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::GetDomain, request);
}
absl::StatusOr<v1::ListDomainsResponse> Client::ListDomains(const v1::ListDomainsRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::ListDomains, request);
}
absl::StatusOr<v1::Domain> Client::UpdateDomain(const v1::UpdateDomainRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::UpdateDomain, request);
}
absl::Status Client::DeleteDomain(const v1::DeleteDomainRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::DeleteDomain, request).status();
}
absl::StatusOr<v1::Mailbox> Client::CreateMailbox(const v1::CreateMailboxRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::CreateMailbox, request);
}
absl::StatusOr<v1::Mailbox> Client::GetMailbox(const v1::GetMailboxRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::GetMailbox, request);
}
absl::StatusOr<v1::ListMailboxesResponse> Client::ListMailboxes(const v1::ListMailboxesRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::ListMailboxes, request);
}
absl::StatusOr<v1::Mailbox> Client::UpdateMailbox(const v1::UpdateMailboxRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::UpdateMailbox, request);
}
absl::Status Client::DeleteMailbox(const v1::DeleteMailboxRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::DeleteMailbox, request).status();
}
absl::StatusOr<v1::Mailbox> Client::RenameMailbox(const v1::RenameMailboxRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::RenameMailbox, request);
}
absl::StatusOr<v1::RecalculateUsageResponse> Client::RecalculateUsage(
    const v1::RecalculateUsageRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::RecalculateUsage, request);
}
absl::StatusOr<v1::Alias> Client::CreateAlias(const v1::CreateAliasRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::CreateAlias, request);
}
absl::StatusOr<v1::Alias> Client::GetAlias(const v1::GetAliasRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::GetAlias, request);
}
absl::StatusOr<v1::ListAliasesResponse> Client::ListAliases(const v1::ListAliasesRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::ListAliases, request);
}
absl::StatusOr<v1::Alias> Client::UpdateAlias(const v1::UpdateAliasRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::UpdateAlias, request);
}
absl::Status Client::DeleteAlias(const v1::DeleteAliasRequest& request) {
  return stubs_->Call(&Stubs::Set::mailbox, &v1::MailboxService::Stub::DeleteAlias, request).status();
}

// --- MessageService ---------------------------------------------------------------

absl::StatusOr<v1::ListMessagesResponse> Client::ListMessages(const v1::ListMessagesRequest& request) {
  return stubs_->Call(&Stubs::Set::message, &v1::MessageService::Stub::ListMessages, request);
}
absl::StatusOr<v1::Message> Client::GetMessage(const v1::GetMessageRequest& request) {
  return stubs_->Call(&Stubs::Set::message, &v1::MessageService::Stub::GetMessage, request);
}
absl::Status Client::DeleteMessage(const v1::DeleteMessageRequest& request) {
  return stubs_->Call(&Stubs::Set::message, &v1::MessageService::Stub::DeleteMessage, request).status();
}
absl::StatusOr<v1::BatchDeleteMessagesResponse> Client::BatchDeleteMessages(
    const v1::BatchDeleteMessagesRequest& request) {
  return stubs_->Call(&Stubs::Set::message, &v1::MessageService::Stub::BatchDeleteMessages, request);
}

absl::Status Client::ReadMessage(const v1::ReadMessageRequest& request,
                                 const std::function<absl::Status(absl::string_view)>& sink) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Stubs::Set> stubs, stubs_->Current());
  grpc::ClientContext context;
  stubs->channels->Authenticate(&context);
  IdleWatch::Patience patience(stubs_->idle.get(), &context);
  auto reader = stubs->message.ReadMessage(&context, request);
  v1::ReadMessageResponse response;
  absl::Status sunk;
  while (reader->Read(&response)) {
    patience.Heard();
    if (sunk = sink(response.chunk()); !sunk.ok()) {
      context.TryCancel();
      break;
    }
  }
  absl::Status status = stubs_->Ended(*stubs, ToStatus(reader->Finish()));
  if (patience.Over()) return stubs_->Idle();
  return sunk.ok() ? status : sunk;
}

absl::StatusOr<v1::Message> Client::AppendMessage(const v1::AppendMessageRequest::Header& header,
                                                  absl::string_view message) {
  constexpr size_t kChunk = 256 * 1024;
  ASSIGN_OR_RETURN(const std::shared_ptr<Stubs::Set> stubs, stubs_->Current());
  grpc::ClientContext context;
  stubs->channels->Authenticate(&context);
  IdleWatch::Patience patience(stubs_->idle.get(), &context);
  v1::Message stored;
  // A small message leaves in one piece, from its metadata to its end.
  context.set_initial_metadata_corked(true);
  auto writer = stubs->message.AppendMessage(&context, &stored);
  v1::AppendMessageRequest request;
  *request.mutable_header() = header;
  bool open = writer->Write(request, message.empty() ? grpc::WriteOptions().set_last_message()
                                                     : grpc::WriteOptions().set_buffer_hint());
  while (open && !message.empty()) {
    request.set_chunk(std::string(message.substr(0, kChunk)));
    message.remove_prefix(std::min(message.size(), kChunk));
    open = writer->Write(request,
                         message.empty() ? grpc::WriteOptions().set_last_message() : grpc::WriteOptions());
    patience.Heard();
  }
  absl::Status status = stubs_->Ended(*stubs, ToStatus(writer->Finish()));
  if (patience.Over()) return stubs_->Idle();
  if (!status.ok()) return status;
  return stored;
}

// --- StoreService, DeliveryService --------------------------------------------------

absl::StatusOr<v1::StoreStatus> Client::GetStatus(const v1::GetStatusRequest& request) {
  return stubs_->Call(&Stubs::Set::store, &v1::StoreService::Stub::GetStatus, request);
}

absl::Status Client::Verify(const v1::VerifyRequest& request,
                            const std::function<void(const v1::VerifyResponse&)>& progress) {
  return stubs_->Watch(&Stubs::Set::store, &v1::StoreService::Stub::Verify, request, progress);
}
absl::Status Client::Backup(const v1::BackupRequest& request,
                            const std::function<void(const v1::BackupResponse&)>& progress) {
  return stubs_->Watch(&Stubs::Set::store, &v1::StoreService::Stub::Backup, request, progress);
}

absl::Status Client::Compact(const v1::CompactRequest& request,
                             const std::function<void(const v1::CompactResponse&)>& progress) {
  return stubs_->Watch(&Stubs::Set::store, &v1::StoreService::Stub::Compact, request, progress);
}

absl::Status Client::Settle(const v1::SettleRequest& request,
                            const std::function<void(const v1::SettleResponse&)>& progress) {
  return stubs_->Watch(&Stubs::Set::store, &v1::StoreService::Stub::Settle, request, progress);
}

absl::Status Client::Sweep(const v1::SweepRequest& request,
                           const std::function<void(const v1::SweepResponse&)>& progress) {
  return stubs_->Watch(&Stubs::Set::store, &v1::StoreService::Stub::Sweep, request, progress);
}

absl::Status Client::Scrub(const v1::ScrubRequest& request,
                           const std::function<void(const v1::ScrubResponse&)>& progress) {
  return stubs_->Watch(&Stubs::Set::store, &v1::StoreService::Stub::Scrub, request, progress);
}

absl::Status Client::WatchEvents(const v1::WatchEventsRequest& request,
                                 const std::function<bool(const v1::WatchEventsResponse&)>& sink) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Stubs::Set> stubs, stubs_->Current());
  grpc::ClientContext context;
  stubs->channels->Authenticate(&context);
  auto reader = stubs->store.WatchEvents(&context, request);
  v1::WatchEventsResponse response;
  while (reader->Read(&response)) {
    if (sink(response)) continue;
    context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return stubs_->Ended(*stubs, ToStatus(reader->Finish()));
}

absl::StatusOr<v1::GetReceiptResponse> Client::GetReceipt(const v1::GetReceiptRequest& request) {
  return stubs_->Call(&Stubs::Set::delivery, &v1::DeliveryService::Stub::GetReceipt, request);
}
absl::StatusOr<v1::CheckRecipientResponse> Client::CheckRecipient(const v1::CheckRecipientRequest& request) {
  return stubs_->Call(&Stubs::Set::delivery, &v1::DeliveryService::Stub::CheckRecipient, request);
}
absl::StatusOr<v1::Capacity> Client::GetCapacity(const v1::GetCapacityRequest& request) {
  return stubs_->Call(&Stubs::Set::delivery, &v1::DeliveryService::Stub::GetCapacity, request);
}

}  // namespace restante
