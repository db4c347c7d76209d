// A server stream of long work: the work goes on at its own pace, and what is new
// is told as often as the caller reads, at least every half second if it does.
//
// A response has findings and progress. Findings are its repeated fields: each is
// told once, as soon as the caller takes it. Progress is all else: only the newest
// counts. The last response of a call without an error has `done`.
#ifndef RESTANTE_SERVER_RPC_PROGRESS_CALL_H_
#define RESTANTE_SERVER_RPC_PROGRESS_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/task.h"
#include "server/rpc/errors.h"
#include "server/rpc/progress_findings.h"

namespace restante::rpc {

// Tells what is new; any thread, but one at a time. Returns whether to go on: the
// caller may be gone, or have left too much unread. Findings of one response should
// stay below kResponseOctets.
template <typename Response>
using Report = std::function<bool(Response)>;

// Three things run at once: the work, a write, and the alarm. The call is finished
// when all have ended; whoever ends last finishes it. Deletes itself then.
template <typename Response>
class ProgressCall final : public grpc::ServerWriteReactor<Response> {
 public:
  // Starts `work`; what it returns becomes part of the last response. An error is
  // told behind the findings.
  static grpc::ServerWriteReactor<Response>* Start(
      const std::function<Task<absl::StatusOr<Response>>(Report<Response>)>& work) {
    auto* call = new ProgressCall;
    {
      absl::MutexLock lock(&call->mutex_);
      call->SetAlarm();
    }
    restante::Start<absl::StatusOr<Response>>(
        work([call](Response news) { return call->Tell(news); }),
        [call](absl::StatusOr<Response> result) { call->Ended(std::move(result)); });
    return call;
  }

  void OnWriteDone(bool ok) override {
    absl::ReleasableMutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) cancelled_ = true;
    Go(lock);
  }
  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  void OnDone() override { delete this; }

 private:
  static constexpr auto kTick = std::chrono::milliseconds(500);

  ProgressCall() = default;

  bool Tell(const Response& news) {
    absl::ReleasableMutexLock lock(&mutex_);
    if (!untold_.TooMany()) untold_.Add(news);
    // For good: some may be read until the work has ended.
    unread_ |= untold_.TooMany();
    const bool go_on = !cancelled_ && !unread_;
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

  void SetAlarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    alarm_set_ = true;
    alarm_.Set(std::chrono::system_clock::now() + kTick, [this](bool) { Tick(); });
  }

  void Tick() {
    absl::ReleasableMutexLock lock(&mutex_);
    alarm_set_ = false;
    due_ = true;
    if (!result_) SetAlarm();
    Go(lock);
  }

  // Writes what is due, or finishes; *this may be gone when it returns.
  void Go(absl::ReleasableMutexLock& lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_) return;
    const bool last = result_ && result_->ok();
    if (!cancelled_ && !last_written_ && (untold_.Any() || last || (due_ && !result_))) {
      response_ = untold_.Take();
      last_written_ = last && !untold_.Any();
      if (last_written_) response_.MergeFrom(**result_);
      response_.set_done(last_written_);
      due_ = false;
      writing_ = true;
      this->StartWrite(&response_);
      return;
    }
    if (!result_ || alarm_set_ || finished_) return;
    finished_ = true;
    const absl::Status status = cancelled_ ? absl::CancelledError("the caller went away") : result_->status();
    lock.Release();  // Finish may end in the deletion of *this at once.
    this->Finish(ToGrpcStatus(status));
  }

  absl::Mutex mutex_;
  Untold<Response> untold_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::StatusOr<Response>> result_ ABSL_GUARDED_BY(mutex_);
  Response response_ ABSL_GUARDED_BY(mutex_);
  bool unread_ ABSL_GUARDED_BY(mutex_) = false;  // More was found than may wait.
  bool due_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool last_written_ ABSL_GUARDED_BY(mutex_) = false;
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Alarm alarm_;
};

}  // namespace restante::rpc

#endif  // RESTANTE_SERVER_RPC_PROGRESS_CALL_H_
