// Deliver streams through real gRPC, over the memory engine.
#include "server/rpc/deliver_stream.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "restante/v1/delivery.grpc.pb.h"
#include "server/mail/event_feed.h"
#include "server/mail/provisioning.h"
#include "server/rpc/methods.h"
#include "server/rpc/server.h"
#include "tests/mail/fixture.h"
#include "tests/mail/small_store.h"

namespace restante::rpc {
namespace {

using ::testing::HasSubstr;

std::string Id(uint32_t n) {
  std::string id(16, '\0');
  id.replace(0, 4, reinterpret_cast<const char*>(&n), 4);
  return id;
}

class DeliverStreamTest : public ::testing::Test, protected mail::SmallStore {
 protected:
  DeliverStreamTest() {
    server_ = *Server::Start({.listen = "127.0.0.1:0"}, api_.methods());
    stub_ = v1::DeliveryService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  }
  ~DeliverStreamTest() override {
    server_.reset();
    EXPECT_TRUE(deliveries_->AwaitIdle(10'000'000));
  }

  // A blocking client's end of one stream.
  class Stream {
   public:
    explicit Stream(v1::DeliveryService::Stub* stub) : rpc_(stub->Deliver(&context_)) {}
    ~Stream() {
      if (!ended_) {
        context_.TryCancel();
        End();
      }
    }
    void Gather(uint64_t t, const std::function<void(v1::Event&)>& fill) {
      v1::Event& event = *gathered_.add_events();
      event.set_transaction(t);
      fill(event);
    }
    void Begin(uint64_t t, std::string id, uint64_t size) {
      Gather(t, [&](v1::Event& e) {
        e.mutable_begin()->set_request_id(id);
        e.mutable_begin()->set_declared_size(size);
      });
    }
    void To(uint64_t t, std::string address) {
      Gather(t, [&](v1::Event& e) { e.mutable_recipient()->set_address(address); });
    }
    void Data(uint64_t t) {
      Gather(t, [](v1::Event& e) { e.mutable_data(); });
    }
    void Chunk(uint64_t t, std::string octets) {
      Gather(t, [&](v1::Event& e) { e.set_chunk(octets); });
    }
    void Commit(uint64_t t, uint64_t size) {
      Gather(t, [&](v1::Event& e) { e.mutable_commit()->set_size(size); });
    }
    void Check(uint64_t number, std::string address, std::optional<uint64_t> size = {}) {
      Gather(0, [&](v1::Event& e) {
        v1::Check& check = *e.mutable_check();
        check.set_number(number);
        check.mutable_recipient()->set_address(address);
        if (size) check.mutable_recipient()->set_size(*size);
      });
    }
    void Abort(uint64_t t) {
      Gather(t, [](v1::Event& e) { e.mutable_abort(); });
    }
    bool Send() {
      const bool ok = rpc_->Write(gathered_);
      gathered_.Clear();
      return ok;
    }
    // The next answer; an empty one at the stream's end.
    v1::Answer Next() {
      while (read_.empty()) {
        v1::DeliverResponse response;
        if (!rpc_->Read(&response)) return {};
        for (v1::Answer& answer : *response.mutable_answers()) read_.push_back(std::move(answer));
      }
      v1::Answer answer = std::move(read_.front());
      read_.pop_front();
      return answer;
    }
    // Answers until the transaction has one of this kind.
    v1::Answer Await(uint64_t t, v1::Answer::KindCase kind) {
      while (true) {
        v1::Answer answer = Next();
        if (answer.kind_case() == v1::Answer::KIND_NOT_SET) return answer;
        if (answer.transaction() == t && answer.kind_case() == kind) return answer;
      }
    }
    void HalfClose() { rpc_->WritesDone(); }
    void Cancel() { context_.TryCancel(); }
    grpc::Status End() {
      ended_ = true;
      v1::DeliverResponse rest;
      while (rpc_->Read(&rest)) {
      }
      return rpc_->Finish();
    }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReaderWriter<v1::DeliverRequest, v1::DeliverResponse>> rpc_;
    v1::DeliverRequest gathered_;
    std::deque<v1::Answer> read_;
    bool ended_ = false;
  };

  // Waits until nothing is open: the end of a stream is seen by the store in its
  // own time.
  void AwaitNothingOpen() { ASSERT_TRUE(deliveries_->AwaitIdle(10'000'000)); }

