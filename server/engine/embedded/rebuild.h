// Makes the index again, from nothing but the log.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_REBUILD_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_REBUILD_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/embedded/data_dir.h"
#include "server/engine/embedded/files.h"

namespace restante::embedded {

// Keys with the values that the log should have given them; nullopt: erased.
using Corrections = std::vector<std::pair<std::string, std::optional<std::string>>>;

struct Rebuilt {
  uint64_t segments = 0;
  uint64_t groups = 0;
  // Groups with a damaged body record: their changes are known all the same.
  uint64_t damaged_groups = 0;
  // Figures that the log has not, or wrongly (a store of format 1 logged less). The
  // engine logs them before it does anything else.
  Corrections corrections;
};

// Reads all segments, checks that none is missing and every group is whole, and
// only then throws the index away and replays them in order. The store must be
// locked and not open; a rebuild that was interrupted is begun again. What a crash
// tore at the log's end is left for recovery, which comes next.
//
// kDataLoss, naming the file: a segment is missing; a group record is damaged.
// Nothing was changed then.
absl::StatusOr<Rebuilt> RebuildIndex(Files& files, const DataDir& directory);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_REBUILD_H_
