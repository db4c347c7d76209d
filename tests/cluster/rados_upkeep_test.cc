// What operators ask for: a scrub, settling after the dead, sweeping after them.
#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/rados/bodies.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/keys.h"
#include "tests/cluster/child_store.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"
#include "tests/cluster/shard_objects.h"

namespace restante::rados {
namespace {

using engine::Damage;
using engine::Noise;
using engine::PartitionId;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kSize = 5000;
// A part, and a tail.
constexpr uint64_t kLarge = kPartSize + 1'500'000;
// A run that there never was.
constexpr uint64_t kNobody = uint64_t{900'000} << 40;

class RadosUpkeep : public cluster::SharedClusterTest {
 protected:
  RadosUpkeep() : stores_(conf_, namespace_) {
    // Dead after 6 seconds.
    stores_.options.life_interval = absl::Seconds(1);
    auto raw = Cluster::Connect({.conf = conf_, .user = "admin", .keyring = "", .name_space = namespace_});
    EXPECT_TRUE(raw.ok()) << raw.status();
    raw_ = *std::move(raw);
    bodies_ = *raw_->OpenPool(cluster::kBodyPool);
  }

  void Write(const std::string& object, WriteOp op) {
    const auto write = [](Pool* pool, std::string name, WriteOp what) -> Task<int> {
      co_return co_await pool->Write(name, std::move(what));
    };
    ASSERT_EQ(Wait<int>(write(bodies_.get(), object, std::move(op))), 0) << object;
  }
  void Remove(const std::string& object) { Write(object, std::move(bodies_->NewWrite().Remove())); }
  void Overwrite(const std::string& object, uint64_t offset) {
    Write(object, std::move(bodies_->NewWrite().AssertExists().Write("#", offset)));
  }
  std::vector<std::string> Bodies() {
    std::vector<std::string> names;
    EXPECT_TRUE(bodies_->List([&](absl::string_view name) { names.emplace_back(name); }).ok());
    return names;
  }

  struct Scrubbed {
    absl::Status status;
    std::vector<Damage> damages;
    engine::UpkeepProgress last;
  };
  Scrubbed Scrub(Store& store, uint64_t rate = 0, bool go_on = true) {
    Scrubbed scrubbed;
    scrubbed.status = engine::Await<absl::Status>([&](auto done) {
      store.engine().Scrub(
          rate,
          [&, go_on](engine::UpkeepProgress progress) {
            for (Damage& damage : progress.damages) scrubbed.damages.push_back(std::move(damage));
            scrubbed.last = std::move(progress);
            return go_on;
          },
          std::move(done));
    });
    return scrubbed;
  }
  engine::SweepProgress Sweep(Store& store) {
    engine::SweepProgress last;
    EXPECT_TRUE(engine::Await<absl::Status>([&](auto done) {
                  store.engine().SweepOrphans(
                      [&](engine::SweepProgress progress) {
                        last = progress;
                        return true;
                      },
                      std::move(done));
                }).ok());
    return last;
  }

  Stores stores_;
  std::unique_ptr<Cluster> raw_;
  std::unique_ptr<Pool> bodies_;
};

// --- scrubbing ---------------------------------------------------------------------

TEST_F(RadosUpkeep, ScrubReadsEverythingAndFindsNothingWhereAllIsWell) {
  Store& store = stores_.Open();
  const std::vector<uint64_t> mailboxes = {store.CreateMailbox(0), store.CreateMailbox(0)};
  ASSERT_EQ(stores_.Deliver(store, 1, kLarge, mailboxes), "receipt");
  ASSERT_EQ(stores_.Deliver(store, 2, kSize, {mailboxes[1]}), "receipt");
  ASSERT_EQ(stores_.Deliver(store, 3, 0, {mailboxes[1]}), "receipt");
  const Scrubbed scrubbed = Scrub(store);
  EXPECT_TRUE(scrubbed.status.ok()) << scrubbed.status;
  EXPECT_THAT(scrubbed.damages, IsEmpty());
  EXPECT_EQ(scrubbed.last.done_bytes, 2 * kLarge + kSize);
  EXPECT_EQ(scrubbed.last.total_bytes, scrubbed.last.done_bytes);
}

TEST_F(RadosUpkeep, AllStoresKnowOfTheLastScrub) {
  Store& before = stores_.Open();
  Store& store = stores_.Open();
  const uint64_t mailbox = store.CreateMailboxAndDomain();
  ASSERT_EQ(stores_.Deliver(store, 1, kSize, {mailbox}), "receipt");
  EXPECT_FALSE(store.engine().LastScrub().has_value());
  // One that is given up is not the last.
  EXPECT_FALSE(Scrub(store, 0, /*go_on=*/false).status.ok());
  EXPECT_FALSE(store.engine().LastScrub().has_value());

  const auto knows = [&](Store& which, uint64_t damages) {
    const auto last = which.engine().LastScrub();
    return last && last->bytes == kSize && last->damages == damages && last->end_us > 0 &&
           last->first_damages.size() == damages;
  };
  ASSERT_TRUE(Scrub(store).status.ok());
  EXPECT_TRUE(knows(store, 0));
  EXPECT_TRUE(Becomes([&] { return knows(before, 0); }));
  for (const std::string& name : Bodies()) Overwrite(name, 7);
  ASSERT_TRUE(Scrub(before).status.ok());
  EXPECT_TRUE(knows(before, 1));
  EXPECT_TRUE(Becomes([&] { return knows(store, 1); }));
  EXPECT_TRUE(knows(stores_.Open(), 1));
}

TEST_F(RadosUpkeep, ScrubNamesObjectOffsetAndAllMessagesThatADamageCosts) {
  Store& store = stores_.Open();
  const std::vector<uint64_t> mailboxes = {store.CreateMailbox(0), store.CreateMailbox(0)};
  for (const uint64_t tx : {1, 2, 3, 4}) {
    ASSERT_EQ(TryToDeliver(store, tx, kLarge, mailboxes), "receipt");
  }
  const auto entries = store.EntriesOf(mailboxes[0]);
  ASSERT_EQ(entries.size(), 4u);
  const auto body = [&](size_t i) { return BodyId{entries[i].body()}; };
  Overwrite(BodyPart(body(0), 0), 3 * kBlockSize + 77);
  Overwrite(BodyObject(body(1)), kBlockSize + 5);
  Remove(BodyObject(body(2)));
  const Scrubbed scrubbed = Scrub(store);
  EXPECT_TRUE(scrubbed.status.ok()) << scrubbed.status;
  // The one that is not there says not whose it was: each mailbox has it found missing.
  ASSERT_EQ(scrubbed.damages.size(), 4u);
  const auto messages = [&](uint64_t uid) {
    return ElementsAre(std::pair(mailboxes[0], uid), std::pair(mailboxes[1], uid));
  };
  const auto file = [](const std::string& object) { return absl::StrCat(cluster::kBodyPool, "/", object); };
  EXPECT_EQ(scrubbed.damages[0].file, file(BodyPart(body(0), 0)));
  EXPECT_EQ(scrubbed.damages[0].offset, 3 * kBlockSize);
  EXPECT_THAT(scrubbed.damages[0].problem, HasSubstr("differ from their checksum"));
  EXPECT_THAT(scrubbed.damages[0].messages, messages(1));
  EXPECT_EQ(scrubbed.damages[1].file, file(BodyObject(body(1))));
  EXPECT_EQ(scrubbed.damages[1].offset, kBlockSize);
  EXPECT_THAT(scrubbed.damages[1].messages, messages(2));
  for (const size_t i : {2, 3}) {
    EXPECT_EQ(scrubbed.damages[i].file, file(BodyObject(body(2))));
    EXPECT_THAT(scrubbed.damages[i].problem, HasSubstr("is not there"));
    EXPECT_THAT(scrubbed.damages[i].messages, ElementsAre(std::pair(mailboxes[i - 2], uint64_t{3})));
  }
}

TEST_F(RadosUpkeep, ScrubNamesTheMessagesOfAShardThatIsLostAndReadsAllOthers) {
  constexpr uint64_t kMessages = 60;
  SpillAlways(&stores_.options);
  Store& store = stores_.Open();
  const uint64_t mailbox = store.CreateMailbox(0), other = store.CreateMailbox(0);
  ShardObjects shards(conf_, namespace_);
  const PartitionId partition = PartitionId::Mailbox(mailbox);
  Shards list;
  std::vector<Range> ranges;
  uint64_t tx = 0;
  ASSERT_TRUE(Becomes([&] {
    while (tx < kMessages) EXPECT_EQ(TryToDeliver(store, ++tx, kSize, {mailbox}), "receipt");
    EXPECT_TRUE(store.Put(partition, {{"row", "that makes it look"}}).ok());
    list = std::make_shared<stored::ShardList>(shards.ListOf(partition));
    ranges.clear();
    for (const Range& range : RangesOf(list, kPortPrefix)) {
      if (range.shard != nullptr) ranges.push_back(range);
    }
    return ranges.size() >= 3;
  }));
  ASSERT_EQ(TryToDeliver(store, 1000, kSize, {other}), "receipt");
  // What the second shard has, and so is lost with it.
  uint64_t first = 0, end = 0;
  for (const stored::Entry& entry : store.EntriesOf(mailbox)) {
    const std::string key = PortKey(engine::EntryKey(entry.uid()));
    if (key < ranges[1].from) first = entry.uid() + 1;
    if (key < ranges[1].to) end = entry.uid() + 1;
  }
  ASSERT_GT(first, 1u);
  ASSERT_LT(first, end);
  ASSERT_LE(end, kMessages);
  const auto body_of = [&](uint64_t of, size_t i) { return BodyId{store.EntriesOf(of)[i].body()}; };
  Overwrite(BodyObject(body_of(mailbox, 0)), 7);
  Overwrite(BodyObject(body_of(mailbox, kMessages - 1)), 7);
  Overwrite(BodyObject(body_of(other, 0)), 7);
  EXPECT_EQ(Scrub(store).damages.size(), 3u);

  shards.Remove(ObjectOf(*ranges[1].shard));
  const Scrubbed scrubbed = Scrub(store);
  EXPECT_TRUE(scrubbed.status.ok()) << scrubbed.status;
  ASSERT_EQ(scrubbed.damages.size(), 4u);
  EXPECT_THAT(scrubbed.damages[0].messages, ElementsAre(std::pair(mailbox, uint64_t{1})));
  EXPECT_EQ(scrubbed.damages[1].file, PartitionObject(partition));
  EXPECT_EQ(scrubbed.damages[1].problem,
            absl::StrCat("object `", ObjectOf(*ranges[1].shard), "` is missing, with ",
                         ranges[1].shard->rows(), " rows of `", PartitionObject(partition), "`: messages of ",
                         store.Read(partition, {}).head->mailbox().address(), " from UID ", first, " to ",
                         end - 1));
  EXPECT_THAT(scrubbed.damages[2].messages, ElementsAre(std::pair(mailbox, kMessages)));
  EXPECT_THAT(scrubbed.damages[3].messages, ElementsAre(std::pair(other, uint64_t{1})));
  EXPECT_EQ(scrubbed.last.done_bytes, (kMessages + 1 - (end - first)) * kSize);
}

TEST_F(RadosUpkeep, ScrubEndsWhenNobodyWaitsForItAndIsTheOnlyOne) {
  Store& store = stores_.Open();
  const uint64_t mailbox = store.CreateMailbox(0);
  for (uint64_t tx = 1; tx <= 3; ++tx) {
    ASSERT_EQ(stores_.Deliver(store, tx, 2'000'000, {mailbox}), "receipt");
  }
  // At this rate it takes five seconds, in which another one is asked for.
  absl::Notification ended;
  store.engine().Scrub(
      1'000'000, [](const engine::UpkeepProgress&) { return true; },
      [&](const absl::Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        ended.Notify();
      });
  EXPECT_TRUE(absl::IsFailedPrecondition(Scrub(store).status));
  EXPECT_FALSE(ended.HasBeenNotified());
  engine::AwaitOrDie(ended);
  EXPECT_TRUE(absl::IsCancelled(Scrub(store, 0, /*go_on=*/false).status));
  EXPECT_TRUE(Scrub(store).status.ok());
}

// --- the dead ----------------------------------------------------------------------

TEST_F(RadosUpkeep, SettlingTakesWhatTheDeadHoldAndNothingOfTheLiving) {
  Store& store = stores_.Open();
  const uint64_t of_dead = store.CreateMailbox(0), of_living = store.CreateMailbox(0);
  ChildStore living(stores_.options);
  ASSERT_EQ(living.Ask(absl::StrCat("reserve 1 ", kSize, " ", of_living)), "confirmed");
  {
    ChildStore dead(stores_.options);
    ASSERT_EQ(dead.Ask(absl::StrCat("reserve 2 ", kSize, " ", of_dead)), "confirmed");
  }
  const auto reserved = [&](uint64_t mailbox) {
    return store.Read(PartitionId::Mailbox(mailbox)).reserved.bytes;
  };
  ASSERT_EQ(reserved(of_dead), kSize);
  engine::SettleProgress last;
  EXPECT_TRUE(engine::Await<absl::Status>([&](auto done) {
                store.engine().SettleDead(
                    [&](engine::SettleProgress progress) {
                      last = progress;
                      return true;
                    },
                    std::move(done));
              }).ok());
  EXPECT_EQ(last.checked_mailboxes, 2u);
  EXPECT_EQ(last.total_mailboxes, 2u);
  EXPECT_EQ(reserved(of_dead), 0u);
  EXPECT_EQ(reserved(of_living), kSize);
  EXPECT_EQ(living.Ask(absl::StrCat("commit 1 ", kSize, " ", of_living)), "receipt");
  stores_.Remember(1, kSize, {of_living});
  stores_.ExpectExact(store, {of_dead});
}

TEST_F(RadosUpkeep, SweepingRemovesWhatNobodyNamesAndSaysHowMuch) {
  Store& store = stores_.Open();
  const uint64_t mailbox = store.CreateMailbox(0);
  ASSERT_EQ(stores_.Deliver(store, 1, kSize, {mailbox}), "receipt");
  // One that is being written by a store that lives, one that was begun, one that is whole.
  const std::unique_ptr<engine::StagedBody> staged = store.Stage(Noise(kLarge, 2));
  const BodyId begun{kNobody + 1}, whole{kNobody + 2};
  Write(BodyPart(begun, 0), std::move(bodies_->NewWrite().Create(true).Write("octets", 0)));
  stored::BodyMeta meta;
  meta.set_size(10);
  meta.set_tail_size(10);
  meta.add_holders(mailbox);
  Write(BodyObject(whole), std::move(bodies_->NewWrite()
                                         .Create(true)
                                         .Write("0123456789", 0)
                                         .SetXattr("seq", Hex(1))
                                         .SetXattr("meta", meta.SerializeAsString())));
  const size_t before = Bodies().size();
  const engine::SweepProgress swept = Sweep(store);
  EXPECT_EQ(swept.removed_bodies, 2u);
  EXPECT_EQ(swept.removed_bytes, 10u);
  EXPECT_EQ(swept.checked_bodies, swept.total_bodies);
  EXPECT_EQ(Bodies().size(), before - 2);
  EXPECT_EQ(Sweep(store).removed_bodies, 0u);
  stores_.ExpectExact(store);
}

}  // namespace
}  // namespace restante::rados
