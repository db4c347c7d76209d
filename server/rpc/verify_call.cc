#include "server/rpc/verify_call.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/task.h"
#include "server/mail/verify.h"
#include "server/rpc/errors.h"

namespace restante::rpc {
namespace {

constexpr auto kTick = std::chrono::milliseconds(500);
// Problems in one response: each is a line of a few hundred octets at most.
constexpr size_t kMaxProblems = 500;

// Three things run at once: the check, a write, and the alarm. The call is
// finished when all have ended; whoever ends last finishes it.
class VerifyCall : public grpc::ServerWriteReactor<v1::VerifyResponse> {
 public:
  explicit VerifyCall(engine::Engine* engine) {
    {
      absl::MutexLock lock(&mutex_);
      SetAlarm();
    }
    Start<absl::Status>(mail::Verify(engine, [this](mail::VerifyProgress p) { return Report(std::move(p)); }),
                        [this](absl::Status status) { Ended(std::move(status)); });
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
  bool Report(mail::VerifyProgress progress) {
    absl::ReleasableMutexLock lock(&mutex_);
    std::move(progress.problems.begin(), progress.problems.end(), std::back_inserter(problems_));
    progress.problems.clear();
    progress_ = std::move(progress);
    const bool go_on = !cancelled_;
    Go(lock);
    return go_on;
  }

  void Ended(absl::Status status) {
    absl::ReleasableMutexLock lock(&mutex_);
    result_ = std::move(status);
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
    const bool failed = cancelled_ || (result_ && !result_->ok());
    if (!failed && !last_written_ && (due_ || !problems_.empty() || result_)) {
      const size_t count = std::min(problems_.size(), kMaxProblems);
      response_.Clear();
      response_.set_checked_mailboxes(progress_.checked_mailboxes);
      response_.set_total_mailboxes(progress_.total_mailboxes);
      response_.set_checked_messages(progress_.checked_messages);
      response_.set_checked_bodies(progress_.checked_bodies);
      for (size_t i = 0; i < count; ++i) response_.add_problems(std::move(problems_[i]));
      problems_.erase(problems_.begin(), problems_.begin() + static_cast<ptrdiff_t>(count));
      last_written_ = result_ && problems_.empty();
      response_.set_done(last_written_);
      due_ = false;
      writing_ = true;
      StartWrite(&response_);
      return;
    }
    if (!result_ || alarm_set_ || finished_) return;
    finished_ = true;
    const absl::Status status = cancelled_ ? absl::CancelledError("the caller went away") : *result_;
    lock.Release();  // Finish may end in the deletion of *this at once.
    Finish(ToGrpcStatus(status));
  }

  absl::Mutex mutex_;
  mail::VerifyProgress progress_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);  // Not told yet.
  std::optional<absl::Status> result_ ABSL_GUARDED_BY(mutex_);
  v1::VerifyResponse response_ ABSL_GUARDED_BY(mutex_);
  bool due_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool last_written_ ABSL_GUARDED_BY(mutex_) = false;
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Alarm alarm_;
};

}  // namespace

grpc::ServerWriteReactor<v1::VerifyResponse>* StartVerify(engine::Engine* engine) {
  return new VerifyCall(engine);
}

}  // namespace restante::rpc
