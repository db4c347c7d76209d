// Which rows of a partition are where; needs no cluster.
#include "server/engine/rados/shards.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/rados/keys.h"

namespace restante::rados {
namespace {

stored::ShardRange Piece(const std::string& from, uint64_t number, uint64_t rows = 10) {
  stored::ShardRange range;
  range.set_from(from);
  range.set_number(number);
  range.set_rows(number == 0 ? 0 : rows);
  return range;
}

Shards ListOf(const std::vector<stored::ShardRange>& ranges) {
  auto list = std::make_shared<stored::ShardList>();
  list->mutable_ranges()->Assign(ranges.begin(), ranges.end());
  return list;
}

// As in "b/:1 k/:0".
std::string Describe(const stored::ShardList& list) {
  std::string text;
  for (const stored::ShardRange& range : list.ranges()) {
    absl::StrAppend(&text, text.empty() ? "" : " ", range.from(), ":", range.number());
  }
  return text;
}

TEST(ShardsTest, EveryValueIsAnotherRowThanTheTombstone) {
  for (const std::string& value :
       {std::string(), std::string(1, '\0'), std::string("\0\0a", 3), std::string("a")}) {
    for (const std::string& key : {PortKey("m/1"), ReferenceKey(BodyId{7})}) {
      EXPECT_NE(ToRow(key, value), kTombstone);
      EXPECT_EQ(FromRow(key, ToRow(key, value)), value);
    }
  }
  EXPECT_EQ(FromRow(PortKey("m/1"), kTombstone), std::nullopt);
  // What stays in the object is written as it is.
  EXPECT_EQ(ToRow(DroppedKey(BodyId{7}), ""), "");
  EXPECT_EQ(FromRow(DroppedKey(BodyId{7}), ""), "");
}

TEST(ShardsTest, RangesOfAPrefixCoverAllItsKeysAndNoOthers) {
  const Shards shards = ListOf({Piece("k/", 1), Piece("k/m", 2), Piece("k/p", 0)});
  EXPECT_EQ(RangeOf(shards, "k/").shard->number(), 1u);
  EXPECT_EQ(RangeOf(shards, "k/lz").shard->number(), 1u);
  EXPECT_EQ(RangeOf(shards, "k/m").shard->number(), 2u);
  EXPECT_EQ(RangeOf(shards, "k/m").to, "k/p");
  EXPECT_EQ(RangeOf(shards, "k/q").shard, nullptr);
  EXPECT_EQ(RangeOf(shards, "k/q").to, "k0");
  // Before and behind.
  EXPECT_EQ(RangeOf(shards, "b/1").shard, nullptr);
  EXPECT_EQ(RangeOf(shards, "b/1").to, "k/");
  EXPECT_EQ(RangeOf(shards, "q/1").shard, nullptr);
  EXPECT_EQ(RangesOf(shards, "k/").size(), 3u);
  ASSERT_EQ(RangesOf(shards, "b/").size(), 1u);
  EXPECT_EQ(RangesOf(shards, "b/")[0].to, "b0");
}

TEST(ShardsTest, PiecesTakeThePlaceOfTheRangesThatTheyCover) {
  stored::ShardList list;
  Replace("k/", "k0", {Piece("k/", 1), Piece("k/m", 2), Piece("k/z", 0)}, 5, &list);
  EXPECT_EQ(Describe(list), "k/:1 k/m:2 k/z:0");
  Replace("b/", "b0", {Piece("b/", 3), Piece("b/9", 0)}, 5, &list);
  EXPECT_EQ(Describe(list), "b/:3 b/9:0 k/:1 k/m:2 k/z:0");
  EXPECT_EQ(list.gone_size(), 0);
  Replace("k/m", "k/z", {Piece("k/m", 4), Piece("k/p", 5)}, 6, &list);
  EXPECT_EQ(Describe(list), "b/:3 b/9:0 k/:1 k/m:4 k/p:5 k/z:0");
  ASSERT_EQ(list.gone_size(), 1);
  EXPECT_EQ(list.gone(0).number(), 2u);
  EXPECT_EQ(list.gone(0).since_s(), 6u);
}

TEST(ShardsTest, NeighboursWithoutAShardAreOneRange) {
  stored::ShardList list;
  Replace("k/", "k0", {Piece("k/", 1), Piece("k/m", 2), Piece("k/z", 0)}, 5, &list);
  Replace("k/m", "k/z", {Piece("k/m", 0)}, 5, &list);
  EXPECT_EQ(Describe(list), "k/:1 k/m:0");
  Replace("b/", "b0", {Piece("b/", 0)}, 5, &list);
  EXPECT_EQ(Describe(list), "b/:0 k/:1 k/m:0");
  Replace("k/", "k/m", {Piece("k/", 0)}, 5, &list);
  EXPECT_EQ(Describe(list), "b/:0 k/:0");
}

TEST(ShardsTest, ErasedKeyLeavesATombstoneWhereAShardHasItOrIsBeingMade) {
  stored::ShardList list;
  Replace("k/", "k0", {Piece("k/", 1), Piece("k/m", 0)}, 5, &list);
  EXPECT_TRUE(LeavesTombstone(std::make_shared<stored::ShardList>(list), "k/a"));
  EXPECT_FALSE(LeavesTombstone(std::make_shared<stored::ShardList>(list), "k/m"));
  EXPECT_FALSE(LeavesTombstone(nullptr, "k/a"));
  list.mutable_filling()->set_number(9);
  list.mutable_filling()->set_from("k/m");
  list.mutable_filling()->set_to("k0");
  EXPECT_TRUE(LeavesTombstone(std::make_shared<stored::ShardList>(list), "k/m"));
  EXPECT_FALSE(LeavesTombstone(std::make_shared<stored::ShardList>(list), "b/1"));
  EXPECT_FALSE(LeavesTombstone(std::make_shared<stored::ShardList>(list), "x/1"));
}

TEST(ShardsTest, DamagedListIsNotTakenForNone) {
  ObjectRead read;
  EXPECT_EQ(ShardsIn(read), std::make_optional(Shards()));
  read.xattrs[kShardsXattr] = "\xff";
  EXPECT_EQ(ShardsIn(read), std::nullopt);
}

TEST(ShardsTest, ChecksumKnowsWhereAKeyEnds) {
  stored::ShardRange one, other;
  Count("ab", "c", &one);
  Count("a", "bc", &other);
  EXPECT_EQ(one.octets(), other.octets());
  EXPECT_NE(one.crc32c(), other.crc32c());
}

}  // namespace
}  // namespace restante::rados
