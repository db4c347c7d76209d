// LevelDB's files, read without LevelDB: past its caches, every octet, and with a
// name and an offset for what is damaged. The formats are LevelDB's
// doc/table_format.md and doc/log_format.md.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_FILES_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_FILES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace restante::embedded {

// `000005.ldb`.
std::string IndexTableName(uint64_t number);

// Keys from `from` to `to`, both included.
struct KeyRange {
  std::string from, to;
  bool Contains(absl::string_view key) const { return from <= key && key <= to; }
};

struct IndexDamage {
  uint64_t offset = 0;
  std::string problem;
  // Lookups of keys in it may fail. Unset: none does.
  std::optional<KeyRange> keys;
  // They fail from when the table is opened next: it cannot be.
  bool whole_table = false;
};

// Is given each change that is whole: the key and its value; nullopt: erased.
using IndexEntryVisitor = std::function<void(absl::string_view key, std::optional<absl::string_view> value)>;

// A table file, whole. `bounds`: the smallest and the largest key that it has.
std::vector<IndexDamage> CheckIndexTable(absl::string_view octets, const KeyRange& bounds,
                                         const IndexEntryVisitor& visit);

// What a manifest says.
struct IndexManifest {
  struct Table {
    uint64_t level = 0;
    uint64_t size = 0;
    KeyRange bounds;
  };
  std::map<uint64_t, Table> tables;  // By number.
  std::vector<IndexDamage> damages;  // Then the rest may be wrong.
};
IndexManifest ReadIndexManifest(absl::string_view octets);

// How much of a manifest counts: all of it, but for a last change that a crash tore. Each
// is synced before the next is written, so with another one it is damaged: nullopt.
std::optional<uint64_t> UntornManifestBytes(absl::string_view octets);

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_INDEX_FILES_H_
