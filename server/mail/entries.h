// What a change of a mailbox's entries does to its head. Pure; what a commit adds
// is engine/commit_entry.
#ifndef RESTANTE_SERVER_MAIL_ENTRIES_H_
#define RESTANTE_SERVER_MAIL_ENTRIES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/engine.h"

namespace restante::mail {

// Keys of all entries lie in [kEntriesFrom, kEntriesTo).
inline constexpr char kEntriesFrom[] = "m/";
inline constexpr char kEntriesTo[] = "m0";

absl::StatusOr<engine::stored::Entry> ParseEntry(const std::string& value);

// What entries add up to.
struct EntrySums {
  uint64_t bytes = 0, messages = 0, exempt_bytes = 0, exempt_messages = 0;

  static EntrySums Of(const engine::stored::MailboxHead& head);
  void Add(const engine::stored::Entry& entry);
  void StoreIn(engine::stored::MailboxHead& head) const;

  friend bool operator==(const EntrySums&, const EntrySums&) = default;
};

// Expunges those of `keys` that are there (and in `folder`, if given): entries and their bodies' references
// go, the usage falls, MODSEQ rises by one. `erased` gets their sums. No change
// if none is there.
absl::StatusOr<engine::Verdict> EraseEntries(const engine::View& view, const std::vector<std::string>& keys,
                                             std::optional<uint32_t> folder, EntrySums& erased);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_ENTRIES_H_
