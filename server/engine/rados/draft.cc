#include "server/engine/rados/draft.h"

#include "absl/strings/match.h"

namespace restante::rados {

bool Draft::IsKnown(const std::string& key) const {
  if (changes_.count(key) > 0 || known_.values.count(key) > 0 || expected_none_.count(key) > 0) return true;
  for (const std::string& prefix : known_.prefixes) {
    if (absl::StartsWith(key, prefix)) return true;
  }
  return false;
}

bool Draft::Has(const std::string& key) {
  if (IsKnown(key)) return true;
  wanted_.insert(key);
  return false;
}

bool Draft::ExpectNone(const std::string& key) {
  // (What a shard has the write does not see.)
  if (!expects_ || !state_.exists || RangeOf(state_.shards, key).shard != nullptr) return Has(key);
  if (!IsKnown(key)) expected_none_.insert(key);
  return true;
}

bool Draft::HasAll(const std::string& prefix) {
  if (known_.prefixes.count(prefix) > 0) return true;
  wanted_prefixes_.insert(prefix);
  return false;
}

bool Draft::IsFresh() {
  if (fresh_) return true;
  wants_fresh_ = true;
  return false;
}

const std::string* Draft::Find(const std::string& key) const {
  if (const auto it = changes_.find(key); it != changes_.end()) {
    return it->second ? &*it->second : nullptr;
  }
  const auto it = known_.values.find(key);
  return it != known_.values.end() && it->second ? &*it->second : nullptr;
}

Rows Draft::All(const std::string& prefix) const {
  std::map<std::string, std::string> rows;
  for (auto it = known_.values.lower_bound(prefix);
       it != known_.values.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (it->second) rows[it->first] = *it->second;
  }
  for (auto it = changes_.lower_bound(prefix); it != changes_.end() && absl::StartsWith(it->first, prefix);
       ++it) {
    if (it->second) rows[it->first] = *it->second;
    if (!it->second) rows.erase(it->first);
  }
  return {rows.begin(), rows.end()};
}

void Draft::Put(const std::string& key, std::string value) {
  dropped_.erase(key);
  changes_[key] = std::move(value);
  touched_ = true;
}

void Draft::Erase(const std::string& key) {
  dropped_.erase(key);
  changes_[key] = std::nullopt;
  touched_ = true;
}

void Draft::Drop(const std::string& key) {
  // What changes in the same write is none that the shard has.
  if (changes_.count(key) > 0) return;
  dropped_.insert(key);
  touched_ = true;
}

void Draft::Remove() {
  state_ = PartitionState();
  changes_.clear();
  dropped_.clear();
  removed_ = true;
  touched_ = true;
}

}  // namespace restante::rados
