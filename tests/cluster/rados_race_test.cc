// Stores that race for the same room, and for the same transactions.
#include <atomic>
#include <cstdio>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/crc32c.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using engine::PartitionId;
using engine::ValueOf;

constexpr uint64_t kSenders = 200;
constexpr uint64_t kSize = 1000;

class RadosRace : public cluster::SharedClusterTest {
 protected:
  RadosRace() : stores_(conf_, namespace_), one_(stores_.Open()), other_(stores_.Open()) {}

  Store& StoreOf(uint64_t racer) { return racer % 2 == 0 ? one_ : other_; }

  // All deliver to the mailbox that they are told: ten have a receipt, and the others the
  // `refusal`.
  void ExpectTen(const std::function<uint64_t(uint64_t racer)>& mailbox_of, const std::string& refusal) {
    std::atomic<int> stored = 0, refused = 0;
    Race(kSenders, [&](uint64_t racer) {
      const std::string answer = stores_.Deliver(StoreOf(racer), racer, kSize, {mailbox_of(racer)});
      if (answer == "receipt") {
        ++stored;
      } else {
        EXPECT_EQ(answer.substr(0, refusal.size()), refusal);
        ++refused;
      }
    });
    EXPECT_EQ(stored, 10);
    EXPECT_EQ(refused, kSenders - 10);
  }

  Stores stores_;
  Store &one_, &other_;
};

// Asked for twice, and the second answer comes when what the first one gave is confirmed.
TEST_F(RadosRace, AnAnswerThatComesLateLeavesWhatWasConfirmed) {
  std::atomic<int> answers = 0;
  absl::Notification come, go_on, late;
  stores_.options.at = [&](absl::string_view step) {
    if (step != "reserved" || ++answers != 2) return;
    come.Notify();
    go_on.WaitForNotification();
  };
  Store& store = stores_.Open();
  const uint64_t mailbox = store.CreateMailboxAndDomain(ValueOf(1000));
  ASSERT_EQ(store.Open(1, 100), "opened");
  ASSERT_EQ(store.Reserve(1, mailbox, 100), "granted 100");
  store.engine().Reserve(engine::Id(1), mailbox, {.bytes = 100, .at_least = 100},
                         [&](const absl::StatusOr<engine::ReserveResult>&) { late.Notify(); });
  come.WaitForNotification();
  EXPECT_EQ(store.Confirm(1), "confirmed");
  go_on.Notify();
  late.WaitForNotification();
  EXPECT_TRUE(store.Commit(1, engine::Noise(100, 1), {mailbox}).ok());
  stores_.Remember(1, 100, {mailbox});
  stores_.ExpectExact(one_);
}

TEST_F(RadosRace, RoomForTenTakesTenOfTwoStores) {
  const uint64_t mailbox = one_.CreateMailboxAndDomain(ValueOf(10 * kSize + kSize - 1));
  ExpectTen([&](uint64_t) { return mailbox; }, "mailbox: needs 1000 bytes");
  stores_.ExpectExact(one_);
  EXPECT_EQ(other_.HeadOf(mailbox).used_bytes(), 10 * kSize);
}

TEST_F(RadosRace, TenMessagesAreTenOfTwoStores) {
  const uint64_t mailbox = one_.CreateMailboxAndDomain({}, ValueOf(10));
  ExpectTen([&](uint64_t) { return mailbox; }, "mailbox: needs 1 messages");
  stores_.ExpectExact(one_);
  EXPECT_EQ(other_.HeadOf(mailbox).used_messages(), 10u);
}

TEST_F(RadosRace, APoolForTenTakesTenOfTwoStoresInAllItsMailboxes) {
  const uint64_t domain = one_.CreateDomain(ValueOf(10 * kSize));
  std::vector<uint64_t> mailboxes;
  for (int i = 0; i < 7; ++i) mailboxes.push_back(StoreOf(i).CreateMailbox(domain));
  ExpectTen([&](uint64_t racer) { return mailboxes[racer % 7]; }, "domain: needs 1000 bytes");
  stores_.ExpectExact(one_);
  EXPECT_EQ(other_.Read(PartitionId::Domain(domain)).used_bytes, 10 * kSize);
}

