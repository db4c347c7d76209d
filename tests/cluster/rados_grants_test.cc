// The room of a domain goes from one mailbox to the other, while stores race, are killed
// and sleep: it is never given twice, and none of it is lost.
#include <atomic>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/cluster/child_store.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using engine::Describe;
using engine::PartitionId;
using engine::ValueOf;

constexpr uint64_t kSize = 1000;

class RadosGrants : public cluster::SharedClusterTest {
 protected:
  RadosGrants() : stores_(conf_, namespace_) {}

  void MakeDomain(Store& store, uint64_t messages, int mailboxes) {
    domain_ = store.CreateDomain(ValueOf(messages * kSize));
    for (int i = 0; i < mailboxes; ++i) mailboxes_.push_back(store.CreateMailbox(domain_));
  }
  uint64_t UsedBytes(Store& store) { return store.Read(PartitionId::Domain(domain_)).used_bytes; }
  std::string Expunge(Store& store, uint64_t tx, uint64_t mailbox) {
    for (const auto& entry : store.EntriesOf(mailbox)) {
      if (entry.transaction_id() != engine::Id(tx).ToBytes()) continue;
      const std::string answer = Describe(store.Expunge(mailbox, entry.uid()));
      if (answer == "ok") stores_.Forget(tx, mailbox);
      return answer;
    }
    return "no such message";
  }

  Stores stores_;
  uint64_t domain_ = 0;
  std::vector<uint64_t> mailboxes_;
};

TEST_F(RadosGrants, RoomThatIsLentOutIsCalledInByTwoStoresAtOnce) {
  Store &one = stores_.Open(), &other = stores_.Open();
  MakeDomain(one, 10, 7);
  uint64_t tx = 1000;
  // All is granted to those that do not need it any more.
  for (const uint64_t mailbox : mailboxes_) {
    ASSERT_EQ(stores_.Deliver(one, ++tx, kSize, {mailbox}), "receipt");
  }
  for (uint64_t i = 0; i < mailboxes_.size(); ++i) ASSERT_EQ(Expunge(other, 1001 + i, mailboxes_[i]), "ok");
  std::atomic<int> stored = 0;
  Race(60, [&](uint64_t racer) {
    const std::string answer =
        stores_.Deliver(racer % 2 == 0 ? one : other, racer, kSize, {mailboxes_[racer % mailboxes_.size()]});
    if (answer == "receipt") ++stored;
    EXPECT_TRUE(answer == "receipt" || absl::StartsWith(answer, "domain: needs 1000 bytes")) << answer;
  });
  EXPECT_EQ(stored, 10);
  stores_.ExpectExact(one);
}

TEST_F(RadosGrants, RoomThatAnotherStoreHasCalledInMeanwhileIsHad) {
  absl::Notification lowered, go_on;
  std::atomic<bool> first = true;
  stores_.options.at = [&](absl::string_view step) {
    if (step != "lowered" || !first.exchange(false)) return;
    lowered.Notify();
    go_on.WaitForNotification();
  };
  Store& one = stores_.Open();
  stores_.options.at = [](absl::string_view) {};
  Store& other = stores_.Open();
  MakeDomain(other, 2, 3);
  for (const uint64_t tx : {11, 12}) ASSERT_EQ(stores_.Deliver(other, tx, kSize, {mailboxes_[0]}), "receipt");
  for (const uint64_t tx : {11, 12}) ASSERT_EQ(Expunge(other, tx, mailboxes_[0]), "ok");
  // Both find that the first mailbox does not need its grant; one says so, the other tells the domain.
  std::string answer;
  std::thread slow([&] { answer = stores_.Deliver(one, 1, kSize, {mailboxes_[1]}); });
  lowered.WaitForNotification();
  EXPECT_EQ(stores_.Deliver(other, 2, kSize, {mailboxes_[2]}), "receipt");
  go_on.Notify();
  slow.join();
  EXPECT_EQ(answer, "receipt");
  stores_.ExpectExact(other);
}

// However many ask for room that a domain does not have, its mailboxes are read for all of
// them together; and for one alone once.
TEST_F(RadosGrants, ARefusalReadsEachMailboxOnce) {
  constexpr uint64_t kMailboxes = 40, kAskers = 32;
  Store& store = stores_.Open();
  MakeDomain(store, kMailboxes, kMailboxes);
  for (uint64_t i = 0; i < kMailboxes; ++i) {
    ASSERT_EQ(stores_.Deliver(store, i + 1, kSize, {mailboxes_[i]}), "receipt");
  }
  const auto reads = [&] {
    const auto counts = store.engine().Histograms()["cluster_read_seconds"].counts;
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  };
  const std::string refusal = "domain: needs 1000 bytes, 40000 used and 0 reserved of 40000, full";
  uint64_t before = reads();
  EXPECT_EQ(store.Check(mailboxes_[0], kSize), refusal);
  EXPECT_GE(reads() - before, kMailboxes);
  EXPECT_LE(reads() - before, kMailboxes + 10);
  before = reads();
  Race(kAskers, [&](uint64_t asker) { EXPECT_EQ(store.Check(mailboxes_[asker], kSize), refusal); });
  std::printf("%llu reads for %llu refusals\n", static_cast<unsigned long long>(reads() - before),
              static_cast<unsigned long long>(kAskers));
  EXPECT_LE(reads() - before, kAskers * 10 + kAskers / 4 * kMailboxes);
  // What is given back by another store is had at once, all the same.
  Store& other = stores_.Open();
  ASSERT_EQ(Expunge(other, 7, mailboxes_[6]), "ok");
  EXPECT_EQ(store.Check(mailboxes_[0], kSize), "granted 1000");
  EXPECT_EQ(stores_.Deliver(store, 1000, kSize, {mailboxes_[0]}), "receipt");
  EXPECT_EQ(store.Check(mailboxes_[1], kSize), refusal);
  stores_.ExpectExact(other);
}