  mail::Provisioning provisioning_{engine_.get(), engine::QuotaRules(), &clock_};
  mail::Messages messages_{engine_.get(), 1 << 20, &clock_};
  mail::EventFeed events_{engine_.get()};
  Api api_{engine_.get(), deliveries_.get(), &provisioning_, &messages_, &events_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::DeliveryService::Stub> stub_;
};

TEST_F(DeliverStreamTest, EverythingMayBeSentWithoutWaiting) {
  const uint64_t alice = MakeMailbox("alice", 1 << 20);
  Stream stream(stub_.get());
  stream.Begin(1, Id(1), 5);
  stream.To(1, "alice@example.org");
  stream.Data(1);
  stream.Chunk(1, "hello");
  stream.Commit(1, 5);
  ASSERT_TRUE(stream.Send());
  const v1::Answer answer = stream.Await(1, v1::Answer::kReceipts);
  EXPECT_EQ(answer.receipts().receipts(0).uid(), 1u);
  stream.HalfClose();
  EXPECT_TRUE(stream.End().ok());
  EXPECT_EQ(Used(alice), 5u);
}

TEST_F(DeliverStreamTest, HalfClosingAfterCommitStillBringsTheReceipt) {
  MakeMailbox("alice", 1 << 20);
  Stream stream(stub_.get());
  stream.Begin(1, Id(1), 5);
  stream.To(1, "alice@example.org");
  stream.Data(1);
  stream.Chunk(1, "hello");
  stream.Commit(1, 5);
  stream.Send();
  stream.HalfClose();
  EXPECT_TRUE(stream.Await(1, v1::Answer::kReceipts).receipts().committed());
  EXPECT_TRUE(stream.End().ok());
}

TEST_F(DeliverStreamTest, TheEndOfTheStreamReleasesWhatIsOpen) {
  const uint64_t alice = MakeMailbox("alice", 1 << 20);
  for (const bool cancel : {true, false}) {
    Stream stream(stub_.get());
    stream.Begin(1, Id(1), 1000);
    stream.To(1, "alice@example.org");
    stream.Begin(2, Id(2), 1000);
    stream.To(2, "alice@example.org");
    stream.Data(2);
    stream.Send();
    stream.Await(2, v1::Answer::kReady);
    EXPECT_EQ(ReservedIn(alice), 2000u);
    if (cancel) {
      stream.Cancel();
    } else {
      stream.HalfClose();
    }
    stream.End();
    AwaitNothingOpen();
    EXPECT_EQ(ReservedIn(alice), 0u);
    EXPECT_EQ(engine_->GetCapacity().reserved, 0u);
  }
}

TEST_F(DeliverStreamTest, AStalledTransactionHoldsUpNoOther) {
  const uint64_t alice = MakeMailbox("alice", 10 << 20);
  Stream stream(stub_.get());
  stream.Begin(1000, Id(1000), 300 << 10);
  stream.To(1000, "alice@example.org");
  stream.Data(1000);
  stream.Chunk(1000, std::string(1000, 'x'));  // And nothing more.
  stream.Send();
  const std::string text(4096, 'y');
  for (uint64_t t = 1; t < 200; ++t) {
    stream.Begin(t, Id(t), text.size());
    stream.To(t, "alice@example.org");
    stream.Data(t);
  }
  stream.Send();
  for (uint64_t t = 1; t < 200; ++t) {
    stream.Chunk(t, text);
    stream.Commit(t, text.size());
    if (t % 50 == 0) stream.Send();
  }
  stream.Send();
  int stored = 0;
  while (stored < 199) {
    const v1::Answer answer = stream.Next();
    ASSERT_NE(answer.kind_case(), v1::Answer::KIND_NOT_SET);
    stored += answer.has_receipts() && answer.receipts().committed();
  }
  EXPECT_EQ(Used(alice), 199 * text.size());
}

TEST_F(DeliverStreamTest, ANumberIsNeverUsedAgain) {
  Stream stream(stub_.get());
  stream.Begin(5, Id(1), 10);
  stream.Abort(5);
  stream.Begin(5, Id(2), 10);
  stream.Send();
  const grpc::Status status = stream.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("transaction 5"));
}

TEST_F(DeliverStreamTest, AMalformedEventFailsItsTransactionAndNoOther) {
  MakeMailbox("alice", 1 << 20);
  Stream stream(stub_.get());
  stream.Begin(1, Id(1), 5);
  stream.To(1, "alice@example.org");
  stream.Data(2);                       // Was not begun.
  stream.Gather(3, [](v1::Event&) {});  // Empty.
  stream.Begin(4, "too short", 5);
  stream.Data(1);
  stream.Chunk(1, "hello");
  stream.Chunk(2, "dropped");
  stream.Commit(1, 5);
  stream.Send();
  EXPECT_EQ(stream.Await(2, v1::Answer::kRefused).refused().outcome(), v1::OUTCOME_INVALID_EVENT);
  EXPECT_EQ(stream.Await(3, v1::Answer::kRefused).refused().outcome(), v1::OUTCOME_INVALID_EVENT);
  EXPECT_EQ(stream.Await(4, v1::Answer::kRefused).refused().outcome(), v1::OUTCOME_INVALID_EVENT);
  EXPECT_TRUE(stream.Await(1, v1::Answer::kReceipts).receipts().committed());
}

TEST_F(DeliverStreamTest, AbortIsAnsweredAlsoAfterARefusal) {
  Stream stream(stub_.get());
  stream.Begin(1, "bad", 5);
  stream.To(1, "alice@example.org");
  stream.Abort(1);
  stream.Send();
  EXPECT_TRUE(stream.Next().has_refused());
  EXPECT_TRUE(stream.Next().has_aborted());
}

TEST_F(DeliverStreamTest, ReceiptsAreFoundAgainAndUnknownIdsNeverCommit) {
  MakeMailbox("alice", 1 << 20);
  {
    Stream stream(stub_.get());
    stream.Begin(1, Id(1), 5);
    stream.To(1, "alice@example.org");
    stream.Data(1);
    stream.Chunk(1, "hello");
    stream.Commit(1, 5);
    stream.Send();
    stream.Await(1, v1::Answer::kReceipts);
  }
  const auto settle = [&](std::string id, v1::GetReceiptResponse* response) {
    grpc::ClientContext context;
    v1::GetReceiptRequest request;
    request.set_request_id(id);
    return stub_->GetReceipt(&context, request, response);
  };
  v1::GetReceiptResponse response;
  ASSERT_TRUE(settle(Id(1), &response).ok());
  EXPECT_TRUE(response.committed());
  EXPECT_EQ(response.receipts().receipts(0).uid(), 1u);
  ASSERT_TRUE(settle(Id(2), &response).ok());
  EXPECT_FALSE(response.committed());
  Stream late(stub_.get());
  late.Begin(1, Id(2), 5);
  late.Send();
  EXPECT_EQ(late.Next().refused().outcome(), v1::OUTCOME_REQUEST_ID_ABORTED);
  EXPECT_EQ(settle("short", &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(DeliverStreamTest, CheckRecipientAnswersAsRecipientWould) {
  MakeMailbox("alice", 1000);
  const auto check = [&](std::string address, std::optional<uint64_t> size) {
    grpc::ClientContext context;
    v1::CheckRecipientRequest request;
    v1::CheckRecipientResponse response;
    request.set_address(address);
    if (size) request.set_size(*size);
    EXPECT_TRUE(stub_->CheckRecipient(&context, request, &response).ok());
    return response.decision();
  };
  EXPECT_EQ(check("alice@example.org", {}).outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(check("alice@example.org", 1000).outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(check("alice@example.org", 1001).outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(check("alice@example.org", 100 << 20).outcome(), v1::OUTCOME_MESSAGE_TOO_LARGE);
  EXPECT_EQ(check("bob@example.org", {}).outcome(), v1::OUTCOME_NO_SUCH_MAILBOX);
}

TEST_F(DeliverStreamTest, ChecksAreAnsweredAsCheckRecipientIs) {
  MakeMailbox("alice", 1000);
  Stream stream(stub_.get());
  // Neither the number of a transaction nor that of another question stands in its way.
  stream.Begin(7, Id(1), 600);
  stream.To(7, "alice@example.org");
  ASSERT_TRUE(stream.Send());
  stream.Await(7, v1::Answer::kDecision);
  stream.Check(7, "alice@example.org");
  stream.Check(1, "alice@example.org", 400);
  stream.Check(2, "alice@example.org", 401);
  stream.Check(3, "alice@example.org", 100 << 20);
  stream.Check(3, "bob@example.org");
  stream.Check(0, "bob@example.com");
  stream.Data(7);
  ASSERT_TRUE(stream.Send());
  std::multimap<uint64_t, v1::Decision> decisions;
  bool ready = false;
  while (decisions.size() < 6 || !ready) {
    const v1::Answer answer = stream.Next();
    ASSERT_NE(answer.kind_case(), v1::Answer::KIND_NOT_SET);
    ready = ready || answer.has_ready();
    if (!answer.has_checked()) continue;
    EXPECT_EQ(answer.transaction(), 0u);
    decisions.emplace(answer.checked().number(), answer.checked().decision());
  }
  EXPECT_EQ(decisions.find(7)->second.outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(decisions.find(7)->second.mailbox(), "mailboxes/alice@example.org");
  EXPECT_EQ(decisions.find(1)->second.outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(decisions.find(2)->second.outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(decisions.find(2)->second.shortage().reserved(), 600u);
  std::set<v1::Outcome> of_three;
  for (auto [at, end] = decisions.equal_range(3); at != end; ++at) of_three.insert(at->second.outcome());
  EXPECT_EQ(of_three, (std::set<v1::Outcome>{v1::OUTCOME_MESSAGE_TOO_LARGE, v1::OUTCOME_NO_SUCH_MAILBOX}));
  EXPECT_EQ(decisions.find(0)->second.outcome(), v1::OUTCOME_FOREIGN_DOMAIN);
  stream.Abort(7);
  stream.Send();
  stream.Await(7, v1::Answer::kAborted);
  stream.HalfClose();
  EXPECT_TRUE(stream.End().ok());
}

TEST_F(DeliverStreamTest, WhoHalfClosesHearsOfAllChecks) {
  MakeMailbox("alice", 1000);
  Stream stream(stub_.get());
  constexpr uint64_t kChecks = 20'000;
  // More than are taken at once.
  std::thread asker([&] {
    for (uint64_t number = 1; number <= kChecks; ++number) {
      stream.Check(number, "alice@example.org", number);
      if (number % 5000 != 0) continue;
      EXPECT_TRUE(stream.Send());
    }
    stream.HalfClose();
  });
  std::set<uint64_t> answered;
  while (true) {
    const v1::Answer answer = stream.Next();
    if (!answer.has_checked()) break;
    const uint64_t number = answer.checked().number();
    EXPECT_TRUE(answered.insert(number).second) << number;
    EXPECT_EQ(answer.checked().decision().outcome(),
              number <= 1000 ? v1::OUTCOME_OK : v1::OUTCOME_MAILBOX_FULL)
        << number;
  }
  asker.join();
  EXPECT_EQ(answered.size(), kChecks);
  EXPECT_TRUE(stream.End().ok());
}

// Answers a Check when it is told to.
class WaitingEngine : public mail::MortalEngine {
 public:
  using MortalEngine::MortalEngine;
  void Check(uint64_t, engine::Demand, engine::Done<absl::StatusOr<engine::ReserveResult>> done) override {
    done_ = std::move(done);
    asked.Notify();
  }
  void Answer() { std::move(done_)(engine::ReserveResult(engine::Granted{1})); }

  absl::Notification asked;

 private:
  engine::Done<absl::StatusOr<engine::ReserveResult>> done_;
};

TEST_F(DeliverStreamTest, AServerThatStopsWaitsForChecksThatNobodyWaitsFor) {
  MakeMailbox("alice", 1000);
  WaitingEngine waiting(engine_.get());
  mail::Deliveries deliveries(&waiting, directory_.get(), {}, &clock_);
  Api api(&waiting, &deliveries, &provisioning_, &messages_, &events_);
  std::unique_ptr<Server> server = *Server::Start({.listen = "127.0.0.1:0"}, api.methods());
  const auto stub = v1::DeliveryService::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", server->port()), grpc::InsecureChannelCredentials()));
  Stream stream(stub.get());
  stream.Check(1, "alice@example.org");
  ASSERT_TRUE(stream.Send());
  waiting.asked.WaitForNotification();
  stream.Cancel();
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::CANCELLED);
  absl::Notification stopped;
  std::thread stop([&] {
    server.reset();
    stopped.Notify();
  });
  EXPECT_FALSE(stopped.WaitForNotificationWithTimeout(absl::Milliseconds(300)));
  waiting.Answer();
  stop.join();
}

TEST(SeenNumbersTest, AscendingNumbersCostNothingAndOthersAreBounded) {
  SeenNumbers seen;
  for (uint64_t n = 7; n < 1'000'000; ++n) ASSERT_EQ(seen.Add(n), SeenNumbers::Result::kNew);
  EXPECT_EQ(seen.Add(7), SeenNumbers::Result::kSeen);
  EXPECT_FALSE(seen.Contains(6));
  for (size_t i = 0; i < SeenNumbers::kMaxSparse; ++i) {
    ASSERT_EQ(seen.Add(2'000'000 + 2 * i), SeenNumbers::Result::kNew);
  }
  EXPECT_EQ(seen.Add(1), SeenNumbers::Result::kTooMany);
  EXPECT_EQ(seen.Add(1'000'000), SeenNumbers::Result::kNew);
}

}  // namespace
}  // namespace restante::rpc
