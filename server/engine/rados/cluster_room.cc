#include "server/engine/rados/cluster_room.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/mon_command.h"

namespace restante::rados {
namespace {

using google::protobuf::Value;

constexpr absl::Duration kInterval = absl::Seconds(2);
// A manager's report is older than that many questions.
constexpr size_t kReportsBehind = 3;
constexpr int64_t kMapLifetime_us = 10'000'000;
constexpr int64_t kRoomLifetime_us = 60'000'000;
// How far below `nearfull`, or a pool's quota, the store is full, in parts of the whole.
constexpr double kBelowNearfull = 0.05;

double NumberIn(const Value& object, const char* name) { return MemberOf(object, name).number_value(); }

const Value& PoolIn(const Value& answer, const char* key, const std::string& pool) {
  for (const Value& one : MemberOf(answer, "pools").list_value().values()) {
    if (MemberOf(one, key).string_value() == pool) return one;
  }
  return Value::default_instance();
}

bool IsFull(const Value& pool) {
  const std::vector<absl::string_view> flags =
      absl::StrSplit(MemberOf(pool, "flags_names").string_value(), ',');
  return std::find(flags.begin(), flags.end(), "full") != flags.end();
}

absl::StatusOr<Room> RoomOfPool(const Value& df, const Value& osd_dump, const std::string& name) {
  const double total = NumberIn(MemberOf(df, "stats"), "total_bytes");
  const Value& stats = MemberOf(PoolIn(df, "name", name), "stats");
  const Value& pool = PoolIn(osd_dump, "pool_name", name);
  const double copies = NumberIn(pool, "size");
  // A new pool is not in the report for some seconds: that is no pool without room.
  if (total <= 0 || copies <= 0 || !stats.has_struct_value()) {
    return absl::UnavailableError(
        absl::StrCat("the cluster reports no room for pool `", name, "`: does a manager (ceph-mgr) run?"));
  }
  const double used = NumberIn(stats, "stored");
  // What fits until the fullest OSD is full, and what of that is to stay free.
  const double available = NumberIn(stats, "max_avail");
  const double spared = std::max(0.0, NumberIn(osd_dump, "full_ratio") -
                                          NumberIn(osd_dump, "nearfull_ratio") + kBelowNearfull) *
                        total / copies;
  double limit = used + std::max(0.0, available - spared);
  // A quota of the pool acts some seconds late, and on what was promised, too.
  const double quota = NumberIn(pool, "quota_max_bytes");
  if (quota > 0) limit = std::min(limit, quota * (1 - kBelowNearfull));
  // One full OSD makes all pools full, also those that have nothing on it.
  if (IsFull(pool)) limit = std::min(limit, used);
  Room room;
  room.used = static_cast<uint64_t>(std::max(0.0, used));
  room.limit = static_cast<uint64_t>(limit);
  return room;
}

}  // namespace

absl::StatusOr<Room> RoomOf(const Value& df, const Value& osd_dump, const RoomPools& pools) {
  ASSIGN_OR_RETURN(Room room, RoomOfPool(df, osd_dump, pools.body));
  ASSIGN_OR_RETURN(const Room index, RoomOfPool(df, osd_dump, pools.index));
  // What the index still takes is for what was promised.
  if (index.used >= index.limit) room.limit = room.used;
  return room;
}

ClusterRoom::ClusterRoom(Cluster* cluster, RoomPools pools, std::function<int64_t()> stored)
    : cluster_(cluster), pools_(std::move(pools)), stored_(std::move(stored)), thread_([this] { Run(); }) {}

ClusterRoom::~ClusterRoom() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.Changed();
  }
  thread_.join();
}

absl::StatusOr<Room> ClusterRoom::Get() const {
  const int64_t stored = stored_();
  absl::MutexLock lock(&mutex_);
  if (!room_ || Clock::System()->MonotonicMicros() - room_us_ > kRoomLifetime_us) return why_;
  Room room = *room_;
  room.used += static_cast<uint64_t>(std::max<int64_t>(0, stored - stored_at_.front()));
  return room;
}

absl::StatusOr<Room> ClusterRoom::Ask() {
  const int64_t now = Clock::System()->MonotonicMicros();
  if (osd_dump_us_ == 0 || now - osd_dump_us_ > kMapLifetime_us) {
    ASSIGN_OR_RETURN(osd_dump_, MonCommand(*cluster_, "osd dump", ""));
    osd_dump_us_ = now;
  }
  ASSIGN_OR_RETURN(const Value df, MonCommand(*cluster_, "df", ""));
  return RoomOf(df, osd_dump_, pools_);
}

void ClusterRoom::Run() {
  while (true) {
    absl::StatusOr<Room> room = Ask();
    const int64_t stored = stored_();
    absl::MutexLock lock(&mutex_);
    if (room.ok()) {
      room_ = *room;
      room_us_ = Clock::System()->MonotonicMicros();
      stored_at_.push_back(stored);
      if (stored_at_.size() > kReportsBehind) stored_at_.pop_front();
    } else {
      why_ = absl::UnavailableError(room.status().message());
    }
    if (changed_.AwaitFor(&mutex_, kInterval, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stopped_; }))
      return;
  }
}

}  // namespace restante::rados
