#include "server/rpc/call.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/access/peer_credentials.h"
#include "server/rpc/errors.h"
#include "server/rpc/server.h"

namespace restante::rpc {
namespace {

using google::protobuf::MessageLite;
using Traits = grpc::SerializationTraits<MessageLite>;

grpc::ByteBuffer Serialized(const MessageLite& message) {
  grpc::ByteBuffer buffer;
  bool own_buffer;
  Traits::Serialize(message, &buffer, &own_buffer);
  return buffer;
}

}  // namespace

Call::Call(Server* server, grpc::ServerCompletionQueue* queue) : server_(server), queue_(queue) {
  server_->CallBegan();
}

Call::~Call() { server_->CallEnded(); }

std::string Call::peer_address() const {
  // `ipv4:127.0.0.1:54321` or `ipv6:%5B::1%5D:54321`.
  const std::string peer = absl::StrReplaceAll(context_.peer(), {{"%5B", "["}, {"%5D", "]"}});
  absl::string_view rest = peer;
  if (!absl::ConsumePrefix(&rest, "ipv4:") && !absl::ConsumePrefix(&rest, "ipv6:")) return peer;
  rest = rest.substr(0, rest.rfind(':'));
  absl::ConsumePrefix(&rest, "[");
  absl::ConsumeSuffix(&rest, "]");
  return std::string(rest);
}

void Call::Accept(grpc::AsyncGenericService* service) {
  context_.AsyncNotifyWhenDone(done_.Begin());
  service->RequestCall(&context_, &stream_, queue_, queue_, accepted_.Begin());
}

void Call::OnAccepted(bool ok) {
  // The server stops; nobody is told then that a call is done.
  if (!ok) return done_.Drop();
  server_->Accept(queue_);
  const Method* method = server_->Find(context_.method());
  if (method == nullptr) {
    return Finish(absl::UnimplementedError(absl::StrCat(context_.method(), ": there is no such method")));
  }
  absl::StatusOr<access::Grant> grant = server_->authorizer_->Authorize(
      context_.method(), method->rule,
      access::PeerCredentials(context_.auth_context().get(), context_.client_metadata()), peer_address());
  if (!grant.ok()) return Finish(grant.status());
  grant_ = *std::move(grant);
  Start<absl::Status>(method->serve(*this),
                      [self = shared_from_this()](absl::Status status) { self->Finish(std::move(status)); });
}

void Call::Read(MessageLite* message, absl::AnyInvocable<void(bool)> done) {
  into_ = message;
  read_done_ = std::move(done);
  stream_.Read(&request_, read_.Begin());
}

void Call::OnRead(bool ok) {
  if (ok && !Traits::Deserialize(&request_, into_).ok()) {
    ok = false;
    over_ = true;
    absl::MutexLock lock(&mutex_);
    unreadable_ = absl::InvalidArgumentError(
        absl::StrCat(context_.method(), ": a request cannot be parsed as ", into_->GetTypeName()));
  }
  std::exchange(read_done_, nullptr)(ok);
}

Await<bool> Call::Read(MessageLite* message) {
  return Await<bool>([this, message](auto done) { Read(message, std::move(done)); });
}

void Call::Write(const MessageLite& message, absl::AnyInvocable<void(bool)> done) {
  write_done_ = std::move(done);
  stream_.Write(Serialized(message), written_.Begin());
}

void Call::OnWritten(bool ok) {
  if (!ok) over_ = true;
  std::exchange(write_done_, nullptr)(ok);
}

Await<bool> Call::Write(const MessageLite& message) {
  return Await<bool>([this, &message](auto done) { Write(message, std::move(done)); });
}

void Call::SetLast(const MessageLite& message) { last_ = Serialized(message); }

void Call::Finish(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!unreadable_.ok()) status = unreadable_;
  }
  if (status.ok() && last_) {
    stream_.WriteAndFinish(*last_, grpc::WriteOptions(), grpc::Status::OK, finished_.Begin());
  } else {
    stream_.Finish(ToGrpcStatus(status), finished_.Begin());
  }
}

void Call::OnDone(bool) {
  if (!context_.IsCancelled()) return;
  over_ = true;
  absl::AnyInvocable<void()> on_gone;
  {
    absl::MutexLock lock(&mutex_);
    gone_ = true;
    on_gone = std::exchange(on_gone_, nullptr);
  }
  if (on_gone) on_gone();
}

void Call::OnGone(absl::AnyInvocable<void()> fn) {
  {
    absl::MutexLock lock(&mutex_);
    if (!gone_) {
      on_gone_ = std::move(fn);
      return;
    }
  }
  fn();
}

}  // namespace restante::rpc
