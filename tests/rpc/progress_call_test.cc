// Long work behind a stream, with Verify's messages and a script for the work.
#include "server/rpc/progress_call.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "restante/v1/store.grpc.pb.h"
#include "server/rpc/server.h"

namespace restante::rpc {
namespace {

using Response = v1::VerifyResponse;
using Script = std::function<absl::StatusOr<Response>(const Report<Response>&)>;

// Plays the script on a thread of its own.
class Service final {
 public:
  ~Service() {
    if (thread_.joinable()) thread_.join();
  }
  static Task<absl::Status> Verify(Service* service, Call& call, const v1::VerifyRequest*) {
    absl::Status status = co_await ProgressCall<Response>::Run(
        call, [service](Report<Response> report) { return service->Work(std::move(report)); });
    co_return std::move(status);
  }
  Script script;

 private:
  Task<absl::StatusOr<Response>> Work(Report<Response> report) {
    co_return co_await Await<absl::StatusOr<Response>>([&](auto done) {
      thread_ = std::thread([this, report, done = std::move(done)]() mutable { done(script(report)); });
    });
  }
  std::thread thread_;
};

class ProgressCallTest : public testing::Test {
 protected:
  ProgressCallTest() {
    constexpr access::Rule kRule = {access::Role::kOperator, access::Scope::kStore};
    Methods methods = {ServerStream("restante.v1.StoreService/Verify", kRule, &service_, Service::Verify)};
    // The table is to be whole.
    for (const char* other : {"GetStatus", "Scrub", "Compact", "Backup", "Settle", "Sweep", "WatchEvents"}) {
      methods.push_back(
          ServerStream(absl::StrCat("restante.v1.StoreService/", other), kRule, &service_, Service::Verify));
    }
    server_ = *Server::Start({}, std::move(methods));
    stub_ = v1::StoreService::NewStub(server_->InProcessChannel());
  }

  static Response Checked(uint64_t mailboxes, std::vector<std::string> problems = {}) {
    Response response;
    response.set_checked_mailboxes(mailboxes);
    for (std::string& problem : problems) response.add_problems(std::move(problem));
    return response;
  }

  // Reads to the end.
  grpc::Status Run() {
    auto reader = stub_->Verify(&context_, v1::VerifyRequest());
    for (Response response; reader->Read(&response);) read_.push_back(response);
    return reader->Finish();
  }
  std::vector<std::string> Problems() const {
    std::vector<std::string> problems;
    for (const Response& response : read_) {
      problems.insert(problems.end(), response.problems().begin(), response.problems().end());
    }
    return problems;
  }

  Service service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::StoreService::Stub> stub_;
  grpc::ClientContext context_;
  std::vector<Response> read_;
};

TEST_F(ProgressCallTest, EachFindingIsToldOnceAndTheLastResponseHasTheResult) {
  service_.script = [](const Report<Response>& report) {
    for (uint64_t i = 0; i < 1000; ++i) {
      EXPECT_TRUE(report(Checked(i, i % 2 ? std::vector{std::to_string(i)} : std::vector<std::string>())));
    }
    Response result;
    result.set_checked_bodies(7);
    return result;
  };
  EXPECT_TRUE(Run().ok());
  std::vector<std::string> expected;
  for (int i = 1; i < 1000; i += 2) expected.push_back(std::to_string(i));
  EXPECT_EQ(Problems(), expected);
  ASSERT_FALSE(read_.empty());
  for (size_t i = 0; i + 1 < read_.size(); ++i) EXPECT_FALSE(read_[i].done());
  EXPECT_TRUE(read_.back().done());
  EXPECT_EQ(read_.back().checked_mailboxes(), 999u);
  EXPECT_EQ(read_.back().checked_bodies(), 7u);
}

TEST_F(ProgressCallTest, ResponsesStaySmallHoweverMuchIsFoundAtOnce) {
  const std::string line(1000, 'x');
  service_.script = [&](const Report<Response>& report) {
    for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(report(Checked(1, {line})));
    return Response();
  };
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(Problems().size(), 10'000u);
  for (const Response& response : read_) EXPECT_LE(response.ByteSizeLong(), kResponseOctets + 100);
}

TEST_F(ProgressCallTest, ProgressIsToldWhileNothingIsFound) {
  absl::Notification seen;
  service_.script = [&](const Report<Response>& report) {
    report(Checked(5));
    EXPECT_TRUE(seen.WaitForNotificationWithTimeout(absl::Seconds(120)));
    return Response();
  };
  auto reader = stub_->Verify(&context_, v1::VerifyRequest());
  Response response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.checked_mailboxes(), 5u);
  EXPECT_FALSE(response.done());
  ASSERT_TRUE(reader->Read(&response));  // With nothing new at all.
  EXPECT_EQ(response.checked_mailboxes(), 5u);
  seen.Notify();
  while (reader->Read(&response)) {
  }
  EXPECT_TRUE(response.done());
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ProgressCallTest, FindingsAreToldBeforeTheErrorThatEndsTheWork) {
  service_.script = [](const Report<Response>& report) -> absl::StatusOr<Response> {
    report(Checked(1, {"a", "b"}));
    return absl::UnavailableError("the engine stops");
  };
  const grpc::Status status = Run();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the engine stops");
  EXPECT_EQ(Problems(), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(read_.back().done());
}

TEST_F(ProgressCallTest, WorkThatNobodyWaitsForIsTold) {
  // The work may see the end later than the caller.
  const auto cancel = std::make_shared<absl::Notification>();
  service_.script = [cancel](const Report<Response>& report) -> absl::StatusOr<Response> {
    while (report(Checked(1))) {
      if (!cancel->HasBeenNotified()) cancel->Notify();
      std::this_thread::yield();
    }
    return absl::CancelledError("told to stop");
  };
  std::thread canceller([&] {
    cancel->WaitForNotification();
    context_.TryCancel();
  });
  EXPECT_EQ(Run().error_code(), grpc::StatusCode::CANCELLED);
  canceller.join();
}

TEST_F(ProgressCallTest, ACallerWhoDoesNotReadEndsTheWork) {
  const std::string line(kResponseOctets - 100, 'x');
  absl::Notification given_up;
  service_.script = [&](const Report<Response>& report) -> absl::StatusOr<Response> {
    // What gRPC itself keeps for the reader is less than as much again.
    size_t reports = 0;
    while (reports < 2 * kMaxUntold && report(Checked(1, {line}))) ++reports;
    EXPECT_GE(reports, kMaxUntold - 1);
    EXPECT_LT(reports, 2 * kMaxUntold);
    given_up.Notify();
    return absl::CancelledError("told to stop");
  };
  auto reader = stub_->Verify(&context_, v1::VerifyRequest());
  given_up.WaitForNotification();
  Response response;
  while (reader->Read(&response)) {
  }
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
}

}  // namespace
}  // namespace restante::rpc
