// The keys of a partition in two stores, side by side.
#ifndef RESTANTE_SERVER_ENGINE_MOVING_KEY_WALK_H_
#define RESTANTE_SERVER_ENGINE_MOVING_KEY_WALK_H_

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "server/base/status_macros.h"
#include "server/engine/house.h"
#include "server/engine/moving/asking.h"

namespace restante::moving {

// Reads a partition's keys in order, some at a time; without the house's mark, which says
// where a store is and is no part of what is moved.
class KeyReader {
 public:
  // Without entries from a UID on, which come while it is read.
  KeyReader(Engine* of, PartitionId partition, uint64_t until_uid = UINT64_MAX)
      : of_(of), partition_(partition), until_uid_(until_uid) {}

  // The next key and its value, until Take; null: there are no more.
  absl::StatusOr<const std::pair<std::string, std::string>*> Peek() {
    while (items_.empty() && more_) {
      ASSIGN_OR_RETURN(engine::ScanPage page, Scan(of_, partition_, from_, kAtOnce));
      more_ = page.more && !page.items.empty();
      if (more_) from_ = page.items.back().first + '\0';
      for (auto& item : page.items) {
        const bool mark = partition_.kind == PartitionId::Kind::kDirectory && item.first == engine::kHouseKey;
        const bool beyond = partition_.kind == PartitionId::Kind::kMailbox &&
                            engine::EntryUid(item.first).value_or(0) >= until_uid_;
        if (beyond && from_ < kBehindEntries) from_ = kBehindEntries;
        if (!mark && !beyond) items_.push_back(std::move(item));
      }
    }
    return items_.empty() ? nullptr : &items_.front();
  }
  void Take() { items_.pop_front(); }

 private:
  static constexpr size_t kAtOnce = 500;
  static constexpr char kBehindEntries[] = "m0";

  Engine* const of_;
  const PartitionId partition_;
  const uint64_t until_uid_;
  std::string from_;
  bool more_ = true;
  std::deque<std::pair<std::string, std::string>> items_;
};

// Calls `visit` with each key that is in one of two stores or in both, and its values;
// null: it is not there. Of a mailbox, entries below a UID. Ends with the first error.
inline absl::Status WalkKeys(Engine* one, Engine* other, PartitionId partition, uint64_t until_uid,
                             absl::FunctionRef<absl::Status(const std::string& key, const std::string* in_one,
                                                            const std::string* in_other)>
                                 visit) {
  KeyReader a(one, partition, until_uid), b(other, partition, until_uid);
  while (true) {
    ASSIGN_OR_RETURN(const auto* in_a, a.Peek());
    ASSIGN_OR_RETURN(const auto* in_b, b.Peek());
    if (in_a == nullptr && in_b == nullptr) return absl::OkStatus();
    const bool first = in_b == nullptr || (in_a != nullptr && in_a->first <= in_b->first);
    const bool second = in_a == nullptr || (in_b != nullptr && in_b->first <= in_a->first);
    RETURN_IF_ERROR(visit(first ? in_a->first : in_b->first, first ? &in_a->second : nullptr,
                          second ? &in_b->second : nullptr));
    if (first) a.Take();
    if (second) b.Take();
  }
}

}  // namespace restante::moving

#endif  // RESTANTE_SERVER_ENGINE_MOVING_KEY_WALK_H_
