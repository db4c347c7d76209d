// OSDs that are frozen, die and come back under stores at work: who has a promise waits,
// who has none is told so, and a late write is found.
#include <atomic>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "server/engine/rados/keys.h"
#include "tests/cluster/child_store.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using engine::Describe;
using engine::Id;
using engine::Noise;
using engine::PartitionId;

constexpr uint64_t kSize = 5000;
constexpr int kOsds = 3;

class RadosOutage : public testing::Test {
 protected:
  explicit RadosOutage(absl::string_view options = "")
      : cluster_(absl::StrCat("--osds ", kOsds, " ", options)), stores_(cluster_.conf(), "outage") {}

  static std::string Osd(int i) { return absl::StrCat("osd.", i); }
  void FreezeAll() {
    for (int i = 0; i < kOsds; ++i) cluster_.Freeze(Osd(i));
  }
  void ThawAll() {
    for (int i = 0; i < kOsds; ++i) cluster_.Thaw(Osd(i));
  }
  std::vector<uint64_t> Mailboxes(Store& store, int count) {
    std::vector<uint64_t> mailboxes;
    for (int i = 0; i < count; ++i) mailboxes.push_back(store.CreateMailboxAndDomain());
    return mailboxes;
  }
  // The commit of a transaction that is ready, on a thread of its own.
  static std::thread CommitBeside(Store& store, uint64_t tx, const std::vector<uint64_t>& mailboxes,
                                  std::string* answer) {
    return std::thread([&store, tx, mailboxes, answer] {
      *answer = Describe(store.Commit(tx, Noise(kSize, tx), mailboxes));
    });
  }

  cluster::Cluster cluster_;
  Stores stores_;
};

TEST_F(RadosOutage, CommitOnItsWayToFrozenOsdsIsFoundAndSettledOnce) {
  std::atomic<bool> freeze = false, frozen = false;
  std::string step;
  stores_.options.at = [&](absl::string_view at) {
    if (at != step || !freeze.exchange(false)) return;
    FreezeAll();
    frozen = true;
  };
  Store& one = stores_.Open();
  stores_.options.at = [](absl::string_view) {};
  Store& other = stores_.Open();
  const std::vector<uint64_t> mailboxes = Mailboxes(one, 3);
  uint64_t tx = 0;
  for (const char* const frozen_at : {"seal", "sealed", "committed"}) {
    one.MakeReady(++tx, kSize, mailboxes);
    step = frozen_at;
    frozen = false;
    freeze = true;
    std::string answer, settled;
    std::thread commit = CommitBeside(one, tx, mailboxes, &answer);
    ASSERT_TRUE(Becomes([&] { return frozen.load(); })) << frozen_at;
    std::thread settle([&] { settled = Describe(other.Settle(tx)); });
    // While they are frozen nobody is promised anything, and nobody waits for long.
    EXPECT_EQ(other.Open(1000 + tx, kSize), "UNAVAILABLE");
    ThawAll();
    commit.join();
    settle.join();
    EXPECT_EQ(answer, settled == "receipt" ? "receipt" : "FAILED_PRECONDITION") << frozen_at;
    EXPECT_TRUE(settled == "receipt" || (settled == "tombstone" && frozen_at != std::string("committed")));
    if (settled == "receipt") stores_.Remember(tx, kSize, mailboxes);
    ASSERT_TRUE(Becomes([&] { return stores_.Deliver(one, 2000 + tx, kSize, mailboxes) == "receipt"; }));
  }
  stores_.ExpectExact(other);
}

TEST_F(RadosOutage, LastWriteOfAKilledStoreIsFoundWhenTheOsdsThaw) {
  stores_.options.life_interval = absl::Seconds(1);
  Store& other = stores_.Open();
  const std::vector<uint64_t> mailboxes = Mailboxes(other, 3);
  ChildStore child(stores_.options);
  ASSERT_TRUE(
      child.StopsAt("sealed", 1, absl::StrCat("deliver 1 ", kSize, " ", absl::StrJoin(mailboxes, " "))));
  FreezeAll();
  child.Continue();
  // Long enough for its write to be on its way, mostly; whether it is, is not to matter.
  absl::SleepFor(absl::Seconds(1));
  child.Kill();
  std::string settled;
  std::thread settle([&] { settled = Describe(other.Settle(1)); });
  ThawAll();
  settle.join();
  EXPECT_TRUE(settled == "receipt" || settled == "tombstone") << settled;
  if (settled == "receipt") stores_.Remember(1, kSize, mailboxes);
  for (const uint64_t mailbox : mailboxes) {
    EXPECT_EQ(other.EntriesOf(mailbox).size(), settled == "receipt" ? 1u : 0u);
  }
  stores_.ExpectExact(other);
}

