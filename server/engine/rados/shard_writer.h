// Shards (shards.h) as they are made, compared and removed.
#ifndef RESTANTE_SERVER_ENGINE_RADOS_SHARD_WRITER_H_
#define RESTANTE_SERVER_ENGINE_RADOS_SHARD_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/task.h"
#include "server/engine/rados/cluster.h"
#include "server/engine/rados/shards.h"

namespace restante::rados {

// Makes a shard of `rows`, values as they were put, for the partition whose object is
// `home`, and compares what stands there then. `range.from` is the caller's to set.
Task<absl::StatusOr<stored::ShardRange>> WriteShard(Pool* pool, std::string home, uint64_t number,
                                                    uint32_t piece, Rows rows);

// kDataLoss: it is missing, or is not what its range says; in words.
Task<absl::Status> CheckShard(Pool* pool, stored::ShardRange shard);

// False: there was none.
Task<absl::StatusOr<bool>> RemoveShard(Pool* pool, uint64_t number, uint32_t piece);

}  // namespace restante::rados

#endif  // RESTANTE_SERVER_ENGINE_RADOS_SHARD_WRITER_H_
