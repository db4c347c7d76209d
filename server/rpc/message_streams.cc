#include "server/rpc/message_streams.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/task.h"
#include "server/mail/append.h"
#include "server/mail/names.h"
#include "server/rpc/caller.h"
#include "server/rpc/convert.h"
#include "server/rpc/errors.h"

namespace restante::rpc {
namespace {

using mail::InvalidField;

class ReadCall : public grpc::ServerWriteReactor<v1::ReadMessageResponse> {
 public:
  ReadCall(mail::Messages* messages, const v1::ReadMessageRequest* request)
      : messages_(messages), request_(request) {
    Start<absl::Status>(Run(), [this](absl::Status status) { Finish(ToGrpcStatus(status)); });
  }

  void OnWriteDone(bool ok) override { std::exchange(written_, nullptr)(ok); }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  Task<absl::Status> Run() {
    CO_ASSIGN_OR_RETURN(mail::MessageRef ref, InField("name", mail::ParseMessageName(request_->name())));
    CO_ASSIGN_OR_RETURN(const mail::MessageView message, co_await messages_->Get(ref));
    const uint64_t size = message.entry.size();
    uint64_t offset = request_->offset();
    if (offset > size) {
      co_return mail::Error(absl::StatusCode::kOutOfRange, "OUT_OF_RANGE", ToApi(message).name(),
                            absl::StrCat("offset ", offset, " lies beyond the end at ", size));
    }
    uint64_t left = size - offset;
    if (request_->length() != 0) left = std::min(left, request_->length());
    while (left != 0 && !cancelled_) {
      const uint64_t wanted = std::min(left, mail::kMaxChunk);
      CO_ASSIGN_OR_RETURN(std::string octets, co_await messages_->ReadText(message, offset, wanted));
      if (octets.size() != wanted) {
        co_return mail::Error(
            absl::StatusCode::kDataLoss, "DAMAGED", ToApi(message).name(),
            absl::StrCat("its text ends at ", offset + octets.size(), " of ", size, " octets"));
      }
      offset += wanted;
      left -= wanted;
      response_.set_chunk(std::move(octets));
      const bool ok = co_await Await<bool>([this](absl::AnyInvocable<void(bool)> done) {
        written_ = std::move(done);
        StartWrite(&response_);
      });
      if (!ok) break;
    }
    if (left != 0) co_return absl::CancelledError("the caller went away");
    co_return absl::OkStatus();
  }

  mail::Messages* const messages_;
  const v1::ReadMessageRequest* const request_;
  v1::ReadMessageResponse response_;
  absl::AnyInvocable<void(bool)> written_;
  std::atomic<bool> cancelled_{false};
};

// Cancels a call that is not fed in time. The alarm may go off while the call
// ends: whoever comes first says so to the other.
class IdleWatch {
 public:
  IdleWatch(grpc::CallbackServerContext* context, absl::Duration idle)
      : shared_(std::make_shared<Shared>()), idle_(idle) {
    shared_->context = context;
  }

  // Time counts from now on. Not while it counts already.
  void Begin() {
    alarm_.emplace();
    alarm_->Set(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(idle_),
                [shared = shared_](bool expired) {
                  absl::MutexLock lock(&shared->mutex);
                  if (expired && shared->context != nullptr) shared->context->TryCancel();
                });
  }
  void End() {
    if (alarm_) alarm_->Cancel();
  }
  // The call is about to be finished; its context must not be touched any more.
  void LetGo() {
    End();
    absl::MutexLock lock(&shared_->mutex);
    shared_->context = nullptr;
  }

 private:
  struct Shared {
    absl::Mutex mutex;
    grpc::CallbackServerContext* context ABSL_GUARDED_BY(mutex) = nullptr;
  };
  const std::shared_ptr<Shared> shared_;
  const absl::Duration idle_;
  std::optional<grpc::Alarm> alarm_;
};

class AppendCall : public grpc::ServerReadReactor<v1::AppendMessageRequest> {
 public:
  AppendCall(mail::Messages* messages, grpc::CallbackServerContext* context, absl::Duration idle,
             v1::Message* response)
      : context_(context),
        response_(response),
        idle_(context, idle),
        append_(std::make_unique<mail::Append>(messages)) {
    Start<absl::Status>(Run(), [this](absl::Status status) {
      // What was not stored is given up before the caller hears of it.
      append_.reset();
      idle_.LetGo();
      Finish(ToGrpcStatus(status));
    });
  }

  void OnReadDone(bool ok) override {
    idle_.End();
    std::exchange(read_, nullptr)(ok);
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  Await<bool> Read() {
    return Await<bool>([this](absl::AnyInvocable<void(bool)> done) {
      read_ = std::move(done);
      idle_.Begin();
      StartRead(&request_);
    });
  }

  absl::StatusOr<mail::AppendHeader> HeaderOf(const v1::AppendMessageRequest::Header& header) const {
    mail::AppendHeader out;
    ASSIGN_OR_RETURN(out.parent, InField("header.parent", mail::ParseParentName(header.parent())));
    RETURN_IF_ERROR(CheckRequestId("header.request_id", header.request_id()));
    if (header.size_bytes() == 0) return InvalidField("header.size_bytes", "is required");
    out.caller = CallerIdentity(*context_);
    out.request_id = header.request_id();
    out.size = header.size_bytes();
    if (header.has_crc32c()) out.crc32c = header.crc32c();
    if (header.has_arrival_time()) {
      ASSIGN_OR_RETURN(out.arrival_us, MicrosOf("header.arrival_time", header.arrival_time()));
    }
    return out;
  }

  Task<absl::Status> Run() {
    const bool first = co_await Read();
    if (!first || !request_.has_header())
      co_return InvalidField("header", "is required in the first request");
    CO_ASSIGN_OR_RETURN(mail::AppendHeader header, HeaderOf(request_.header()));
    CO_ASSIGN_OR_RETURN(const std::optional<mail::MessageView> repeated,
                        co_await append_->Begin(std::move(header)));
    // What a repeated request sends is read to its end and dropped: a caller that
    // sends everything before it looks for the answer gets it, too.
    while (true) {
      const bool more = co_await Read();
      if (!more) break;
      if (!request_.has_chunk()) co_return InvalidField("chunk", "is required in all requests but the first");
      if (repeated) continue;
      CO_RETURN_IF_ERROR(co_await append_->Write(std::move(*request_.mutable_chunk())));
    }
    if (cancelled_) co_return absl::CancelledError("the caller went away");
    if (repeated) {
      *response_ = ToApi(*repeated);
      co_return absl::OkStatus();
    }
    CO_ASSIGN_OR_RETURN(const mail::MessageView stored, co_await append_->Finish());
    *response_ = ToApi(stored);
    co_return absl::OkStatus();
  }

  grpc::CallbackServerContext* const context_;
  v1::Message* const response_;
  IdleWatch idle_;
  std::unique_ptr<mail::Append> append_;
  v1::AppendMessageRequest request_;
  absl::AnyInvocable<void(bool)> read_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace

grpc::ServerWriteReactor<v1::ReadMessageResponse>* StartReadMessage(mail::Messages* messages,
                                                                    const v1::ReadMessageRequest* request) {
  return new ReadCall(messages, request);
}

grpc::ServerReadReactor<v1::AppendMessageRequest>* StartAppendMessage(mail::Messages* messages,
                                                                      grpc::CallbackServerContext* context,
                                                                      absl::Duration idle,
                                                                      v1::Message* response) {
  return new AppendCall(messages, context, idle, response);
}

}  // namespace restante::rpc
