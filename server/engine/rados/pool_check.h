// Whether pools will do for a store, and whether they hold one: what an engine asks before
// it opens them, and `restante-store init-cluster` before and after what it does.
//
// A store's mark is the object `restante`, one in each of its pools and in its namespace:
// the attribute `format` says how all else is written, `store` which store it is (32
// hexadecimal digits), so that an index is not opened with another's bodies.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_POOL_CHECK_H_
#define RESTANTE_SERVER_ENGINE_RADOS_POOL_CHECK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/rados/cluster.h"

namespace restante::rados {

inline constexpr uint32_t kClusterFormat = 1;
// The tag by which a cluster's pools say whose they are.
inline constexpr char kApplication[] = "restante";

enum class PoolUse { kIndex, kBody };

// What a cluster's map says of a pool.
struct PoolFacts {
  bool replicated = false;
  uint32_t size = 0, min_size = 0;
  std::string profile;                    // Of one that is erasure-coded.
  std::vector<std::string> applications;  // Its tags.
};

// kNotFound: there is no such pool.
absl::StatusOr<PoolFacts> FactsOf(Cluster& cluster, const std::string& pool);

// Whether a pool will do. kFailedPrecondition: the index is not replicated; `min_size` lets
// a write be acknowledged that a single failure loses; the application tag is another's.
absl::Status CheckPool(Cluster& cluster, const std::string& pool, const PoolFacts& facts, PoolUse use,
                       bool allow_min_size_1);

// The id of the store whose mark a pool has; nullopt: it has none. kFailedPrecondition:
// it is of another format, or no store's. `name` is the pool's.
absl::StatusOr<std::optional<std::string>> ReadMark(Pool& pool, const std::string& name);

// What is said of a pool whose operations time out.
absl::Status NoAnswer(const std::string& pool);

struct StorePools {
  std::string index;
  std::string body;
  bool allow_min_size_1 = false;
};

// All that has to be so before an engine may open the pools: both are there and will do, and
// have the marks of one store, whose id is returned. Reads only, and waits for an answer for
// `wait_seconds` at most (kUnavailable); nothing else may be under way on `cluster`.
absl::StatusOr<std::string> CheckStore(Cluster& cluster, const StorePools& pools, uint32_t wait_seconds = 30);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_POOL_CHECK_H_
