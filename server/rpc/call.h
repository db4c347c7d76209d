// One call of the API, of whatever kind: read its requests, write its responses,
// and return its status (rpc/method.h).
#ifndef RESTANTE_SERVER_RPC_CALL_H_
#define RESTANTE_SERVER_RPC_CALL_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/access/authorizer.h"
#include "server/base/completion.h"
#include "server/base/task.h"

namespace restante::rpc {

class Server;

// Any thread may call. One read and one write may be under way at a time; what they
// wait for comes on a thread of the server's queue.
class Call : public std::enable_shared_from_this<Call> {
 public:
  // `/restante.v1.MailboxService/GetMailbox`
  const std::string& method() const { return context_.method(); }
  // Who calls, and what that one may do.
  const access::Grant& grant() const { return *grant_; }
  // What request ids are scoped by. Without credentials all callers are one.
  const std::string& caller() const { return grant_->caller().name; }
  // The IP address of the peer in text, without port: `127.0.0.1`, `::1`; the whole
  // peer string (`unix:...`) if it is no IP address.
  std::string peer_address() const;

  // The next request. False: there is none, for the caller has half-closed or gone,
  // or sent what cannot be parsed. `message` lives until then.
  void Read(google::protobuf::MessageLite* message, absl::AnyInvocable<void(bool)> done);
  [[nodiscard]] Await<bool> Read(google::protobuf::MessageLite* message);
  // False: the caller has gone. `message` is not needed any more when Write returns.
  void Write(const google::protobuf::MessageLite& message, absl::AnyInvocable<void(bool)> done);
  [[nodiscard]] Await<bool> Write(const google::protobuf::MessageLite& message);
  // The last response, which goes together with the status if that is OK.
  void SetLast(const google::protobuf::MessageLite& message);

  // Whether the caller has gone, or sent what cannot be parsed.
  bool over() const { return over_.load(std::memory_order_acquire); }
  // Runs `fn` once when the caller goes, at once if he has; not when the call ends
  // before. One at a time: another replaces it.
  void OnGone(absl::AnyInvocable<void()> fn);
  // Ends the call: reads and writes fail, the caller sees CANCELLED.
  void Cancel() { context_.TryCancel(); }
  // The queue, for timers.
  grpc::ServerCompletionQueue* queue() const { return queue_; }

 private:
  friend class Server;

  // An operation, which keeps the call alive.
  class Operation final : public Completion {
   public:
    using Then = void (Call::*)(bool ok);
    Operation(Call* call, Then then) : call_(call), then_(then) {}
    void* Begin() {
      self_ = call_->shared_from_this();
      return this;
    }
    void Drop() { self_.reset(); }
    void Complete(bool ok) override {
      const std::shared_ptr<Call> self = std::move(self_);
      (call_->*then_)(ok);
    }

   private:
    Call* const call_;
    const Then then_;
    std::shared_ptr<Call> self_;
  };

 public:
  // Made by the server only.
  Call(Server* server, grpc::ServerCompletionQueue* queue);
  ~Call();

 private:
  void Accept(grpc::AsyncGenericService* service);
  void Finish(absl::Status status);
  void OnAccepted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool) {}
  void OnDone(bool ok);

  Server* const server_;
  grpc::ServerCompletionQueue* const queue_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  Operation accepted_{this, &Call::OnAccepted}, read_{this, &Call::OnRead}, written_{this, &Call::OnWritten},
      finished_{this, &Call::OnFinished}, done_{this, &Call::OnDone};

  grpc::ByteBuffer request_;
  google::protobuf::MessageLite* into_ = nullptr;
  absl::AnyInvocable<void(bool)> read_done_, write_done_;
  std::optional<grpc::ByteBuffer> last_;
  std::optional<access::Grant> grant_;  // Set before the handler runs.

  std::atomic<bool> over_{false};
  absl::Mutex mutex_;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  absl::AnyInvocable<void()> on_gone_ ABSL_GUARDED_BY(mutex_);
  absl::Status unreadable_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_CALL_H_
