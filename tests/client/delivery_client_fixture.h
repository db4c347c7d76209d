// A DeliveryClient, the store with knobs that it talks to, and a loop that runs what it calls.
#ifndef RESTANTE_TESTS_CLIENT_DELIVERY_CLIENT_FIXTURE_H_
#define RESTANTE_TESTS_CLIENT_DELIVERY_CLIENT_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "restante/delivery.h"
#include "tests/client/event_loop.h"
#include "tests/client/fake_store.h"
#include "tests/client/test_delivery.h"

namespace restante {

class DeliveryClientTest : public ::testing::Test {
 protected:
  ClientOptions Options() {
    ClientOptions options;
    options.target = store.target();
    options.min_backoff = std::chrono::milliseconds(20);
    options.max_backoff = std::chrono::milliseconds(100);
    options.executor = loop.executor();
    return options;
  }
  void Connect() { Connect(Options()); }
  void Connect(ClientOptions options) { client = DeliveryClient::Connect(std::move(options)); }
  void Begin(Delivery* d, std::string sender, std::optional<uint64_t> size = std::nullopt) {
    v1::Begin begin;
    begin.set_sender(std::move(sender));
    begin.set_mode(v1::Begin::ALL_OR_NONE);
    begin.set_request_id(d_id = NewRequestId());
    if (size) begin.set_declared_size(*size);
    d->t = client->Begin(std::move(begin), d);
  }
  void AwaitOver(const Delivery& d) {
    ASSERT_TRUE(loop.RunUntil([&] { return d.over(); }));
  }
  void AwaitConnected() {
    ASSERT_TRUE(loop.RunUntil([&] { return client->connected(); }));
  }
  void AwaitAway() {
    ASSERT_TRUE(loop.RunUntil([&] {
      Delivery probe;
      Begin(&probe, "a@example.org");
      loop.Drain();
      return probe.lost.has_value();
    }));
  }
  absl::StatusOr<v1::GetReceiptResponse> Settle(
      std::string id, std::chrono::milliseconds patience = std::chrono::milliseconds(30'000)) {
    std::optional<absl::StatusOr<v1::GetReceiptResponse>> result;
    client->Settle(std::move(id), {}, patience, [&](auto r) { result = std::move(r); });
    if (!loop.RunUntil([&] { return result.has_value(); })) return absl::InternalError("never settled");
    return *result;
  }

  absl::StatusOr<v1::CheckRecipientResponse> Check(
      std::string address, std::chrono::milliseconds patience = std::chrono::milliseconds(30'000)) {
    v1::CheckRecipientRequest request;
    request.set_address(std::move(address));
    std::optional<absl::StatusOr<v1::CheckRecipientResponse>> result;
    client->CheckRecipient(std::move(request), patience, [&](auto r) { result = std::move(r); });
    EXPECT_FALSE(result.has_value()) << "within the call";
    if (!loop.RunUntil([&] { return result.has_value(); })) return absl::InternalError("never answered");
    return *result;
  }

  FakeStore store;
  EventLoop loop;
  std::shared_ptr<DeliveryClient> client;
  std::string d_id;  // Of the last Begin.
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_DELIVERY_CLIENT_FIXTURE_H_
