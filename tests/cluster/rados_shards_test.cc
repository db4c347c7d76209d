// Partitions whose rows move to shards: nobody sees that they do.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/engine/rados/shard_reader.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"
#include "tests/cluster/shard_objects.h"

namespace restante::rados {
namespace {

using engine::EntryKey;

using Model = std::map<std::string, std::string>;

class RadosShards : public cluster::SharedClusterTest {
 protected:
  RadosShards() : stores_(conf_, namespace_), objects_(conf_, namespace_) {
    SpillAlways(&stores_.options);
    one_ = &stores_.Open();
    partition_ = PartitionId::Mailbox(one_->CreateMailbox(0));
  }

  static uint64_t SpillsOf(Store& store) { return store.engine().Figures()["spills"]; }
  // Puts rows [from, to), a few at once, as mail comes.
  void PutRows(uint64_t from, uint64_t to, const std::string& value) {
    for (uint64_t row = from; row < to; row += 10) {
      std::vector<std::pair<std::string, std::string>> rows;
      for (uint64_t i = row; i < std::min(row + 10, to); ++i) rows.emplace_back(RowKey(i), value);
      for (const auto& [key, of] : rows) model_[key] = of;
      ASSERT_TRUE(one_->Put(partition_, std::move(rows)).ok());
    }
  }
  absl::Status Erase(Store& store, std::vector<std::string> keys) {
    return store.Update(partition_, {}, [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
      engine::Change change;
      change.head = *view.head;
      change.erased = keys;
      return change;
    });
  }
  // Until most rows are in shards. It is at a write that this is looked at.
  void AwaitSpilled() {
    EXPECT_TRUE(Becomes([&] {
      EXPECT_TRUE(one_->Put(partition_, {{RowKey(0), model_[RowKey(0)]}}).ok());
      return objects_.OwnRows(partition_) <= stores_.options.spill_rows;
    }));
  }
  // All rows but messages, page by page.
  Model RowsOf(Store& store, size_t limit) {
    Model rows;
    std::string from;
    while (true) {
      const engine::ScanPage page = store.Scan(partition_, from, "", limit);
      for (const auto& [key, value] : page.items) {
        EXPECT_TRUE(rows.emplace(key, value).second) << key << " came twice";
      }
      if (!page.more) return rows;
      from = page.items.back().first + '\0';
    }
  }

