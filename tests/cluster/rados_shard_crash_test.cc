// Stores that are killed, or sleep, while rows move to shards: each row is there as it was
// written last, and nothing is left over.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/cluster/child_store.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"
#include "tests/cluster/shard_objects.h"

namespace restante::rados {
namespace {

constexpr uint64_t kRows = 120;
// That of the child.
constexpr uint64_t kChilds = 500;

// A step, and how often it is met before.
struct At {
  const char* step;
  int count;
};
void PrintTo(const At& at, std::ostream* out) { *out << at.step << " " << at.count; }

class RadosShardCrash : public cluster::SharedClusterTest, public testing::WithParamInterface<At> {
 protected:
  RadosShardCrash() : stores_(conf_, namespace_), objects_(conf_, namespace_) {
    // Dead after 2.4 seconds.
    stores_.options.life_interval = absl::Milliseconds(400);
    writer_ = &stores_.Open();
    partition_ = PartitionId::Mailbox(writer_->CreateMailbox(0));
    SpillAlways(&stores_.options);

    // There are shards, and some that were replaced; and much that is to move again.
    Options keeping = stores_.options;
    keeping.gone_shards_kept = absl::Minutes(10);
    std::swap(keeping, stores_.options);
    Store& before = stores_.Open();
    std::swap(keeping, stores_.options);
    for (int turn = 0; turn < 3; ++turn) {
      ChangeRows(before, absl::StrCat("turn ", turn));
      EXPECT_TRUE(Becomes([&] { return objects_.OwnRows(partition_) <= stores_.options.spill_rows; }));
    }
    EXPECT_GT(objects_.ListOf(partition_).gone_size(), 0);
    stores_.Close(before);
    ChangeRows(*writer_, "before");
    child_.emplace(stores_.options);
  }

  void Put(Store& store, uint64_t row, const std::string& value) {
    ASSERT_TRUE(store.Put(partition_, {{RowKey(row), value}}).ok());
    model_[RowKey(row)] = value;
  }
  // Gives a third of the rows a new value, a third the value that they had the time before the
  // last, and a third is there every other time.
  void ChangeRows(Store& store, const std::string& value) {
    const bool odd = ++turns_ % 2 == 1;
    for (uint64_t row = 0; row < kRows; row += 3) {
      Put(store, row, value);
      Put(store, row + 1, odd ? "one" : "the other");
      if (odd) {
        Put(store, row + 2, "one");
        continue;
      }
      const std::string erased = RowKey(row + 2);
      ASSERT_TRUE(store
                      .Update(partition_, {},
                              [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                engine::Change change;
                                change.head = *view.head;
                                change.erased = {erased};
                                return change;
                              })
                      .ok());
      model_.erase(erased);
    }
  }
  std::string ChildPuts() { return absl::StrCat("put ", partition_.number, " ", kChilds); }

  void ExpectRows(Store& store) {
    std::map<std::string, std::string> rows;
    for (const auto& [key, value] : store.Scan(partition_, "row/", "row0", 10 * kRows).items)
      rows[key] = value;
    EXPECT_TRUE(rows == model_);
    EXPECT_TRUE(store.Verify().empty());
  }
  // Another store that lets rows spill gets its turn, and takes away what is left over.
  void ExpectSweptBy(Store& store) {
    const uint64_t before = store.engine().Figures()["spills"];
    uint64_t turn = 0;
    EXPECT_TRUE(Becomes([&] {
      ChangeRows(store, absl::StrCat("after ", ++turn));
      return store.engine().Figures()["spills"] > before;
    }));
    ExpectRows(store);
    EXPECT_TRUE(Becomes([&] { return objects_.Strays().empty(); }));
    EXPECT_TRUE(Becomes([&] { return !objects_.ListOf(partition_).has_filling(); }));
    ExpectRows(*writer_);
  }

  Stores stores_;
  ShardObjects objects_;
  Store* writer_ = nullptr;  // Lets nothing spill by itself.
  PartitionId partition_ = PartitionId::Directory();
  std::optional<ChildStore> child_;
  std::map<std::string, std::string> model_;
  int turns_ = 0;
};

TEST_P(RadosShardCrash, KilledStoreLosesNoRowAndLeavesNoShard) {
  ASSERT_TRUE(child_->IsKilledAt(GetParam().step, GetParam().count, ChildPuts()));
  model_[RowKey(kChilds)] = kChildsRow;
  ExpectRows(*writer_);
  ChangeRows(*writer_, "afterwards");
  ExpectRows(*writer_);
  ExpectSweptBy(stores_.Open());
}

TEST_P(RadosShardCrash, StoreThatWakesBringsNoRowBack) {
  ASSERT_TRUE(child_->StopsAt(GetParam().step, GetParam().count, ChildPuts()));
  model_[RowKey(kChilds)] = kChildsRow;
  ChangeRows(*writer_, "meanwhile");
  ExpectRows(*writer_);
  Store& other = stores_.Open();
  ExpectSweptBy(other);
  child_->Continue();
  EXPECT_EQ(child_->Hear(), "ok");
  ExpectRows(*writer_);
  // It is a store like any other.
  EXPECT_EQ(child_->Ask(ChildPuts()), "ok");
  ChangeRows(other, "in the end");
  ExpectSweptBy(other);
}

TEST_P(RadosShardCrash, StoreThatIsSlowGoesOnWhereItStopped) {
  ASSERT_TRUE(child_->StopsAt(GetParam().step, GetParam().count, ChildPuts()));
  model_[RowKey(kChilds)] = kChildsRow;
  ChangeRows(*writer_, "meanwhile");
  child_->Continue();
  EXPECT_EQ(child_->Hear(), "ok");
  ExpectRows(*writer_);
  EXPECT_TRUE(Becomes([&] {
    Put(*writer_, kRows, "more");
    return child_->Ask(ChildPuts()) == "ok" && objects_.OwnRows(partition_) <= stores_.options.spill_rows;
  }));
  ExpectRows(*writer_);
  EXPECT_TRUE(Becomes([&] { return objects_.Strays().empty(); }));
}

using RadosShardEnd = RadosShardCrash;

TEST_P(RadosShardEnd, ShardsOfAMailboxThatEndedAreSwept) {
  ASSERT_FALSE(objects_.NamedBy(partition_).empty());
  ASSERT_TRUE(
      child_->IsKilledAt(GetParam().step, GetParam().count, absl::StrCat("erase ", partition_.number)));
  EXPECT_TRUE(Becomes([&] { return objects_.Strays().empty(); }));
  EXPECT_TRUE(writer_->Verify().empty());
}

INSTANTIATE_TEST_SUITE_P(Steps, RadosShardEnd, testing::Values(At{"updated", 1}),
                         [](const auto& at) { return std::string(at.param.step); });

INSTANTIATE_TEST_SUITE_P(
    Steps, RadosShardCrash,
    testing::Values(At{"gone shards removed", 1}, At{"filling noted", 1}, At{"shard written", 1},
                    At{"shard written", 3}, At{"shards written", 1}, At{"shards named", 1},
                    At{"rows compared", 1}, At{"rows dropped", 1}),
    [](const auto& at) {
      return absl::StrCat(absl::StrReplaceAll(at.param.step, {{" ", "_"}}), "_", at.param.count);
    });

}  // namespace
}  // namespace restante::rados
