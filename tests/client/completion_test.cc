#include "client/lib/completion.h"

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"

namespace restante::client_internal {
namespace {

// An operation that tells on which thread it was completed.
class Operation {
 public:
  // One that is over at once, or one that only Cancel() ends.
  void Begin(bool over) {
    alarm_.Set(CompletionQueue(),
               over ? gpr_inf_past(GPR_CLOCK_MONOTONIC) : gpr_inf_future(GPR_CLOCK_MONOTONIC),
               WhenComplete([this](bool ok) {
                 ok_ = ok;
                 thread_ = std::this_thread::get_id();
                 completed_.Notify();
               }));
  }
  void Cancel() { alarm_.Cancel(); }
  bool completed() const { return completed_.HasBeenNotified(); }
  bool ok() const { return ok_; }
  std::thread::id AwaitThread() {
    completed_.WaitForNotification();
    return thread_;
  }

 private:
  grpc::Alarm alarm_;
  absl::Notification completed_;
  bool ok_ = false;
  std::thread::id thread_;
};

TEST(Completion, WhatIsOverAtOnceIsCompletedByWhoBeganIt) {
  Operation operation;
  CompleteHere([&] { operation.Begin(/*over=*/true); });
  ASSERT_TRUE(operation.completed());
  EXPECT_TRUE(operation.ok());
  EXPECT_EQ(operation.AwaitThread(), std::this_thread::get_id());
}

TEST(Completion, WhatEndsLaterIsCompletedByTheQueuesThread) {
  Operation operation;
  CompleteHere([&] { operation.Begin(/*over=*/false); });
  EXPECT_FALSE(operation.completed());
  operation.Cancel();
  EXPECT_NE(operation.AwaitThread(), std::this_thread::get_id());
  EXPECT_FALSE(operation.ok());
}

TEST(Completion, OfTwoThatAreOverNoneIsForgotten) {
  Operation first, second;
  CompleteHere([&] {
    first.Begin(/*over=*/true);
    second.Begin(/*over=*/true);
  });
  EXPECT_EQ(first.AwaitThread(), std::this_thread::get_id());
  EXPECT_NE(second.AwaitThread(), std::this_thread::get_id());
}

TEST(Completion, NothingToCompleteIsNoWait) {
  bool ran = false;
  CompleteHere([&] { ran = true; });
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace restante::client_internal
