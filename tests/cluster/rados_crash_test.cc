// Stores that are killed, or sleep, at each step of what they do: what was acknowledged
// stays, what was not is not there, and what they held can be had again.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "server/engine/rados/keys.h"
#include "tests/cluster/child_store.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using engine::Describe;
using engine::ValueOf;

constexpr uint64_t kSize = 1000;

class RadosCrash : public cluster::SharedClusterTest {
 protected:
  RadosCrash() : stores_(conf_, namespace_) {
    // Dead after 2.4 seconds.
    stores_.options.life_interval = absl::Milliseconds(400);
    other_ = &stores_.Open();
    child_.emplace(stores_.options);
  }

  std::vector<uint64_t> MailboxesFor(int count, uint64_t bytes) {
    std::vector<uint64_t> mailboxes;
    for (int i = 0; i < count; ++i) mailboxes.push_back(other_->CreateMailboxAndDomain(ValueOf(bytes)));
    return mailboxes;
  }
  static std::string Delivery(uint64_t tx, uint64_t size, const std::vector<uint64_t>& mailboxes) {
    return absl::StrCat("deliver ", tx, " ", size, " ", absl::StrJoin(mailboxes, " "));
  }

  // What the other store says to a delivery as soon as nobody holds the room any more:
  // "receipt", or that it is used.
  std::string DeliverWhenDecided(uint64_t tx, uint64_t size, const std::vector<uint64_t>& mailboxes) {
    std::string answer;
    const bool decided = Becomes([&] {
      answer = stores_.DeliverPatiently(*other_, tx, size, mailboxes);
      return answer == "receipt" || absl::EndsWith(answer, ", full");
    });
    EXPECT_TRUE(decided) << answer;
    return answer;
  }

  Stores stores_;
  Store* other_ = nullptr;
  std::optional<ChildStore> child_;
};

// --- deliveries --------------------------------------------------------------------

// A step of a delivery, how often it is met before, the recipients, and the message's size.
struct At {
  const char* step;
  int count;
  int recipients;
  uint64_t size = kSize;
};
void PrintTo(const At& at, std::ostream* out) {
  *out << at.step << " " << at.count << ", " << at.recipients << " recipients, " << at.size << " bytes";
}

class RadosDeliveryCrash : public RadosCrash, public testing::WithParamInterface<At> {
 protected:
  const At at_ = GetParam();
  // From then on it is stored.
  const bool committed_ = at_.step == std::string("committed") || at_.step == std::string("rolled");
  // There is room for one message.
  const std::vector<uint64_t> mailboxes_ = MailboxesFor(at_.recipients, at_.size);

  // Another delivery wants the room.
  void ExpectDecided() {
    const std::string answer = DeliverWhenDecided(2, at_.size, mailboxes_);
    if (committed_) {
      stores_.Remember(1, at_.size, mailboxes_);
      EXPECT_EQ(answer, absl::StrCat("mailbox: needs ", at_.size, " bytes, ", at_.size,
                                     " used and 0 reserved of ", at_.size, ", full"));
    } else {
      EXPECT_EQ(answer, "receipt");
    }
  }
};

TEST_P(RadosDeliveryCrash, KilledStoreLeavesAllOrNothingAndNoRoomHeld) {
  ASSERT_TRUE(child_->IsKilledAt(at_.step, at_.count, Delivery(1, at_.size, mailboxes_)));
  ExpectDecided();
  EXPECT_EQ(Describe(other_->Settle(1)), committed_ ? "receipt" : "tombstone");
  stores_.ExpectExact(*other_);
}

TEST_P(RadosDeliveryCrash, StoreThatWakesChangesNothingThatWasSettled) {
  ASSERT_TRUE(child_->StopsAt(at_.step, at_.count, Delivery(1, at_.size, mailboxes_)));
  ExpectDecided();
  child_->Continue();
  const std::string answer = child_->Hear();
  if (committed_) {
    EXPECT_EQ(answer, "receipt");
  } else {
    EXPECT_TRUE(answer == "FAILED_PRECONDITION" || answer == "UNAVAILABLE") << answer;
  }
  stores_.ExpectExact(*other_);
  // And it is a store like any other.
  const uint64_t mailbox = other_->CreateMailboxAndDomain();
  EXPECT_TRUE(Becomes([&] { return child_->Ask(Delivery(3, kSize, {mailbox})) == "receipt"; }));
  stores_.Remember(3, kSize, {mailbox});
  stores_.ExpectExact(*other_);
}

TEST_P(RadosDeliveryCrash, SweepDecidesOnTheSleeperBeforeItTakesWhatHeHolds) {
  ASSERT_TRUE(child_->StopsAt(at_.step, at_.count, Delivery(1, at_.size, mailboxes_)));
  ASSERT_TRUE(Becomes([&] { return other_->engine().Figures()["runs_swept"] == 1; }));
  // Nobody has asked for anything, and all is decided.
  if (committed_) stores_.Remember(1, at_.size, mailboxes_);
  stores_.ExpectExact(*other_, {mailboxes_.begin(), mailboxes_.end()});
  child_->Continue();
  const std::string answer = child_->Hear();
  EXPECT_TRUE(committed_ ? answer == "receipt" : answer == "FAILED_PRECONDITION" || answer == "UNAVAILABLE")
      << answer;
  stores_.ExpectExact(*other_);
}

