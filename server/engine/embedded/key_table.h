// Index keys in memory: every version that is not yet both durable and in
// LevelDB, and, for pinned kinds (IsPinned), always the newest.
//
// A change is decided against the *newest* version of each key; readers see the
// version *as of* the durable group. When writing fails, versions above the
// durable group are cut off, and it is as if they had never been decided.
//
// Not thread-safe: the engine's state lock protects it.
#ifndef RESTANTE_SERVER_ENGINE_EMBEDDED_KEY_TABLE_H_
#define RESTANTE_SERVER_ENGINE_EMBEDDED_KEY_TABLE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"

namespace restante::embedded {

class KeyTable {
 public:
  struct Found {
    bool known = false;                  // Else LevelDB has to be asked.
    const std::string* value = nullptr;  // Null: erased, or never there. Until the next change.
    uint64_t group = 0;                  // Which wrote it; 0 if never there.
  };
  Found Newest(absl::string_view key) const;
  Found AsOf(absl::string_view key, uint64_t group) const;

  // Adds a version, or replaces the one of the same group; nullopt erases. True if
  // the group had not changed this key before. Groups ascend.
  bool Put(absl::string_view key, std::optional<std::string> value, uint64_t group);

  // Drops the versions above `group`.
  void Cut(absl::string_view key, uint64_t group);
  // LevelDB has all versions up to `group`, and nobody who asked it before needs
  // them: keeps only what is newer, and of a pinned key the newest up to there.
  void Forget(absl::string_view key, uint64_t group);

  // Calls `visit` for the keys in [from, to) (an empty `to`: the end) as of
  // `group`, ascending, erased ones with null, until it returns false.
  using Visitor = std::function<bool(const std::string& key, const std::string* value)>;
  void Visit(absl::string_view from, absl::string_view to, uint64_t group, const Visitor& visit) const;

  // Calls `visit` for each version of a key above `group`, ascending.
  void VisitAbove(absl::string_view key, uint64_t group,
                  const std::function<void(const std::string* value)>& visit) const;

  // Takes a key out, all versions, as if it had never been there.
  void Remove(absl::string_view key) { keys_.erase(key); }

  size_t size() const { return keys_.size(); }

 private:
  struct Version {
    uint64_t group = 0;
    std::optional<std::string> value;
  };
  using Versions = absl::InlinedVector<Version, 1>;

  absl::btree_map<std::string, Versions> keys_;
};

}  // namespace restante::embedded

#endif  // RESTANTE_SERVER_ENGINE_EMBEDDED_KEY_TABLE_H_