TEST_F(RadosOutage, NoSenderHearsOfOsdsThatDieOneByOne) {
  constexpr int kSenders = 8, kMailboxes = 6;
  stores_.options.patience = absl::Minutes(1);
  stores_.options.life_interval = absl::Seconds(20);
  Store &one = stores_.Open(), &other = stores_.Open();
  const std::vector<uint64_t> mailboxes = Mailboxes(one, kMailboxes);
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::atomic<bool> end = false;
  std::atomic<uint64_t> next = 1;
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      std::mt19937_64 random(seed + sender);
      while (!end) {
        const uint64_t first = random() % kMailboxes,
                       second = (first + 1 + random() % (kMailboxes - 1)) % kMailboxes;
        const std::string answer =
            stores_.Deliver(sender % 2 == 0 ? one : other, next++, 1 + random() % 20'000,
                            {mailboxes[first], mailboxes[second]});
        if (answer == "receipt" || end.exchange(true)) continue;
        ADD_FAILURE() << answer << "\n" << cluster_.Ceph("status") << cluster_.Ceph("health detail");
      }
    });
  }
  for (int osd = 0; osd < kOsds; ++osd) {
    cluster_.Kill(Osd(osd));
    // Deliveries come through without it.
    const uint64_t before = next;
    EXPECT_TRUE(Becomes([&] { return end || next > before + 2 * kSenders; }));
    cluster_.Revive(Osd(osd));
    // One that dies before another has caught up makes two: what it alone has, the others
    // wait for.
    cluster_.Heal();
  }
  end = true;
  for (std::thread& sender : senders) sender.join();
  stores_.ExpectExact(one);
}

TEST_F(RadosOutage, WithoutEnoughOsdsNothingIsPromisedAndWhatWasIsKept) {
  // Dead after 6 seconds, and nobody is waited for longer than 5.
  stores_.options.life_interval = absl::Seconds(1);
  Store &store = stores_.Open(), &other = stores_.Open();
  const std::vector<uint64_t> mailboxes = Mailboxes(store, 2);
  const uint64_t wanted = store.CreateMailboxAndDomain(engine::ValueOf(kSize));
  store.MakeReady(1, kSize, mailboxes);
  store.MakeReady(2, kSize, {wanted});
  EXPECT_EQ(store.Open(3, kSize), "opened");
  const std::string held =
      absl::StrCat("mailbox: needs ", kSize, " bytes, 0 used and ", kSize, " reserved of ", kSize);
  EXPECT_EQ(stores_.DeliverPatiently(other, 4, kSize, {wanted}), held);
  cluster_.Kill("osd.0");
  cluster_.Kill("osd.1");
  std::string answer;
  std::thread commit = CommitBeside(store, 1, mailboxes, &answer);
  EXPECT_EQ(store.Reserve(3, mailboxes[0], kSize), "UNAVAILABLE");
  store.engine().Close(Id(3));
  EXPECT_EQ(other.Open(5, kSize), "UNAVAILABLE");
  cluster_.Revive("osd.0");
  commit.join();
  EXPECT_EQ(answer, "receipt");
  stores_.Remember(1, kSize, mailboxes);
  // Nobody was heard of for so long that he could be dead, but nobody could be.
  EXPECT_EQ(stores_.DeliverPatiently(other, 6, kSize, {wanted}), held);
  CommitBeside(store, 2, {wanted}, &answer).join();
  EXPECT_EQ(answer, "receipt");
  stores_.Remember(2, kSize, {wanted});
  EXPECT_EQ(stores_.DeliverPatiently(store, 7, kSize, mailboxes), "receipt");
  cluster_.Revive("osd.1");
  stores_.ExpectExact(store);
}

// Two copies, both of which are needed: an OSD takes those of its placement groups with it,
// and the others serve.
class RadosPartOutage : public RadosOutage {
 protected:
  RadosPartOutage() : RadosOutage("--size 2 --min-size 2") {}

  bool IsOn(uint64_t mailbox, int osd) {
    const std::string map =
        cluster_.Ceph(absl::StrCat("osd map ", cluster::kIndexPool, " ",
                                   PartitionObject(PartitionId::Mailbox(mailbox)), " outage --format json"));
    const size_t acting = map.find("\"acting\":[");
    EXPECT_NE(acting, std::string::npos) << map;
    return absl::StrContains(map.substr(acting, map.find(']', acting) - acting), absl::StrCat(osd));
  }
};

TEST_F(RadosPartOutage, CommittedMessageComesToMailboxesThatCannotBeWrittenYet) {
  Store& other = stores_.Open();
  // Two that the last OSD has nothing of, and three that it has.
  std::vector<uint64_t> here, there;
  while (here.size() < 2 || there.size() < 3) {
    const uint64_t mailbox = other.CreateMailboxAndDomain();
    std::vector<uint64_t>& kind = IsOn(mailbox, kOsds - 1) ? there : here;
    kind.push_back(mailbox);
  }
  here.resize(2);
  there.resize(3);
  std::vector<uint64_t> mailboxes = here;
  mailboxes.insert(mailboxes.end(), there.begin(), there.end());
  ChildStore child(stores_.options);
  ASSERT_TRUE(
      child.StopsAt("committed", 1, absl::StrCat("deliver 1 ", kSize, " ", absl::StrJoin(mailboxes, " "))));
  cluster_.Kill(Osd(kOsds - 1));
  child.Continue();
  // It gets as far as it can. (What is read of the others meanwhile would wait.)
  for (const uint64_t mailbox : here) {
    EXPECT_TRUE(Becomes([&] {
      const auto read = engine::Await<absl::StatusOr<engine::ReadResult>>(
          [&](auto done) { other.engine().Read(PartitionId::Mailbox(mailbox), {}, std::move(done)); });
      return read.ok() && read->head->mailbox().used_messages() == 1;
    })) << mailbox;
  }
  child.Kill();
  std::string settled;
  std::thread settle([&] { settled = Describe(other.Settle(1)); });
  cluster_.Revive(Osd(kOsds - 1));
  settle.join();
  EXPECT_EQ(settled, "receipt");
  stores_.Remember(1, kSize, mailboxes);
  stores_.ExpectExact(other);
}

}  // namespace
}  // namespace restante::rados