INSTANTIATE_TEST_SUITE_P(Steps, RadosDeliveryCrash,
                         testing::Values(At{"reserved", 1, 1}, At{"seal", 1, 1}, At{"sealed", 1, 1},
                                         At{"committed", 1, 1}, At{"rolled", 1, 1}, At{"reserved", 3, 5},
                                         At{"seal", 1, 5, 6'000'000}, At{"sealed", 1, 5, 6'000'000},
                                         At{"committed", 1, 5, 6'000'000}, At{"rolled", 2, 5}),
                         [](const auto& at) {
                           return absl::StrCat(at.param.step, "With", at.param.recipients, "Recipients");
                         });

TEST_F(RadosCrash, ReservationThatWasTakenFromASleeperIsNotCommitted) {
  const std::vector<uint64_t> mailboxes = MailboxesFor(1, kSize);
  ASSERT_EQ(child_->Ask(absl::StrCat("reserve 1 ", kSize, " ", mailboxes[0])), "confirmed");
  ASSERT_TRUE(child_->StopsAt("seal", 1, absl::StrCat("commit 1 ", kSize, " ", mailboxes[0])));
  // Nobody else can know that it was confirmed, and so it may be taken after a while.
  EXPECT_EQ(stores_.Deliver(*other_, 2, kSize, mailboxes),
            "mailbox: needs 1000 bytes, 0 used and 1000 reserved of 1000");
  other_->clock().Advance(stores_.options.rules.soft_after_us);
  EXPECT_EQ(stores_.Deliver(*other_, 2, kSize, mailboxes), "receipt");
  child_->Continue();
  EXPECT_EQ(child_->Hear(), "FAILED_PRECONDITION");
  stores_.ExpectExact(*other_);
}

TEST_F(RadosCrash, StoreThatSleptAndThenDiesIsSweptAfterOnceMore) {
  const std::vector<uint64_t> first = MailboxesFor(1, kSize), second = MailboxesFor(1, kSize);
  const auto swept = [&] { return other_->engine().Figures()["runs_swept"]; };
  ASSERT_TRUE(child_->StopsAt("reserved", 1, Delivery(1, kSize, first)));
  ASSERT_TRUE(Becomes([&] { return swept() == 1; }));
  child_->Continue();
  EXPECT_NE(child_->Hear(), "receipt");
  // (Until its next life sign it may be settled once more.)
  uint64_t tx = 1;
  ASSERT_TRUE(Becomes([&] { return child_->Ask(Delivery(++tx, kSize, first)) == "receipt"; }));
  stores_.Remember(tx, kSize, first);
  ASSERT_TRUE(child_->IsKilledAt("sealed", 1, Delivery(++tx, kSize, second)));
  ASSERT_TRUE(Becomes([&] { return swept() == 2; }));
  stores_.ExpectExact(*other_, {second[0]});
}

