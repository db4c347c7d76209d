// A client of several stores with the same mail.
#ifndef RESTANTE_TESTS_CLIENT_STORES_FIXTURE_H_
#define RESTANTE_TESTS_CLIENT_STORES_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/lib/preference.h"
#include "restante/delivery.h"
#include "tests/client/event_loop.h"
#include "tests/client/shared_stores.h"
#include "tests/client/test_delivery.h"

namespace restante {

class StoresTest : public ::testing::Test, protected SharedStores {
 protected:
  using milliseconds = std::chrono::milliseconds;

  StoresTest() : SharedStores(3) { alice_ = MakeMailbox("alice", 100 << 20); }
  ~StoresTest() override {
    client.reset();
    loop.Drain();  // What is left in it would keep it.
  }

  // A store is silent when a test says so, and not because the machine is busy.
  ClientOptions Options(milliseconds store_patience = std::chrono::minutes(10)) {
    ClientOptions options;
    options.target = target();
    options.min_backoff = milliseconds(20);
    options.max_backoff = milliseconds(100);
    options.store_patience = store_patience;
    options.executor = loop.executor();
    return options;
  }
  void Connect(ClientOptions options) {
    client = DeliveryClient::Connect(std::move(options));
    ASSERT_TRUE(loop.RunUntil([&] { return AllUp(); }));
  }

  // Of the store at `address`; nothing if the client does not know it.
  std::optional<StoreState> State(const std::string& address) {
    for (const StoreState& state : client->stores()) {
      if (state.address == address) return state;
    }
    return std::nullopt;
  }
  StoreState State(size_t i) { return State(stores[i].address()).value_or(StoreState()); }
  bool AllUp() {
    return std::all_of(stores.begin(), stores.end(), [&](const Store& store) {
      const std::optional<StoreState> state = State(store.address());
      return state.has_value() && state->up;
    });
  }
  void AwaitUp(size_t i, bool up) {
    ASSERT_TRUE(loop.RunUntil([&] { return State(i).up == up; })) << i;
  }
  // All others are, so that it is clear where transactions go.
  void AwaitOnlyDown(size_t down) {
    ASSERT_TRUE(loop.RunUntil([&] {
      for (size_t i = 0; i < stores.size(); ++i) {
        if (State(i).up == (i == down)) return false;
      }
      return true;
    }));
  }

  // Its stores, the most preferred first.
  std::vector<size_t> Preference(const std::string& address) {
    using client_internal::Weight;
    std::vector<size_t> order(stores.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto weight = [&](size_t i) {
      return Weight(client_internal::MailboxKey(address),
                    client_internal::PreferenceKey(stores[i].address()));
    };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weight(a) > weight(b); });
    return order;
  }

  // For alice, unless told.
  void Begin(Delivery* d, const std::string& recipient = "alice@example.org",
             std::string id = NewRequestId()) {
    v1::Begin begin;
    begin.set_sender("bob@example.net");
    begin.set_mode(v1::Begin::ALL_OR_NONE);
    begin.set_request_id(last_id = std::move(id));
    d->t = client->Begin(std::move(begin), d, recipient);
    if (!recipient.empty()) d->t->Recipient(recipient);
  }
  void AwaitHeard(const Delivery& d, v1::Answer::KindCase kind) {
    ASSERT_TRUE(
        loop.RunUntil([&] { return d.over() || std::count(d.heard.begin(), d.heard.end(), kind) > 0; }));
    ASSERT_FALSE(d.over());
  }
  void AwaitOver(const Delivery& d) {
    ASSERT_TRUE(loop.RunUntil([&] { return d.over(); }));
  }
  // The store that took it is the one whose transactions are more by one.
  void ExpectStored(const std::string& recipient, size_t by) {
    const uint64_t before = State(by).transactions;
    Delivery d;
    Begin(&d, recipient);
    d.Send({}, "text\r\n");
    AwaitOver(d);
    EXPECT_TRUE(d.receipts.has_value()) << d.lost.value_or(absl::OkStatus());
    EXPECT_EQ(State(by).transactions, before + 1);
  }
  absl::StatusOr<v1::GetReceiptResponse> Settle(std::string id) {
    std::optional<absl::StatusOr<v1::GetReceiptResponse>> result;
    client->Settle(std::move(id), {"mailboxes/alice@example.org"}, milliseconds(60'000),
                   [&](auto r) { result = std::move(r); });
    if (!loop.RunUntil([&] { return result.has_value(); })) return absl::InternalError("never settled");
    return *result;
  }
  absl::StatusOr<v1::CheckRecipientResponse> Check(std::string address) {
    v1::CheckRecipientRequest request;
    request.set_address(std::move(address));
    std::optional<absl::StatusOr<v1::CheckRecipientResponse>> result;
    client->CheckRecipient(std::move(request), milliseconds(60'000), [&](auto r) { result = std::move(r); });
    if (!loop.RunUntil([&] { return result.has_value(); })) return absl::InternalError("never answered");
    return *result;
  }

  uint64_t alice_;
  EventLoop loop;
  std::shared_ptr<DeliveryClient> client;
  std::string last_id;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_CLIENT_STORES_FIXTURE_H_