  Stores stores_;
  ShardObjects objects_;
  Store* one_ = nullptr;
  PartitionId partition_ = PartitionId::Directory();
  Model model_;
};

TEST_F(RadosShards, RowsThatSpilledAreReadAsIfTheyHadNot) {
  PutRows(0, 200, "first");
  AwaitSpilled();
  EXPECT_GE(objects_.NamedBy(partition_).size(), 8u);
  EXPECT_TRUE(RowsOf(*one_, 7) == model_);
  EXPECT_TRUE(RowsOf(*one_, 5000) == model_);
  const auto read = one_->Read(partition_, {RowKey(3), RowKey(199), RowKey(200)});
  EXPECT_EQ(read.values.size(), 2u);
  // And changed.
  PutRows(50, 60, "second");
  ASSERT_TRUE(Erase(*one_, {RowKey(3), RowKey(51), RowKey(300)}).ok());
  model_.erase(RowKey(3));
  model_.erase(RowKey(51));
  EXPECT_TRUE(RowsOf(*one_, 7) == model_);
  EXPECT_TRUE(one_->Read(partition_, {RowKey(3), RowKey(51)}).values.empty());
  EXPECT_TRUE(RowsOf(stores_.Open(), 9) == model_);
}

TEST_F(RadosShards, ValuesOfAllKindsSurvive) {
  const std::vector<std::string> values = {"", std::string(1, '\0'), std::string("\0a", 2), "a",
                                           std::string(2000, 'x')};
  for (uint64_t row = 0; row < 100; ++row) {
    const std::string key = row % 10 == 0 ? RowKey(row) + std::string("\0\1\2", 3) : RowKey(row);
    model_[key] = values[row % values.size()];
    ASSERT_TRUE(one_->Put(partition_, {{key, model_[key]}}).ok());
  }
  AwaitSpilled();
  EXPECT_FALSE(objects_.NamedBy(partition_).empty());
  EXPECT_TRUE(RowsOf(*one_, 3) == model_);
}

TEST_F(RadosShards, KeyThatIsAskedForTwiceIsThere) {
  PutRows(0, 5, "row");
  EXPECT_EQ(one_->Read(partition_, {RowKey(3), RowKey(3)}).values.size(), 1u);
}

TEST_F(RadosShards, GrowthAtTheEndWritesNoShardTwice) {
  PutRows(0, 100, "row");
  AwaitSpilled();
  std::set<std::string> before = objects_.NamedBy(partition_);
  EXPECT_FALSE(before.empty());
  for (uint64_t row = 100; row < 400; row += 50) {
    PutRows(row, row + 50, "row");
    AwaitSpilled();
    const std::set<std::string> now = objects_.NamedBy(partition_);
    EXPECT_TRUE(std::includes(now.begin(), now.end(), before.begin(), before.end()));
    before = now;
  }
  EXPECT_EQ(objects_.ListOf(partition_).gone_size(), 0);
}

TEST_F(RadosShards, ShardsThatEmptyAreGivenUp) {
  PutRows(0, 300, "row");
  AwaitSpilled();
  const size_t before = objects_.NamedBy(partition_).size();
  for (uint64_t row = 0; row < 290; row += 10) {
    std::vector<std::string> keys;
    for (uint64_t i = row; i < row + 10; ++i) {
      keys.push_back(RowKey(i));
      model_.erase(RowKey(i));
    }
    ASSERT_TRUE(Erase(*one_, keys).ok());
  }
  AwaitSpilled();
  EXPECT_LT(objects_.NamedBy(partition_).size(), before / 2);
  EXPECT_TRUE(RowsOf(*one_, 100) == model_);
  // Readers have had the time that they are given.
  EXPECT_TRUE(Becomes([&] { return objects_.ListOf(partition_).gone_size() == 0; }));
  EXPECT_TRUE(objects_.Strays().empty());
}

TEST_F(RadosShards, PartitionThatEndsTakesItsShardsWithIt) {
  PutRows(0, 200, "row");
  AwaitSpilled();
  EXPECT_FALSE(objects_.NamedBy(partition_).empty());
  ASSERT_TRUE(one_->ErasePartition(partition_).ok());
  EXPECT_TRUE(Becomes([&] { return objects_.Strays().empty(); }));
  EXPECT_FALSE(one_->Read(partition_, {RowKey(1)}).head);
  EXPECT_TRUE(RowsOf(*one_, 100).empty());
}

TEST_F(RadosShards, ReaderWhoseShardWasReplacedAndRemovedGoesOnInTheNewOne) {
  PutRows(0, 200, "first");
  AwaitSpilled();
  RowScan scan(objects_.pool(), PartitionObject(partition_), PortKey(""), EndOf(kPortPrefix), 30);
  Rows rows, next;
  ASSERT_TRUE(*Wait<absl::StatusOr<bool>>(scan.Next(&rows)));
  const std::set<std::string> before = objects_.NamedBy(partition_);
  const Shards old = std::make_shared<stored::ShardList>(objects_.ListOf(partition_));

  // All values change, until most shards were replaced and are gone.
  std::string value;
  std::vector<std::string> gone;
  ASSERT_TRUE(Becomes([&] {
    value += "again ";
    PutRows(0, 200, value);
    AwaitSpilled();
    const std::set<std::string> all = objects_.All();
    gone.clear();
    std::set_difference(before.begin(), before.end(), all.begin(), all.end(), std::back_inserter(gone));
    return gone.size() > before.size() / 2;
  }));
  while (*Wait<absl::StatusOr<bool>>(scan.Next(&next))) rows.insert(rows.end(), next.begin(), next.end());
  ASSERT_EQ(rows.size(), 200u);
  for (uint64_t row = 0; row < 200; ++row) EXPECT_EQ(rows[row].first, PortKey(RowKey(row)));
  EXPECT_EQ(rows.back().second, value);
  // Whoever has only the old list is told so.
  const auto lost =
      std::find_if(old->ranges().begin(), old->ranges().end(),
                   [&](const stored::ShardRange& range) { return ObjectOf(range) == gone.back(); });
  ASSERT_NE(lost, old->ranges().end());
  std::map<std::string, std::optional<std::string>> values;
  EXPECT_TRUE(absl::IsAborted(Wait<absl::Status>(
      FindRows(objects_.pool(), PartitionObject(partition_), old, {lost->from()}, {}, &values))));
}

TEST_F(RadosShards, ShardThatIsLostIsNamedAndTheRestGoesOn) {
  const uint64_t mailbox = partition_.number, other = one_->CreateMailbox(0);
  PutRows(0, 200, "row");
  AwaitSpilled();
  EXPECT_TRUE(one_->Verify().empty());
  const Shards list = std::make_shared<stored::ShardList>(objects_.ListOf(partition_));
  const Range lost = RangeOf(list, PortKey(RowKey(1)));
  ASSERT_NE(lost.shard, nullptr);
  objects_.Remove(ObjectOf(*lost.shard));

  const auto read = engine::Await<absl::StatusOr<engine::ReadResult>>(
      [&](auto done) { one_->engine().Read(partition_, {RowKey(1)}, std::move(done)); });
  EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
  EXPECT_NE(read.status().message().find(ObjectOf(*lost.shard)), std::string::npos) << read.status();
  EXPECT_EQ(one_->Read(partition_, {RowKey(199)}).values.size(), 1u);
  EXPECT_EQ(one_->Verify(), std::vector<std::string>{absl::StrCat(
                                "mailbox partition ", mailbox, ": object `", ObjectOf(*lost.shard),
                                "` is missing, with ", lost.shard->rows(), " rows")});
  // Mail still comes, here and elsewhere.
  EXPECT_EQ(TryToDeliver(*one_, 1, 100, {mailbox, other}), "receipt");
  EXPECT_EQ(one_->EntriesOf(other).size(), 1u);
}

// --- two stores --------------------------------------------------------------------

TEST_F(RadosShards, TwoStoresThatSpillReadWhatWasWrittenLast) {
  constexpr uint64_t kRacers = 8, kRows = 60, kSteps = 250;
  Store* const other = &stores_.Open();
  PutRows(0, 10, "none of theirs");
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::vector<Model> models(kRacers);
  Race(kRacers, [&](uint64_t racer) {
    std::mt19937_64 random(seed + racer);
    Model& model = models[racer - 1];
    // Nobody else changes its rows, which lie among those of all.
    const auto key = [&] { return RowKey(1000 + random() % kRows * kRacers + racer); };
    const auto is_own = [&](const std::string& of) {
      const uint64_t row = std::stoull(of.substr(4));
      return row >= 1000 && row % kRacers == racer % kRacers;
    };
    for (uint64_t step = 0; step < kSteps; ++step) {
      Store& store = random() % 2 == 0 ? *one_ : *other;
      const uint64_t what = random() % 10;
      if (what < 5) {
        std::map<std::string, std::string> rows;
        for (uint64_t i = 0; i <= random() % 8; ++i) {
          rows[key()] = random() % 4 == 0 ? "" : absl::StrCat("step ", random() % 3);
        }
        ASSERT_TRUE(store.Put(partition_, {rows.begin(), rows.end()}).ok());
        for (const auto& [of, value] : rows) model[of] = value;
      } else if (what < 8) {
        std::set<std::string> keys;
        for (uint64_t i = 0; i <= random() % 8; ++i) keys.insert(key());
        ASSERT_TRUE(Erase(store, {keys.begin(), keys.end()}).ok());
        for (const std::string& of : keys) model.erase(of);
      } else if (what < 9) {
        const std::vector<std::string> keys = {key(), key(), key()};
        const auto read = store.Read(partition_, keys);
        for (const std::string& of : keys) {
          const auto expected = model.find(of);
          const auto found = read.values.find(of);
          ASSERT_EQ(found != read.values.end(), expected != model.end()) << of << ", step " << step;
          if (expected != model.end()) {
            ASSERT_EQ(found->second, expected->second) << of;
          }
        }
      } else {
        const std::string from = key();
        const engine::ScanPage page = store.Scan(partition_, from, "row0", 100);
        Model own;
        for (const auto& [of, value] : page.items) {
          if (is_own(of)) own[of] = value;
        }
        const auto end = page.more ? model.upper_bound(page.items.back().first) : model.end();
        ASSERT_TRUE(own == Model(model.lower_bound(from), end)) << "from " << from << ", step " << step;
      }
    }
  });
  for (const Model& model : models) model_.insert(model.begin(), model.end());
  EXPECT_TRUE(RowsOf(*one_, 50) == model_);
  EXPECT_TRUE(RowsOf(*other, 1000) == model_);
  EXPECT_GT(SpillsOf(*one_) + SpillsOf(*other), 10u);
  EXPECT_TRUE(one_->Verify().empty());
  // What they have replaced goes.
  EXPECT_TRUE(Becomes([&] {
    EXPECT_TRUE(one_->Put(partition_, {{RowKey(0), absl::StrCat(SpillsOf(*one_))}}).ok());
    return objects_.ListOf(partition_).gone_size() == 0;
  }));
  EXPECT_TRUE(objects_.Strays().empty());
}

TEST_F(RadosShards, FlagsAndExpungesRaceWithSpillsAndEachIsReadAsItIs) {
  constexpr uint64_t kRacers = 6, kSteps = 100, kSize = 100;
  Store* const other = &stores_.Open();
  const uint64_t mailbox = one_->CreateMailboxAndDomain();
  partition_ = PartitionId::Mailbox(mailbox);
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::atomic<uint64_t> expunged = 0, next = 0;
  Race(kRacers, [&](uint64_t racer) {
    std::mt19937_64 random(seed + racer);
    struct Message {
      uint64_t tx;
      uint32_t flags;
    };
    std::map<uint64_t, Message> messages;  // By UID.
    for (uint64_t step = 0; step < kSteps; ++step) {
      Store& store = random() % 2 == 0 ? *one_ : *other;
      if (messages.empty() || random() % 2 == 0) {
        const uint64_t tx = ++next;
        store.MakeReady(tx, kSize, {mailbox});
        const auto receipt = store.Commit(tx, engine::Noise(kSize, tx), {mailbox});
        ASSERT_TRUE(receipt.ok()) << receipt.status();
        stores_.Remember(tx, kSize, {mailbox});
        messages[receipt->recipients(0).uid()] = {.tx = tx, .flags = 0};
        continue;
      }
      const auto message =
          std::next(messages.begin(), static_cast<std::ptrdiff_t>(random() % messages.size()));
      const auto [uid, was] = *message;
      const std::string key = EntryKey(uid);
      const engine::ReadResult read = store.Read(partition_, {key});
      ASSERT_EQ(read.values.count(key), 1u) << "UID " << uid;
      stored::Entry entry;
      ASSERT_TRUE(entry.ParseFromString(read.values.at(key)));
      ASSERT_EQ(entry.flags(), was.flags) << "UID " << uid;
      if (random() % 3 == 0) {
        ASSERT_TRUE(store.Expunge(mailbox, uid).ok());
        stores_.Forget(was.tx, mailbox);
        messages.erase(message);
        ASSERT_TRUE((random() % 2 == 0 ? *one_ : *other).Read(partition_, {key}).values.empty())
            << "UID " << uid;
        ++expunged;
      } else {
        message->second.flags = static_cast<uint32_t>(random() % 4);
        entry.set_flags(message->second.flags);
        ASSERT_TRUE(store.Put(partition_, {{key, entry.SerializeAsString()}}).ok());
      }
    }
  });
  EXPECT_GT(expunged, 0u);
  EXPECT_GT(SpillsOf(*one_) + SpillsOf(*other), 10u);
  stores_.ExpectExact(*one_);
}

// --- size --------------------------------------------------------------------------

class RadosLargeMailbox : public cluster::SharedClusterTest {
 protected:
  RadosLargeMailbox() : stores_(conf_, namespace_), objects_(conf_, namespace_), store_(stores_.Open()) {}

