// A range of the index as of one moment: a LevelDB snapshot, and what was newer
// in memory then.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_MERGED_SCAN_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_MERGED_SCAN_H_

#include <map>
#include <optional>
#include <string>

#include "server/engine/embedded/index.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/key_table.h"

namespace restante::embedded {

struct MergedScan {
  // nullopt: erased.
  using Newer = std::map<std::string, std::optional<std::string>, std::less<>>;

  static Newer Collect(const KeyTable& keys, absl::string_view from, absl::string_view to, uint64_t group) {
    Newer newer;
    keys.Visit(from, to, group, [&](const std::string& key, const std::string* value) {
      newer.emplace(key, value != nullptr ? std::make_optional(*value) : std::nullopt);
      return true;
    });
    return newer;
  }

  // Calls `visit` with each key and its value (without the group), ascending,
  // until it returns false. kDataLoss: a damaged value; errors of the snapshot.
  template <typename Visitor>
  static absl::Status Visit(const IndexSnapshot& snapshot, const Newer& newer, absl::string_view from,
                            absl::string_view to, const Visitor& visit) {
    auto it = newer.begin();
    bool go_on = true;
    const auto visit_below = [&](const absl::string_view* key) {
      while (go_on && it != newer.end() && (key == nullptr || it->first < *key)) {
        if (it->second) go_on = visit(absl::string_view(it->first), absl::string_view(*it->second));
        ++it;
      }
    };
    absl::Status damaged;
    absl::Status status = snapshot.Visit(from, to, [&](absl::string_view key, absl::string_view stored) {
      visit_below(&key);
      if (!go_on) return false;
      if (it != newer.end() && it->first == key) return true;  // Its turn comes, with the newer value.
      const std::optional<GroupedValue> value = SplitGroup(stored);
      if (!value) damaged = absl::DataLossError("index: a value without its group");
      go_on = value && visit(key, value->value);
      return go_on;
    });
    if (!status.ok()) return status;
    if (!damaged.ok()) return damaged;
    visit_below(nullptr);
    return absl::OkStatus();
  }
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_MERGED_SCAN_H_
