// A cluster that is full, or does not say how full it is.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

constexpr uint64_t kSize = 2'000'000;
constexpr uint64_t kQuota = 40'000'000;

class RadosFull : public testing::Test {
 protected:
  RadosFull() : cluster_("--osds 1 --size 1 --mgr"), stores_(cluster_.conf(), "full") {
    stores_.options.measured = true;
  }

  cluster::Cluster cluster_;
  Stores stores_;
};

TEST_F(RadosFull, QuotaOfAPoolRefusesBeforeDataAndNothingHangs) {
  Store& store = stores_.Open();
  ASSERT_TRUE(Becomes([&] { return !store.engine().GetCapacity().read_only; }));
  const uint64_t mailbox = store.CreateMailboxAndDomain();
  cluster_.Ceph(absl::StrCat("osd pool set-quota ", cluster::kBodyPool, " max_bytes ", kQuota));
  ASSERT_TRUE(Becomes([&] { return store.engine().GetCapacity().limit < kQuota; }));

  uint64_t tx = 0, octets = 0;
  std::string answer;
  do {
    answer = stores_.Deliver(store, ++tx, kSize, {mailbox});
    octets += answer == "receipt" ? kSize : 0;
  } while (answer == "receipt" && octets <= kQuota);
  // Refused when it asks, not when it has been told to go on.
  EXPECT_TRUE(absl::StartsWith(answer, "disk: needs ")) << answer;
  EXPECT_LT(octets, kQuota);
  EXPECT_GT(octets, kQuota / 2);

  for (const auto& entry : store.EntriesOf(mailbox)) {
    ASSERT_TRUE(store.Expunge(mailbox, entry.uid()).ok());
  }
  for (uint64_t i = 1; i < tx; ++i) stores_.Forget(i, mailbox);
  EXPECT_TRUE(Becomes([&] { return stores_.Deliver(store, ++tx, kSize, {mailbox}) == "receipt"; }));
  stores_.ExpectExact(store);
}

TEST_F(RadosFull, ManagerThatStopsMakesNobodyFullOrEmpty) {
  Store& store = stores_.Open();
  ASSERT_TRUE(Becomes([&] { return !store.engine().GetCapacity().read_only; }));
  const uint64_t mailbox = store.CreateMailboxAndDomain();
  const uint64_t limit = store.engine().GetCapacity().limit;
  cluster_.Kill("mgr.x");
  for (uint64_t tx = 1; tx <= 20; ++tx) {
    ASSERT_EQ(stores_.Deliver(store, tx, 1000, {mailbox}), "receipt");
    const engine::Capacity capacity = store.engine().GetCapacity();
    EXPECT_FALSE(capacity.full);
    EXPECT_NEAR(static_cast<double>(capacity.limit), static_cast<double>(limit), limit / 10.0);
  }
  stores_.ExpectExact(store);
}

}  // namespace
}  // namespace restante::rados
