#include "server/engine/embedded/key_table.h"

#include <utility>

#include "server/engine/embedded/index_keys.h"

namespace restante::embedded {

KeyTable::Found KeyTable::AsOf(absl::string_view key, uint64_t group) const {
  if (const auto it = keys_.find(key); it != keys_.end()) {
    for (auto version = it->second.rbegin(); version != it->second.rend(); ++version) {
      if (version->group > group) continue;
      return {.known = true, .value = version->value ? &*version->value : nullptr, .group = version->group};
    }
  }
  return {.known = IsPinned(key)};
}

KeyTable::Found KeyTable::Newest(absl::string_view key) const { return AsOf(key, UINT64_MAX); }

bool KeyTable::Put(absl::string_view key, std::optional<std::string> value, uint64_t group) {
  auto it = keys_.find(key);
  if (it == keys_.end()) it = keys_.emplace(std::string(key), Versions()).first;
  Versions& versions = it->second;
  const bool first = versions.empty() || versions.back().group != group;
  if (first) versions.emplace_back();
  versions.back() = {.group = group, .value = std::move(value)};
  return first;
}

void KeyTable::Cut(absl::string_view key, uint64_t group) {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return;
  while (!it->second.empty() && it->second.back().group > group) it->second.pop_back();
  if (it->second.empty()) keys_.erase(it);
}

void KeyTable::Forget(absl::string_view key, uint64_t group) {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return;
  Versions& versions = it->second;
  size_t old = 0;  // How many are old: up to `group`.
  while (old < versions.size() && versions[old].group <= group) ++old;
  // The newest old one of a pinned key stays, unless it says what absence says.
  if (old > 0 && IsPinned(key) && (versions[old - 1].value || old < versions.size())) --old;
  versions.erase(versions.begin(), versions.begin() + old);
  if (versions.empty()) keys_.erase(it);
}

void KeyTable::VisitAbove(absl::string_view key, uint64_t group,
                          const std::function<void(const std::string* value)>& visit) const {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return;
  for (const Version& version : it->second) {
    if (version.group > group) visit(version.value ? &*version.value : nullptr);
  }
}

void KeyTable::Visit(absl::string_view from, absl::string_view to, uint64_t group,
                     const Visitor& visit) const {
  for (auto it = keys_.lower_bound(from); it != keys_.end() && (to.empty() || it->first < to); ++it) {
    for (auto version = it->second.rbegin(); version != it->second.rend(); ++version) {
      if (version->group > group) continue;
      if (!visit(it->first, version->value ? &*version->value : nullptr)) return;
      break;
    }
  }
}

}  // namespace restante::embedded
