// A server stream of long work: the work goes on at its own pace, and what is new
// is told as often as the caller reads, at least every half second if it does.
//
// A response has findings and progress. Findings are its repeated fields: each is
// told once, as soon as the caller takes it. Progress is all else: only the newest
// counts. The last response of a call without an error has `done`.
#ifndef RESTANTE_SERVER_RPC_PROGRESS_CALL_H_
#define RESTANTE_SERVER_RPC_PROGRESS_CALL_H_

#include <grpcpp/alarm.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/task.h"
#include "server/rpc/call.h"
#include "server/rpc/progress_findings.h"

namespace restante::rpc {

// Tells what is new; any thread, but one at a time. Returns whether to go on: the
// caller may be gone, or have left too much unread. Findings of one response should
// stay below kResponseOctets.
template <typename Response>
using Report = std::function<bool(Response)>;

// Three things run at once: the work, a write, and the alarm. The call has ended
// when all have; whoever ends last says so. Deletes itself then.
template <typename Response>
class ProgressCall {
 public:
  using Work = std::function<Task<absl::StatusOr<Response>>(Report<Response>)>;

  // Starts `work`; what it returns becomes part of the last response. An error is
  // told behind the findings.
  //
  // Is put into a variable before it is awaited: GCC 12 destroys a lambda twice whose
  // captures have destructors and that stands in the awaited expression itself.
  [[nodiscard]] static Await<absl::Status> Run(Call& call, Work work) {
    return Await<absl::Status>([&call, work = std::move(work)](auto done) {
      auto* self = new ProgressCall(call, std::move(done));
      {
        absl::MutexLock lock(&self->mutex_);
        self->SetAlarm();
      }
      Start<absl::StatusOr<Response>>(
          work([self](Response news) { return self->Tell(news); }),
          [self](absl::StatusOr<Response> result) { self->Ended(std::move(result)); });
    });
  }

 private:
  static constexpr auto kTick = std::chrono::milliseconds(500);

  ProgressCall(Call& call, absl::AnyInvocable<void(absl::Status)> done)
      : call_(call), done_(std::move(done)) {}

  bool Tell(const Response& news) {
    absl::ReleasableMutexLock lock(&mutex_);
    if (!untold_.TooMany()) untold_.Add(news);
    // For good: some may be read until the work has ended.
    unread_ |= untold_.TooMany();
    const bool go_on = !call_.over() && !unread_;
    Go(lock);
    return go_on;
  }

  void Ended(absl::StatusOr<Response> result) {
    absl::ReleasableMutexLock lock(&mutex_);
    result_ = std::move(result);
    if (unread_) {
      result_ = absl::ResourceExhaustedError("the caller does not read what is found: 64 MiB wait for it");
    }
    if (alarm_set_) alarm_.Cancel();
    Go(lock);
  }

  void Written() {
    absl::ReleasableMutexLock lock(&mutex_);
    writing_ = false;
    Go(lock);
  }

  void SetAlarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    alarm_set_ = true;
    alarm_.Set(call_.queue(), std::chrono::system_clock::now() + kTick,
               new FunctionCompletion([this](bool) { Tick(); }));
  }

  void Tick() {
    absl::ReleasableMutexLock lock(&mutex_);
    alarm_set_ = false;
    due_ = true;
    if (!result_) SetAlarm();
    Go(lock);
  }

  // Writes what is due, or ends; *this may be gone when it returns.
  void Go(absl::ReleasableMutexLock& lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_) return;
    const bool last = result_ && result_->ok();
    if (!call_.over() && !last_written_ && (untold_.Any() || last || (due_ && !result_))) {
      Response response = untold_.Take();
      last_written_ = last && !untold_.Any();
      if (last_written_) response.MergeFrom(**result_);
      response.set_done(last_written_);
      due_ = false;
      writing_ = true;
      call_.Write(response, [this](bool) { Written(); });
      return;
    }
    if (!result_ || alarm_set_) return;
    absl::Status status = call_.over() ? absl::CancelledError("the caller went away") : result_->status();
    lock.Release();
    const std::unique_ptr<ProgressCall> self(this);
    done_(std::move(status));
  }

  Call& call_;
  absl::AnyInvocable<void(absl::Status)> done_;
  grpc::Alarm alarm_;

  absl::Mutex mutex_;
  Untold<Response> untold_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::StatusOr<Response>> result_ ABSL_GUARDED_BY(mutex_);
  bool unread_ ABSL_GUARDED_BY(mutex_) = false;  // More was found than may wait.
  bool due_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool last_written_ ABSL_GUARDED_BY(mutex_) = false;
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_PROGRESS_CALL_H_