  // `count` entries more that name the same body as the first.
  absl::Status CopyFirst(uint64_t mailbox, uint64_t count) {
    stored::Entry first;
    if (!first.ParseFromString(
            store_.Read(PartitionId::Mailbox(mailbox), {EntryKey(1)}).values[EntryKey(1)])) {
      return absl::DataLossError("the first entry");
    }
    return store_.Update(PartitionId::Mailbox(mailbox), {},
                         [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                           engine::Change change;
                           change.head = *view.head;
                           stored::MailboxHead& head = *change.head.mutable_mailbox();
                           for (uint64_t i = 0; i < count; ++i) {
                             stored::Entry entry = first;
                             entry.set_uid(head.uid_next());
                             entry.set_modseq(head.highest_modseq() + 1);
                             head.set_uid_next(head.uid_next() + 1);
                             head.set_highest_modseq(entry.modseq());
                             head.set_used_bytes(head.used_bytes() + entry.size());
                             head.set_used_messages(head.used_messages() + 1);
                             change.puts.emplace_back(EntryKey(entry.uid()), entry.SerializeAsString());
                             change.added_bodies.push_back(engine::BodyId{entry.body()});
                           }
                           return change;
                         });
  }
  // How many milliseconds each takes, the middle of some, in turn.
  static std::vector<double> Times(const std::vector<std::function<void()>>& runs) {
    constexpr size_t kRounds = 21;
    std::vector<std::vector<double>> times(runs.size());
    for (size_t i = 0; i < kRounds * runs.size(); ++i) {
      const absl::Time start = absl::Now();
      runs[i % runs.size()]();
      times[i % runs.size()].push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    }
    std::vector<double> middles;
    for (std::vector<double>& of : times) {
      std::sort(of.begin(), of.end());
      middles.push_back(of[kRounds / 2]);
    }
    return middles;
  }

