// A cluster that is full, or does not say how full it is.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using engine::PartitionId;

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

// Small disks, which a few letters fill as far as they may be filled.
class RadosFullOsd : public testing::Test {
 protected:
  static constexpr double kDisk = 1 << 30;

  RadosFullOsd() : cluster_("--osds 3 --osd-gib 1 --mgr"), stores_(cluster_.conf(), "full") {
    stores_.options.measured = true;
  }

  Store& OpenStore() {
    Store& store = stores_.Open();
    EXPECT_TRUE(Becomes([&] { return !store.engine().GetCapacity().read_only; }));
    return store;
  }
  // The disks are nearly full from `mark` and 5 percent on, and full with two more.
  void SetRatios(double mark) {
    cluster_.Ceph(absl::StrCat("osd set-nearfull-ratio ", mark + 0.05));
    cluster_.Ceph(absl::StrCat("osd set-backfillfull-ratio ", mark + 0.06));
    cluster_.Ceph(absl::StrCat("osd set-full-ratio ", mark + 0.07));
  }
  void ExpectAllOsdsLive() {
    EXPECT_TRUE(absl::StrContains(cluster_.Ceph("osd stat"), "3 osds: 3 up")) << cluster_.Ceph("osd stat");
  }

  cluster::Cluster cluster_;
  Stores stores_;
};

TEST_F(RadosFullOsd, IsMailRefusedBeforeDataAndGivesRoomBack) {
  constexpr double kRoom = 48'000'000;
  Store& store = OpenStore();
  const uint64_t mailbox = store.CreateMailboxAndDomain();
  // As many octets below the mark as there are to be filled. (The cluster began with one of 60 percent.)
  const double spare = static_cast<double>(store.engine().GetCapacity().available) - kRoom;
  SetRatios(0.60 - spare / kDisk);
  ASSERT_TRUE(Becomes([&] {
    const auto available = static_cast<double>(store.engine().GetCapacity().available);
    return available > kRoom / 2 && available < 2 * kRoom;
  }));
  const uint64_t promised = 1'000'001;
  store.MakeReady(promised, kSize, {mailbox});

  uint64_t tx = 0;
  std::string answer;
  do {
    answer = stores_.Deliver(store, ++tx, kSize, {mailbox});
  } while (answer == "receipt" && tx < 2 * kRoom / kSize);
  EXPECT_TRUE(absl::StartsWith(answer, "disk: needs ")) << answer;
  EXPECT_GT(tx, 2u);
  EXPECT_TRUE(store.Commit(promised, engine::Noise(kSize, promised), {mailbox}).ok());
  stores_.Remember(promised, kSize, {mailbox});
  // That was long before an OSD was in danger.
  EXPECT_FALSE(absl::StrContains(cluster_.Ceph("health"), "full"));
  ExpectAllOsdsLive();

  for (const auto& entry : store.EntriesOf(mailbox)) ASSERT_TRUE(store.Expunge(mailbox, entry.uid()).ok());
  for (uint64_t i = 1; i < tx; ++i) stores_.Forget(i, mailbox);
  stores_.Forget(promised, mailbox);
  EXPECT_TRUE(Becomes([&] { return stores_.Deliver(store, ++tx, kSize, {mailbox}) == "receipt"; }));
  stores_.ExpectExact(store);
}

// As where another program takes the room.
TEST_F(RadosFullOsd, KeepsWhatWasPromisedBeforeAndPromisesNothing) {
  Store& store = OpenStore();
  const uint64_t mailbox = store.CreateMailboxAndDomain();
  ASSERT_EQ(stores_.Deliver(store, 1, kSize, {mailbox}), "receipt");
  for (const uint64_t tx : {2, 3}) store.MakeReady(tx, kSize, {mailbox});
  EXPECT_EQ(store.Open(4, kSize), "opened");
  engine::CommitRequest half_written = store.CommitOf(2, engine::Noise(kSize, 2), {mailbox});

  SetRatios(0);
  ASSERT_TRUE(Becomes([&] { return absl::StrContains(cluster_.Ceph("health"), "pool(s) full"); }));
  ASSERT_TRUE(Becomes([&] { return store.engine().GetCapacity().full; }));
  EXPECT_TRUE(absl::StartsWith(store.Open(5, kSize), "disk: needs ")) << store.Open(5, kSize);
  const std::string confirmed = store.Confirm(4);
  EXPECT_TRUE(absl::StrContains(confirmed, "disk: needs ")) << confirmed;
  store.engine().Close(engine::Id(4));
  const absl::Status created = store.Put(PartitionId::Mailbox(store.engine().NewNumber()), {});
  EXPECT_TRUE(absl::IsResourceExhausted(created)) << created;

  EXPECT_EQ(engine::Describe(store.Commit(std::move(half_written))), "receipt");
  EXPECT_EQ(engine::Describe(store.Commit(3, engine::Noise(kSize, 3), {mailbox})), "receipt");
  EXPECT_EQ(engine::Describe(store.Settle(6)), "tombstone");
  EXPECT_TRUE(store.Expunge(mailbox, 1).ok());
  for (const uint64_t tx : {2, 3}) stores_.Remember(tx, kSize, {mailbox});
  stores_.Forget(1, mailbox);
  // A store that starts now can make room, too, and end.
  Store& other = OpenStore();
  EXPECT_TRUE(other.Expunge(mailbox, 2).ok());
  stores_.Forget(2, mailbox);
  stores_.ExpectExact(other);
  stores_.Close(other);

  SetRatios(0.60);
  EXPECT_TRUE(Becomes([&] { return stores_.Deliver(store, 7, kSize, {mailbox}) == "receipt"; }));
  stores_.ExpectExact(store);
}

}  // namespace
}  // namespace restante::rados
