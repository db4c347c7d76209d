#include "server/engine/rados/pool_check.h"

#include <google/protobuf/struct.pb.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status_macros.h"
#include "server/engine/rados/keys.h"
#include "server/engine/rados/mon_command.h"

namespace restante::rados {
namespace {

using google::protobuf::Value;

absl::Status Wrong(const std::string& pool, const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat("pool `", pool, "`: ", what));
}

// Of how many pieces of an object any will do.
absl::StatusOr<uint32_t> PiecesNeeded(Cluster& cluster, const PoolFacts& facts) {
  if (facts.replicated) return 1;
  ASSIGN_OR_RETURN(const Value answer,
                   MonCommand(cluster, "osd erasure-code-profile get", JsonText("name", facts.profile)));
  uint32_t pieces = 0;
  if (!absl::SimpleAtoi(MemberOf(answer, "k").string_value(), &pieces)) {
    return absl::UnavailableError(absl::StrCat("erasure code profile `", facts.profile, "`: says no k"));
  }
  return pieces;
}

absl::Status CheckPoolOf(Cluster& cluster, const std::string& pool, PoolUse use, bool allow_min_size_1) {
  ASSIGN_OR_RETURN(const PoolFacts facts, FactsOf(cluster, pool));
  return CheckPool(cluster, pool, facts, use, allow_min_size_1);
}

ObjectRead ReadNow(Pool& pool, const std::string& object, ReadOp op) {
  ObjectRead read;
  absl::Notification ready;
  pool.Read(object, std::move(op), [&](ObjectRead answer) {
    read = std::move(answer);
    ready.Notify();
  });
  ready.WaitForNotification();
  return read;
}

absl::StatusOr<std::string> NeedMark(Cluster& cluster, const std::string& name) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Pool> pool, cluster.OpenPool(name));
  ASSIGN_OR_RETURN(std::optional<std::string> store, ReadMark(*pool, name));
  if (!store) return Wrong(name, "no store of Restante is in it; `restante-store init-cluster` makes one");
  return *std::move(store);
}

}  // namespace

absl::StatusOr<PoolFacts> FactsOf(Cluster& cluster, const std::string& pool) {
  ASSIGN_OR_RETURN(const Value pools, MonCommand(cluster, "osd pool ls", JsonText("detail", "detail")));
  for (const Value& detail : pools.list_value().values()) {
    if (MemberOf(detail, "pool_name").string_value() != pool) continue;
    PoolFacts facts;
    facts.replicated = MemberOf(detail, "type").number_value() == 1;
    facts.size = static_cast<uint32_t>(MemberOf(detail, "size").number_value());
    facts.min_size = static_cast<uint32_t>(MemberOf(detail, "min_size").number_value());
    facts.profile = MemberOf(detail, "erasure_code_profile").string_value();
    for (const auto& [application, _] : MemberOf(detail, "application_metadata").struct_value().fields()) {
      facts.applications.push_back(application);
    }
    return facts;
  }
  return absl::NotFoundError(
      absl::StrCat("pool `", pool, "`: there is none; `restante-store init-cluster` makes it"));
}

absl::Status CheckPool(Cluster& cluster, const std::string& pool, const PoolFacts& facts, PoolUse use,
                       bool allow_min_size_1) {
  if (use == PoolUse::kIndex && !facts.replicated) {
    return Wrong(pool, "is erasure-coded; the index (--pool-index) needs a replicated one");
  }
  for (const std::string& application : facts.applications) {
    if (application == kApplication) continue;
    return Wrong(pool, absl::StrCat("belongs to `", application, "`, says its application tag, not to `",
                                    kApplication, "`"));
  }
  if (allow_min_size_1) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint32_t pieces, PiecesNeeded(cluster, facts));
  if (facts.min_size > pieces) return absl::OkStatus();
  return Wrong(pool, absl::StrCat("min_size ", facts.min_size, " of ", facts.size,
                                  ": what is acknowledged could be lost with one disk; at least ", pieces + 1,
                                  " (`ceph osd pool set ", pool, " min_size ", pieces + 1,
                                  "`), or --allow-min-size-1"));
}

absl::Status NoAnswer(const std::string& pool) {
  return absl::UnavailableError(
      absl::StrCat("pool `", pool, "`: does not answer; `ceph health detail` says what is wrong with it"));
}

absl::StatusOr<std::optional<std::string>> ReadMark(Pool& pool, const std::string& name) {
  ReadOp op = pool.NewRead();
  op.Xattrs();
  ObjectRead mark = ReadNow(pool, kStoreObject, std::move(op));
  if (mark.result == -ENOENT) return std::nullopt;
  if (mark.result == -ETIMEDOUT) return NoAnswer(name);
  RETURN_IF_ERROR(ToStatus(mark.result, absl::StrCat("pool `", name, "`: object `", kStoreObject, "`")));
  const std::string& format = mark.xattrs["format"];
  uint32_t number = 0;
  if (!absl::SimpleAtoi(format, &number) || mark.xattrs["store"].empty()) {
    return Wrong(name, absl::StrCat("its object `", kStoreObject, "` is not a store's"));
  }
  if (number != kClusterFormat) {
    return Wrong(name, absl::StrCat("holds a store of format ", number, ", made by ",
                                    number < kClusterFormat ? "an older" : "a newer",
                                    " program; this one knows format ", kClusterFormat));
  }
  return mark.xattrs["store"];
}

absl::StatusOr<std::string> CheckStore(Cluster& cluster, const StorePools& pools, uint32_t wait_seconds) {
  const BoundedWaits bounded(&cluster, wait_seconds);
  RETURN_IF_ERROR(CheckPoolOf(cluster, pools.index, PoolUse::kIndex, pools.allow_min_size_1));
  RETURN_IF_ERROR(CheckPoolOf(cluster, pools.body, PoolUse::kBody, pools.allow_min_size_1));
  ASSIGN_OR_RETURN(std::string store, NeedMark(cluster, pools.index));
  ASSIGN_OR_RETURN(const std::string other, NeedMark(cluster, pools.body));
  if (other == store) return store;
  return absl::FailedPreconditionError(
      absl::StrCat("pools `", pools.index, "` and `", pools.body, "`: are of different stores"));
}

}  // namespace restante::rados
