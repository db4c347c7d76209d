// For builds under ThreadSanitizer only: Debian's Abseil and gRPC are not
// instrumented, so TSan does not see that a Mutex, a Notification or a completion
// queue orders anything, and reports a race for whatever they guard. These
// definitions stand in front of the libraries' own (a program's symbols come first),
// call them, and tell TSan.
#include <dlfcn.h>
#include <grpc/grpc.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// The library evaluates conditions of other threads while it holds the lock.
class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// What comes out of a completion queue is behind whatever began an operation.
char operations;

template <typename Function>
Function Library(const char* mangled_name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, mangled_name));
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static const auto library = Library<void (*)(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  library(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static const auto library = Library<void (*)(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  const IgnoreReads ignore;
  library(this);
}

bool Mutex::TryLock() {
  static const auto library = Library<bool (*)(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = library(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Await(const Condition& condition) {
  static const auto library =
      Library<void (*)(Mutex*, const Condition&)>("_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  {
    const IgnoreReads ignore;
    library(this, condition);
  }
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, absl::Duration timeout) {
  static const auto library = Library<bool (*)(Mutex*, const Condition&, absl::Duration)>(
      "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  bool holds = false;
  {
    const IgnoreReads ignore;
    holds = library(this, condition, timeout);
  }
  __tsan_acquire(this);
  return holds;
}

void CondVar::Wait(Mutex* mutex) {
  static const auto library =
      Library<void (*)(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  library(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, absl::Duration timeout) {
  static const auto library = Library<bool (*)(CondVar*, Mutex*, absl::Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool timed_out = library(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, absl::Time deadline) {
  static const auto library = Library<bool (*)(CondVar*, Mutex*, absl::Time)>(
      "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = library(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

void Notification::Notify() {
  static const auto library = Library<void (*)(Notification*)>("_ZN4absl7debian312Notification6NotifyEv");
  __tsan_release(this);
  const IgnoreReads ignore;
  library(this);
}

Notification::~Notification() {
  mutex_.Lock();
  mutex_.Unlock();
  __tsan_acquire(this);
}

void Notification::WaitForNotification() const {
  static const auto library =
      Library<void (*)(const Notification*)>("_ZNK4absl7debian312Notification19WaitForNotificationEv");
  library(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(absl::Duration timeout) const {
  static const auto library = Library<bool (*)(const Notification*, absl::Duration)>(
      "_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool notified = library(this, timeout);
  __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl

extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count, void* tag,
                                      void* reserved) {
  static const auto library = Library<decltype(&grpc_call_start_batch)>("grpc_call_start_batch");
  __tsan_release(&operations);
  return library(call, ops, count, tag, reserved);
}

// grpc::Alarm::SetInternal(CompletionQueue*, gpr_timespec, void*).
void _ZN4grpc5Alarm11SetInternalEPNS_15CompletionQueueE12gpr_timespecPv(void* alarm, void* queue,
                                                                        gpr_timespec deadline, void* tag) {
  static const auto library = Library<void (*)(void*, void*, gpr_timespec, void*)>(
      "_ZN4grpc5Alarm11SetInternalEPNS_15CompletionQueueE12gpr_timespecPv");
  __tsan_release(&operations);
  library(alarm, queue, deadline, tag);
}

int grpc_completion_queue_thread_local_cache_flush(grpc_completion_queue* queue, void** tag, int* ok) {
  static const auto library = Library<decltype(&grpc_completion_queue_thread_local_cache_flush)>(
      "grpc_completion_queue_thread_local_cache_flush");
  const int got = library(queue, tag, ok);
  __tsan_acquire(&operations);
  return got;
}

// grpc::CompletionQueue::AsyncNextInternal(void**, bool*, gpr_timespec).
int _ZN4grpc15CompletionQueue17AsyncNextInternalEPPvPb12gpr_timespec(void* queue, void** tag, bool* ok,
                                                                     gpr_timespec deadline) {
  static const auto library = Library<int (*)(void*, void**, bool*, gpr_timespec)>(
      "_ZN4grpc15CompletionQueue17AsyncNextInternalEPPvPb12gpr_timespec");
  const int got = library(queue, tag, ok, deadline);
  __tsan_acquire(&operations);
  return got;
}

}  // extern "C"
