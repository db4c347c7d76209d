// Stores that a name leads to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "client/lib/delivery_client.h"
#include "tests/client/stores_fixture.h"

namespace restante {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

constexpr char kAlice[] = "alice@example.org";

class FakeResolver : public client_internal::Resolver {
 public:
  absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host,
                                                   const std::string& port) override {
    absl::MutexLock lock(&mutex_);
    ++asked_;
    EXPECT_EQ(absl::StrCat(host, ":", port), "stores.invalid:8354");
    return answer_;
  }
  void Set(absl::StatusOr<std::vector<std::string>> answer) {
    absl::MutexLock lock(&mutex_);
    answer_ = std::move(answer);
    asked_ = 0;
  }
  // Since Set.
  int asked() {
    absl::MutexLock lock(&mutex_);
    return asked_;
  }

 private:
  absl::Mutex mutex_;
  absl::StatusOr<std::vector<std::string>> answer_ = absl::UnavailableError("not yet");
  int asked_ = 0;
};

class NamedStoresTest : public StoresTest {
 protected:
  void ConnectTo(std::vector<std::string> addresses) {
    resolver->Set(std::move(addresses));
    ClientOptions options = Options();
    options.target = "dns:///stores.invalid:8354";
    options.resolve_interval = milliseconds(20);
    client = client_internal::MakeDeliveryClient(std::move(options), resolver);
  }
  std::set<std::string> Addresses() {
    std::set<std::string> addresses;
    for (const StoreState& state : client->stores()) addresses.insert(state.address);
    return addresses;
  }
  void AwaitAddresses(const std::set<std::string>& addresses) {
    ASSERT_TRUE(loop.RunUntil([&] { return Addresses() == addresses; }));
  }

  const std::shared_ptr<FakeResolver> resolver = std::make_shared<FakeResolver>();
};

TEST_F(NamedStoresTest, EachAddressOfANameIsAStore) {
  ConnectTo({stores[0].address(), stores[1].address(), stores[2].address()});
  ASSERT_TRUE(loop.RunUntil([&] { return AllUp(); }));
  AwaitAddresses({stores[0].address(), stores[1].address(), stores[2].address()});
  ExpectStored(kAlice, Preference(kAlice)[0]);
}

TEST_F(NamedStoresTest, WithOneAddressIsOneStoreAsItWasGiven) {
  ConnectTo({stores[0].address()});
  ASSERT_TRUE(loop.RunUntil([&] { return resolver->asked() >= 3; }));
  EXPECT_THAT(Addresses(), ElementsAre("dns:///stores.invalid:8354"));
}

TEST_F(NamedStoresTest, NewAddressesJoinAndVanishedOnesAreDrainedAndNotCut) {
  const std::vector<size_t> order = Preference(kAlice);
  const std::string first = stores[order[0]].address(), second = stores[order[1]].address(),
                    third = stores[order[2]].address();
  ConnectTo({first, third});
  AwaitAddresses({first, third});
  ASSERT_TRUE(loop.RunUntil([&] { return State(first)->up && State(third)->up; }));
  Delivery open;
  Begin(&open);
  AwaitHeard(open, v1::Answer::kDecision);
  resolver->Set(std::vector<std::string>{second, third});
  AwaitAddresses({first, second, third});
  ASSERT_TRUE(loop.RunUntil([&] { return State(second)->up; }));
  ExpectStored(kAlice, order[1]);
  open.Send({}, "text\r\n");
  AwaitOver(open);
  EXPECT_TRUE(open.receipts.has_value()) << open.lost.value_or(absl::OkStatus());
  AwaitAddresses({second, third});
}

TEST_F(NamedStoresTest, WhatIsNotFoundForAWhileIsNotCutOff) {
  const std::set<std::string> two = {stores[0].address(), stores[1].address()};
  ConnectTo({stores[0].address(), stores[1].address()});
  AwaitAddresses(two);
  const absl::StatusOr<std::vector<std::string>> nothing[] = {absl::UnavailableError("no DNS"),
                                                              std::vector<std::string>()};
  for (const absl::StatusOr<std::vector<std::string>>& answer : nothing) {
    resolver->Set(answer);
    ASSERT_TRUE(loop.RunUntil([&] { return resolver->asked() >= 3; }));
    EXPECT_EQ(Addresses(), two);
  }
}

}  // namespace
}  // namespace restante
