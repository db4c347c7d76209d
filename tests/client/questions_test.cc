// Recipients asked about: on the stream of deliveries, or by calls of their own.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>

#include "absl/strings/str_cat.h"
#include "restante/delivery.h"
#include "tests/client/delivery_client_fixture.h"

namespace restante {
namespace {

using std::chrono::milliseconds;

TEST_F(DeliveryClientTest, CheckRecipientIsAnsweredAndEndsWithItsPatience) {
  Connect();
  absl::StatusOr<v1::CheckRecipientResponse> response = Check("full@example.org");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->decision().outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(response->decision().address(), "full@example.org");
  EXPECT_TRUE(absl::IsDeadlineExceeded(Check("stall@example.org", milliseconds(50)).status()));
}

TEST_F(DeliveryClientTest, CheckRecipientKnowsAtOnceThatTheStoreIsAwayAndThatItIsBack) {
  store.Stop();
  Connect();
  EXPECT_TRUE(absl::IsUnavailable(Check("alice@example.org").status()));
  AwaitAway();
  EXPECT_TRUE(absl::IsUnavailable(Check("alice@example.org").status()));
  store.Start();
  AwaitConnected();
  EXPECT_TRUE(Check("alice@example.org").ok());
}

TEST_F(DeliveryClientTest, ChecksThatComeTogetherAreAskedTogether) {
  Connect();
  AwaitConnected();
  constexpr int kChecks = 1000;
  std::vector<std::string> answers(kChecks);
  int answered = 0;
  for (int i = 0; i < kChecks; ++i) {
    v1::CheckRecipientRequest request;
    request.set_address(absl::StrCat(i % 3 == 0 ? "full@" : "alice@", i, ".example.org"));
    client->CheckRecipient(request, milliseconds(30'000), [&, i](auto response) {
      ASSERT_TRUE(response.ok()) << response.status();
      answers[i] =
          absl::StrCat(response->decision().address(), " ", v1::Outcome_Name(response->decision().outcome()));
      ++answered;
    });
  }
  ASSERT_TRUE(loop.RunUntil([&] { return answered == kChecks; }));
  for (int i = 0; i < kChecks; ++i) {
    EXPECT_EQ(answers[i], i % 3 == 0 ? absl::StrCat("full@", i, ".example.org OUTCOME_MAILBOX_FULL")
                                     : absl::StrCat("alice@", i, ".example.org OUTCOME_OK"));
  }
  EXPECT_EQ(store.stream_checks(), kChecks);
  EXPECT_EQ(store.lone_checks(), 0);
  EXPECT_GT(store.most_events_in_a_request(), 100u);
}

TEST_F(DeliveryClientTest, AStoreThatDoesNotKnowCheckIsAskedByCallsOfTheirOwn) {
  store.SetKnowsCheck(false);
  Connect();
  AwaitConnected();
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    v1::CheckRecipientRequest request;
    request.set_address("alice@example.org");
    client->CheckRecipient(request, milliseconds(30'000), [&](auto response) {
      EXPECT_TRUE(response.ok()) << response.status();
      ++answered;
    });
  }
  ASSERT_TRUE(loop.RunUntil([&] { return answered == 10; }));
  EXPECT_EQ(store.lone_checks(), 10);
  // A transaction on the same stream is none the worse for it.
  Delivery d;
  Begin(&d, "bob@example.org");
  d.Send({"alice@example.org"}, "x");
  AwaitOver(d);
  EXPECT_TRUE(d.receipts.has_value());
  EXPECT_TRUE(Check("alice@example.org").ok());
  EXPECT_EQ(store.lone_checks(), 11);
  EXPECT_EQ(store.stream_checks(), 0);
  // The next one does.
  store.Stop();
  AwaitAway();
  store.SetKnowsCheck(true);
  store.Start();
  AwaitConnected();
  EXPECT_TRUE(Check("alice@example.org").ok());
  EXPECT_EQ(store.stream_checks(), 1);
}

TEST_F(DeliveryClientTest, ACheckEndsWithItsOwnPatienceOrWithItsStream) {
  Connect();
  AwaitConnected();
  std::optional<absl::Status> patient;
  v1::CheckRecipientRequest request;
  request.set_address("stall@example.org");
  client->CheckRecipient(request, milliseconds(600'000), [&](auto r) { patient = r.status(); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(Check("stall@example.org", milliseconds(50)).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(Check("stall@example.org", milliseconds(10)).status()));
  EXPECT_TRUE(Check("alice@example.org").ok());
  EXPECT_FALSE(patient.has_value());
  store.Stop();
  ASSERT_TRUE(loop.RunUntil([&] { return patient.has_value(); }));
  EXPECT_TRUE(absl::IsUnavailable(*patient)) << *patient;
}

TEST_F(DeliveryClientTest, NoCheckIsAnsweredAfterOneThatLetsTheClientGo) {
  Connect();
  AwaitConnected();
  int answered = 0;
  store.SetReading(false);
  for (int i = 0; i < 10; ++i) {
    v1::CheckRecipientRequest request;
    request.set_address("alice@example.org");
    client->CheckRecipient(request, milliseconds(30'000), [&](auto) {
      ++answered;
      client.reset();
    });
  }
  loop.Drain();
  store.SetReading(true);
  ASSERT_TRUE(loop.RunUntil([&] { return answered > 0; }));
  loop.Drain();
  EXPECT_EQ(answered, 1);
}

TEST_F(DeliveryClientTest, NoCheckIsAnsweredAfterTheClientIsGone) {
  Connect();
  AwaitConnected();
  bool answered = false;
  v1::CheckRecipientRequest request;
  request.set_address("stall@example.org");
  client->CheckRecipient(request, milliseconds(30'000), [&](auto) { answered = true; });
  client.reset();
  loop.Drain();
  EXPECT_FALSE(answered);
}

}  // namespace
}  // namespace restante