TEST_F(RadosRace, RequestThatTwoStoresGetAtOnceIsStoredOnce) {
  constexpr uint64_t kRequests = 20;
  const std::vector<uint64_t> mailboxes = {one_.CreateMailboxAndDomain(), one_.CreateMailboxAndDomain(),
                                           other_.CreateMailboxAndDomain()};
  const auto deliver_all = [&] {
    Race(2 * kRequests, [&](uint64_t racer) {
      EXPECT_EQ(stores_.DeliverPatiently(StoreOf(racer), (racer + 1) / 2, kSize, mailboxes), "receipt");
    });
  };
  deliver_all();
  stores_.ExpectExact(one_);
  // Nor is it when it comes again after all is expunged.
  for (const uint64_t mailbox : mailboxes) {
    for (const auto& entry : one_.EntriesOf(mailbox)) {
      EXPECT_TRUE(StoreOf(entry.uid()).Expunge(mailbox, entry.uid()).ok());
    }
  }
  deliver_all();
  for (uint64_t tx = 1; tx <= kRequests; ++tx) {
    for (const uint64_t mailbox : mailboxes) stores_.Forget(tx, mailbox);
  }
  stores_.ExpectExact(other_);
}

TEST_F(RadosRace, ClocksThatAreAnHourApartChangeNothing) {
  constexpr int64_t kHour = int64_t{3600} * 1'000'000;
  const uint64_t mailbox = one_.CreateMailboxAndDomain(ValueOf(11 * kSize));
  // Held softly, and new.
  ASSERT_EQ(one_.Open(kSenders + 1, kSize), "opened");
  ASSERT_EQ(one_.Reserve(kSenders + 1, mailbox, kSize), "granted 1000");
  other_.clock().Advance(kHour);
  other_.clock().SetWall(one_.clock().WallMicros() - kHour);
  ExpectTen([&](uint64_t) { return mailbox; }, "mailbox: needs 1000 bytes");
  EXPECT_EQ(one_.Confirm(kSenders + 1), "confirmed");
  EXPECT_TRUE(one_.Commit(kSenders + 1, engine::Noise(kSize, kSenders + 1), {mailbox}).ok());
  stores_.Remember(kSenders + 1, kSize, {mailbox});
  EXPECT_EQ(stores_.Deliver(other_, kSenders + 1, kSize, {mailbox}), "receipt");
  stores_.ExpectExact(other_);
}

TEST_F(RadosRace, BodiesStayAsLongAsAnyMailboxOfTwoStoresNamesThem) {
  constexpr int kWorkers = 8, kRounds = 40, kMailboxes = 4;
  std::vector<uint64_t> mailboxes;
  for (int i = 0; i < kMailboxes; ++i) mailboxes.push_back(one_.CreateMailbox(0));
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::atomic<uint64_t> next = 1;
  std::atomic<int> copied = 0, expunged = 0;
  Race(kWorkers, [&](uint64_t worker) {
    std::mt19937_64 random(seed + worker);
    Store& store = StoreOf(worker);
    for (int round = 0; round < kRounds; ++round) {
      const uint64_t from = mailboxes[random() % kMailboxes], to = mailboxes[random() % kMailboxes];
      const auto entries = store.EntriesOf(from);
      if (entries.empty() || random() % 3 == 0) {
        EXPECT_EQ(TryToDeliver(store, next++, kSize, from == to ? std::vector{to} : std::vector{from, to}),
                  "receipt");
        continue;
      }
      // Others may expunge it at the same time, and its body may go with it.
      const auto& entry = entries[random() % entries.size()];
      const bool copy = random() % 2 == 0;
      const absl::Status done = copy ? store.Copy(entry, to) : store.Expunge(from, entry.uid());
      EXPECT_TRUE(done.ok() || absl::IsNotFound(done)) << done;
      if (done.ok()) ++(copy ? copied : expunged);
    }
  });
  EXPECT_GT(copied, 0);
  EXPECT_GT(expunged, 0);
  stores_.ExpectExact(other_);
  for (const uint64_t mailbox : mailboxes) {
    for (const auto& entry : one_.EntriesOf(mailbox)) EXPECT_EQ(Crc32c(other_.TextOf(entry)), entry.crc32c());
  }
}

}  // namespace
}  // namespace restante::rados
