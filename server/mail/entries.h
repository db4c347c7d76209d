// What a change of a mailbox's entries does to its head. Pure; what a commit adds
// is engine/commit_entry.
#ifndef RESTANTE_SERVER_MAIL_ENTRIES_H_
#define RESTANTE_SERVER_MAIL_ENTRIES_H_

#include <cstdint>
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

  void Add(const engine::stored::Entry& entry);
  bool Matches(const engine::stored::MailboxHead& head) const;
  void StoreIn(engine::stored::MailboxHead& head) const;
};

// Expunges those of `keys` that are there: entries and their bodies' references
// go, the usage falls, MODSEQ rises by one. `erased` gets their sums. No change
// if none is there.
absl::StatusOr<engine::Verdict> EraseEntries(const engine::View& view, const std::vector<std::string>& keys,
                                             EntrySums& erased);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_ENTRIES_H_
