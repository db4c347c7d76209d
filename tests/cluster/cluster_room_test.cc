// What a manager's report says of a cluster's room; needs no cluster.
#include "server/engine/rados/cluster_room.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace restante::rados {
namespace {

google::protobuf::Value Json(const char* text) {
  google::protobuf::Value value;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(text, &value).ok());
  return value;
}

constexpr char kMap[] =
    R"({"full_ratio": 0.95, "nearfull_ratio": 0.85, "pools": [
        {"pool_name": "index", "size": 3}, {"pool_name": "body", "size": 3}]})";
const RoomPools kPools = {.index = "index", .body = "body"};

TEST(ClusterRoomTest, RoomEndsBelowNearfullOfTheFullestOsd) {
  const auto room = RoomOf(Json(R"({"stats": {"total_bytes": 30000}, "pools": [
                                    {"name": "other", "stats": {"stored": 1, "max_avail": 1}},
                                    {"name": "index", "stats": {"stored": 1, "max_avail": 7000}},
                                    {"name": "body", "stats": {"stored": 2000, "max_avail": 7000}}]})"),
                           Json(kMap), kPools);
  ASSERT_TRUE(room.ok()) << room.status();
  EXPECT_EQ(room->used, 2000u);
  // Of 10,000 for each copy, 15 percent between the mark and full.
  EXPECT_NEAR(static_cast<double>(room->limit), 2000 + 7000 - 1500, 1);
}

TEST(ClusterRoomTest, RoomEndsBelowAQuotaOfThePool) {
  const char kWithQuota[] = R"({"full_ratio": 0.95, "nearfull_ratio": 0.85, "pools": [
                                {"pool_name": "index", "size": 3},
                                {"pool_name": "body", "size": 3, "quota_max_bytes": 4000}]})";
  const auto room = RoomOf(Json(R"({"stats": {"total_bytes": 30000}, "pools": [
                                    {"name": "index", "stats": {"stored": 1, "max_avail": 7000}},
                                    {"name": "body", "stats": {"stored": 2000, "max_avail": 7000}}]})"),
                           Json(kWithQuota), kPools);
  ASSERT_TRUE(room.ok()) << room.status();
  EXPECT_NEAR(static_cast<double>(room->limit), 3800, 1);
}

TEST(ClusterRoomTest, FullClusterHasNoRoom) {
  const auto room = RoomOf(Json(R"({"stats": {"total_bytes": 30000}, "pools": [
                                    {"name": "index", "stats": {"stored": 1, "max_avail": 7000}},
                                    {"name": "body", "stats": {"stored": 9000, "max_avail": 0}}]})"),
                           Json(kMap), kPools);
  ASSERT_TRUE(room.ok()) << room.status();
  EXPECT_EQ(room->limit, room->used);
}

TEST(ClusterRoomTest, FullIndexLeavesNoRoomForBodies) {
  const auto room = RoomOf(Json(R"({"stats": {"total_bytes": 30000}, "pools": [
                                    {"name": "index", "stats": {"stored": 1, "max_avail": 1499}},
                                    {"name": "body", "stats": {"stored": 2000, "max_avail": 7000}}]})"),
                           Json(kMap), kPools);
  ASSERT_TRUE(room.ok()) << room.status();
  EXPECT_EQ(room->limit, room->used);
}

TEST(ClusterRoomTest, PoolThatIsMarkedFullHasNoRoomWhateverIsFree) {
  const char kFull[] = R"({"full_ratio": 0.95, "nearfull_ratio": 0.85, "pools": [
                           {"pool_name": "index", "size": 3, "flags_names": "hashpspool,nearfull"},
                           {"pool_name": "body", "size": 3, "flags_names": "hashpspool,full"}]})";
  const auto room = RoomOf(Json(R"({"stats": {"total_bytes": 30000}, "pools": [
                                    {"name": "index", "stats": {"stored": 1, "max_avail": 7000}},
                                    {"name": "body", "stats": {"stored": 2000, "max_avail": 7000}}]})"),
                           Json(kFull), kPools);
  ASSERT_TRUE(room.ok()) << room.status();
  EXPECT_EQ(room->limit, room->used);
}

TEST(ClusterRoomTest, WithoutAManagerNothingIsKnown) {
  const auto room = RoomOf(Json(R"({"stats": {"total_bytes": 0}, "pools": [
                                    {"name": "body", "stats": {"stored": 0, "max_avail": 0}}]})"),
                           Json(kMap), kPools);
  EXPECT_EQ(room.status().code(), absl::StatusCode::kUnavailable);
}

TEST(ClusterRoomTest, NewPoolThatIsNotReportedYetIsNotFull) {
  const auto room = RoomOf(Json(R"({"stats": {"total_bytes": 30000}, "pools": []})"), Json(kMap), kPools);
  EXPECT_EQ(room.status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace restante::rados
