// The engine over a Ceph RADOS cluster: any number of stores over the same pools, none of
// which keeps anything of its own. What a crash leaves any other finishes (FORMAT.md).
#ifndef RESTANTE_SERVER_ENGINE_RADOS_RADOS_ENGINE_H_
#define RESTANTE_SERVER_ENGINE_RADOS_RADOS_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/engine/commit_entry.h"
#include "server/engine/engine.h"
#include "server/mail/quota.h"

namespace restante::rados {

struct Options {
  std::string ceph_conf;  // Path.
  std::string ceph_user = "restante";
  std::string ceph_keyring;  // Path; empty: as the conf says.
  std::string pool_index = "restante-index";
  std::string pool_body = "restante-body";
  std::string name_space;  // Of all objects, in both pools.
  bool allow_min_size_1 = false;
  // For tests: takes the pools as they are, and makes the store's mark where there is none.
  bool create = false;

  engine::QuotaRules rules;
  const Clock* clock = Clock::System();
  // Octets of bodies. With `measured` not more than the cluster says, either; without it
  // (tests) what this store has put there is all that there is.
  uint64_t max_disk = quota::kUnlimited;
  bool measured = true;
  uint64_t retry_window_seconds = engine::kRetryWindowSeconds;
  uint64_t event_retention_seconds = engine::kEventRetentionSeconds;

  // From so many rows of entries and counts on those of a partition spill into shards, of
  // so many rows at most; shards that are replaced are kept so long for slow readers.
  uint64_t spill_rows = 20'000;
  uint64_t shard_rows = 10'000;
  absl::Duration gone_shards_kept = absl::Minutes(10);

  // How often the life sign is raised; after three times as long without success this
  // store promises nothing; after six without a change others take it for dead.
  absl::Duration life_interval = absl::Seconds(5);

  // How long questions and promises wait for the cluster; commits and updates wait as long
  // as it takes.
  absl::Duration patience = absl::Seconds(5);

  // Whether stores tell each other at once what else they find out within `life_interval`.
  bool hints = true;

  // The end of an engine waits for what is under way. After `end_patience`, if the cluster
  // does not answer, this is called instead, for a process that would rather end as in a
  // crash: what it leaves is settled by others. None: it waits.
  absl::Duration end_patience = absl::Seconds(10);
  std::function<void()> give_up;

  // For tests: called where a crash would leave something, with the step's name. Any
  // thread, also in parallel.
  std::function<void(absl::string_view step)> at = [](absl::string_view) {};
};

// Blocks until connected. kFailedPrecondition, kNotFound, kPermissionDenied, kUnavailable:
// one line that names file, pool or user.
absl::StatusOr<std::unique_ptr<engine::Engine>> Open(Options options);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_RADOS_ENGINE_H_