  Stores stores_;
  ShardObjects objects_;
  Store& store_;
};

TEST_F(RadosLargeMailbox, HundredThousandMessagesLeaveTheObjectSmall) {
  constexpr uint64_t kMessages = 100'000, kAtOnce = 500, kOwnAtMost = 25'000;
  const uint64_t mailbox = store_.CreateMailboxAndDomain(), empty = store_.CreateMailboxAndDomain();
  const PartitionId partition = PartitionId::Mailbox(mailbox);
  ASSERT_EQ(TryToDeliver(store_, 1, 100, {mailbox}), "receipt");
  uint64_t own = 0;
  for (uint64_t messages = 1; messages < kMessages; messages += kAtOnce) {
    ASSERT_TRUE(CopyFirst(mailbox, std::min(kAtOnce, kMessages - messages)).ok());
    own += kAtOnce;
    if (own < stores_.options.spill_rows) continue;
    // Mail would not come as fast as it does here.
    ASSERT_TRUE(Becomes([&] { return (own = objects_.OwnRows(partition)) <= stores_.options.spill_rows; }));
  }
  EXPECT_EQ(store_.HeadOf(mailbox).used_messages(), kMessages);
  EXPECT_LT(objects_.OwnRows(partition), kOwnAtMost);
  EXPECT_GE(objects_.NamedBy(partition).size(), (kMessages - kOwnAtMost) / stores_.options.shard_rows);

  uint64_t tx = 1;
  const auto deliver_to = [&](uint64_t to) {
    return [&, to] { EXPECT_EQ(TryToDeliver(store_, ++tx, 100, {to}), "receipt"); };
  };
  // What is measured is not what still moves.
  EXPECT_TRUE(Becomes([&] {
    const uint64_t before = own;
    own = objects_.OwnRows(partition);
    return own == before;
  }));
  const std::vector<double> times =
      Times({deliver_to(mailbox), deliver_to(empty),
             [&] { EXPECT_EQ(store_.Scan(partition, EntryKey(40'000), "m0", 1000).items.size(), 1000u); },
             [&] { EXPECT_EQ(store_.Read(partition, {EntryKey(50'000)}).values.size(), 1u); }});
  std::printf(
      "of %llu messages: a delivery takes %.2f times as long as one into an empty mailbox (%.1f ms), listing "
      "1,000 takes %.1f ms, reading an entry %.1f ms\n",
      static_cast<unsigned long long>(kMessages), times[0] / times[1], times[1], times[2], times[3]);
  EXPECT_TRUE(store_.Verify().empty());
}

}  // namespace
}  // namespace restante::rados