class RadosGrantCrash : public RadosGrants, public testing::WithParamInterface<const char*> {
 protected:
  RadosGrantCrash() {
    stores_.options.life_interval = absl::Milliseconds(400);
    other_ = &stores_.Open();
    child_.emplace(stores_.options);
    // There is room for two, and it is granted to the first.
    MakeDomain(*other_, 2, 3);
    for (const uint64_t tx : {11, 12}) {
      EXPECT_EQ(stores_.Deliver(*other_, tx, kSize, {mailboxes_[0]}), "receipt");
    }
    for (const uint64_t tx : {11, 12}) EXPECT_EQ(Expunge(*other_, tx, mailboxes_[0]), "ok");
  }
  // Room for two is had in the third mailbox, as soon as the child's is settled.
  void ExpectRoom() {
    for (const uint64_t tx : {2, 3}) {
      std::string answer;
      EXPECT_TRUE(Becomes([&] {
        answer = stores_.Deliver(*other_, tx, kSize, {mailboxes_[2]});
        return answer == "receipt";
      })) << answer;
    }
    EXPECT_EQ(stores_.DeliverPatiently(*other_, 4, kSize, {mailboxes_[1]}),
              "domain: needs 1000 bytes, 2000 used and 0 reserved of 2000, full");
  }

  Store* other_ = nullptr;
  std::optional<ChildStore> child_;
};

TEST_P(RadosGrantCrash, RoomBetweenDomainAndMailboxIsNotLost) {
  ASSERT_TRUE(child_->IsKilledAt(GetParam(), 1, absl::StrCat("deliver 1 1000 ", mailboxes_[1])));
  ExpectRoom();
  stores_.ExpectExact(*other_);
}

TEST_P(RadosGrantCrash, StoreThatWakesBetweenDomainAndMailboxTakesNothing) {
  ASSERT_TRUE(child_->StopsAt(GetParam(), 1, absl::StrCat("deliver 1 1000 ", mailboxes_[1])));
  ExpectRoom();
  child_->Continue();
  EXPECT_NE(child_->Hear(), "receipt");
  stores_.ExpectExact(*other_);
}

INSTANTIATE_TEST_SUITE_P(Steps, RadosGrantCrash, testing::Values("granted", "lowered", "reserved"),
                         [](const auto& step) { return step.param; });

TEST_F(RadosGrants, FiftyMailboxesFillTheirDomainExactlyAfterAllKindsOfCrashes) {
  constexpr uint64_t kRoom = 60;
  constexpr int kMailboxes = 50, kSenders = 6, kCrashes = 6;
  stores_.options.life_interval = absl::Milliseconds(400);
  Store &one = stores_.Open(), &other = stores_.Open();
  MakeDomain(one, kRoom, kMailboxes);
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::atomic<bool> end = false;
  std::atomic<uint64_t> next = 1, stay = 0;
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      std::mt19937_64 random(seed + sender);
      Store& store = sender % 2 == 0 ? one : other;
      while (!end) {
        const uint64_t tx = next++, mailbox = mailboxes_[random() % kMailboxes];
        const std::string answer = stores_.Deliver(store, tx, kSize, {mailbox});
        EXPECT_TRUE(answer == "receipt" || answer == "UNAVAILABLE" || absl::StartsWith(answer, "domain: "))
            << answer;
        if (answer != "receipt") continue;
        // Half of the room changes hands until the end.
        const bool stays = random() % 4 == 0 && ++stay <= kRoom / 2;
        EXPECT_TRUE(stays || Expunge(store, tx, mailbox) == "ok");
      }
    });
  }
  std::mt19937_64 random(seed);
  for (int crash = 0; crash < kCrashes; ++crash) {
    ChildStore child(stores_.options);
    const std::string step = crash % 2 == 0 ? "granted" : "lowered";
    ASSERT_EQ(child.Ask(absl::StrCat("at ", 1 + random() % 5, " kill ", step)), "ok");
    std::string answer;
    while (answer != absl::StrCat("at ", step)) {
      const uint64_t tx = next++, mailbox = mailboxes_[random() % kMailboxes];
      answer = child.Ask(absl::StrCat("deliver ", tx, " ", kSize, " ", mailbox));
      ASSERT_NE(answer, "");
      if (answer != "receipt") continue;
      stores_.Remember(tx, kSize, {mailbox});
      EXPECT_EQ(Expunge(one, tx, mailbox), "ok");
    }
  }
  end = true;
  for (std::thread& sender : senders) sender.join();

  // Nothing is stranded: all of the room can be had.
  EXPECT_TRUE(Becomes([&] {
    for (const uint64_t mailbox : mailboxes_) stores_.Deliver(one, next++, kSize, {mailbox});
    return UsedBytes(other) == kRoom * kSize;
  })) << UsedBytes(other);
  stores_.ExpectExact(other);
}

}  // namespace
}  // namespace restante::rados