TEST_F(RadosCrash, StoresThatAreKilledAnywhereLoseNothingAndStoreNothingTwice) {
  constexpr uint64_t kDrivers = 3, kKills = 10, kMailboxes = 4, kLargest = 1'500'000;
  const std::vector<uint64_t> mailboxes = MailboxesFor(kMailboxes, 8 * kLargest);
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::atomic<uint64_t> next = 1, stored = 0;
  Race(kDrivers, [&](uint64_t driver) {
    std::mt19937_64 random(seed + driver);
    for (uint64_t kill = 0; kill < kKills; ++kill) {
      ChildStore child(stores_.options);
      bool killed = false;
      while (!killed) {
        const uint64_t tx = next++, size = 1 + random() % (random() % 4 == 0 ? kLargest : kSize);
        std::vector<uint64_t> to = mailboxes;
        std::shuffle(to.begin(), to.end(), random);
        to.resize(1 + random() % kMailboxes);
        child.Say(Delivery(tx, size, to));
        killed = random() % 3 == 0;
        if (killed) {
          absl::SleepFor(absl::Microseconds(random() % 40'000));
          child.Kill();
        }
        const std::string answer = child.Hear();
        // Nobody has heard what became of it: the other store tells.
        std::string settled;
        while (answer.empty() && (settled.empty() || settled == "UNAVAILABLE")) {
          settled = Describe(other_->Settle(tx));
        }
        if (answer != "receipt" && settled != "receipt") continue;
        stores_.Remember(tx, size, to);
        ++stored;
      }
    }
  });
  EXPECT_GT(stored, 0u);
  stores_.ExpectExact(*other_, {mailboxes.begin(), mailboxes.end()});
}

// --- expunging, copying, creating --------------------------------------------------

class RadosChangeCrash : public RadosCrash, public testing::WithParamInterface<const char*> {};
using RadosExpungeCrash = RadosChangeCrash;

TEST_P(RadosExpungeCrash, ExpungedMessageIsGoneAndItsRoomAndBodyToo) {
  const std::vector<uint64_t> mailboxes = MailboxesFor(2, kSize);
  ASSERT_EQ(stores_.Deliver(*other_, 1, kSize, mailboxes), "receipt");
  const uint64_t body = other_->EntriesOf(mailboxes[0]).at(0).body();
  ASSERT_EQ(Describe(other_->Expunge(mailboxes[1], 1)), "ok");
  ASSERT_TRUE(child_->IsKilledAt(GetParam(), 1, absl::StrCat("expunge ", mailboxes[0], " 1")));
  for (const uint64_t mailbox : mailboxes) stores_.Forget(1, mailbox);
  EXPECT_EQ(DeliverWhenDecided(2, kSize, mailboxes), "receipt");
  other_->ExpectGone(body);
  stores_.ExpectExact(*other_);
}

INSTANTIATE_TEST_SUITE_P(Steps, RadosExpungeCrash,
                         testing::Values("updated", "drop read", "drop decided", "dropped"),
                         [](const auto& at) {
                           return absl::StrReplaceAll(at.param, {{" ", "_"}});
                         });

TEST_F(RadosCrash, CopyThatWasNotMadeHoldsNoBody) {
  const std::vector<uint64_t> mailboxes = {other_->CreateMailbox(0), other_->CreateMailbox(0)};
  ASSERT_EQ(stores_.Deliver(*other_, 1, kSize, {mailboxes[0]}), "receipt");
  const uint64_t body = other_->EntriesOf(mailboxes[0]).at(0).body();
  ASSERT_TRUE(child_->IsKilledAt("held", 1, absl::StrCat("copy ", mailboxes[0], " 1 ", mailboxes[1])));
  EXPECT_TRUE(other_->Expunge(mailboxes[0], 1).ok());
  stores_.Forget(1, mailboxes[0]);
  other_->ExpectGone(body);
  stores_.ExpectExact(*other_, {mailboxes[1]});
}

TEST_F(RadosCrash, SweepTakesNoBodyFromASlowCopy) {
  const std::vector<uint64_t> mailboxes = {other_->CreateMailbox(0), other_->CreateMailbox(0)};
  {
    ChildStore sender(stores_.options);
    ASSERT_EQ(sender.Ask(Delivery(1, kSize, {mailboxes[0]})), "receipt");
  }
  ASSERT_TRUE(child_->StopsAt("held", 1, absl::StrCat("copy ", mailboxes[0], " 1 ", mailboxes[1])));
  // The sender's run, whose body it is, and that which copies.
  ASSERT_TRUE(Becomes([&] { return other_->engine().Figures()["runs_swept"] == 2; }));
  child_->Continue();
  EXPECT_EQ(child_->Hear(), "ok");
  EXPECT_TRUE(other_->Expunge(mailboxes[0], 1).ok());
  stores_.ExpectExact(*other_, {mailboxes[0]});
  const auto copies = other_->EntriesOf(mailboxes[1]);
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_TRUE(other_->TextOf(copies[0]) == engine::Noise(kSize, 1));
}

TEST_F(RadosCrash, DamagedBodyStopsNeitherItsStoreNorASweep) {
  const uint64_t mailbox = other_->CreateMailbox(0), full = MailboxesFor(1, kSize)[0];
  for (const uint64_t tx : {1, 2}) ASSERT_EQ(TryToDeliver(*other_, tx, kSize, {mailbox}), "receipt");
  const auto entries = other_->EntriesOf(mailbox);
  const std::string object = BodyObject(engine::BodyId{entries.at(0).body()});
  ASSERT_EQ(std::system(absl::StrCat("rados -c ", conf_, " -p ", cluster::kBodyPool, " -N ", namespace_,
                                     " setxattr ", object, " meta damaged")
                            .c_str()),
            0);
  for (const auto& entry : entries) EXPECT_TRUE(other_->Expunge(mailbox, entry.uid()).ok());
  other_->ExpectGone(entries.at(1).body());
  ASSERT_TRUE(child_->IsKilledAt("sealed", 1, Delivery(3, kSize, {full})));
  EXPECT_TRUE(Becomes([&] { return other_->engine().Figures()["runs_swept"] == 1; }));
  EXPECT_EQ(DeliverWhenDecided(4, kSize, {full}), "receipt");
  // It can be closed.
  stores_.Close(*other_);
}

TEST_F(RadosCrash, MailboxThatWasNotMadeTakesNothingOfItsDomain) {
  for (const char* const step : {"enlisted", "joined", "updated"}) {
    const uint64_t domain = other_->CreateDomain(ValueOf(kSize));
    ChildStore child(stores_.options);
    ASSERT_TRUE(child.IsKilledAt(step, 1, absl::StrCat("mailbox ", domain)));
    const uint64_t mailbox = other_->CreateMailbox(domain);
    EXPECT_EQ(stores_.DeliverPatiently(*other_, domain, kSize, {mailbox}), "receipt") << step;
  }
  stores_.ExpectExact(*other_);
}

}  // namespace
}  // namespace restante::rados
