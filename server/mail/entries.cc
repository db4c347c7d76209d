#include "server/mail/entries.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace restante::mail {

using engine::stored::Entry;
using engine::stored::MailboxHead;

absl::StatusOr<Entry> ParseEntry(const std::string& value) {
  Entry entry;
  if (!entry.ParseFromString(value)) return absl::DataLossError("an entry cannot be read");
  return entry;
}

void EntrySums::Add(const Entry& entry) {
  bytes += entry.size();
  messages += 1;
  if (entry.exempt()) {
    exempt_bytes += entry.size();
    exempt_messages += 1;
  }
}

EntrySums EntrySums::Of(const MailboxHead& head) {
  return {.bytes = head.used_bytes(),
          .messages = head.used_messages(),
          .exempt_bytes = head.exempt_bytes(),
          .exempt_messages = head.exempt_messages()};
}

void EntrySums::StoreIn(MailboxHead& head) const {
  head.set_used_bytes(bytes);
  head.set_used_messages(messages);
  head.set_exempt_bytes(exempt_bytes);
  head.set_exempt_messages(exempt_messages);
}

absl::StatusOr<engine::Verdict> EraseEntries(const engine::View& view, const std::vector<std::string>& keys,
                                             std::optional<uint32_t> folder, EntrySums& erased) {
  erased = EntrySums();
  engine::Change change;
  change.head = *view.head;
  for (const std::string& key : keys) {
    const auto it = view.values.find(key);
    if (it == view.values.end()) continue;
    ASSIGN_OR_RETURN(const Entry entry, ParseEntry(it->second));
    if (folder && entry.folder() != *folder) continue;
    erased.Add(entry);
    change.erased.push_back(key);
    change.released_bodies.push_back(engine::BodyId{entry.body()});
  }
  if (change.erased.empty()) return engine::NoChange{};
  MailboxHead& head = *change.head.mutable_mailbox();
  // Sums that do not fit are a defect that verify reports; below 0 they would
  // make a mailbox of no room at all.
  const auto less = [](uint64_t from, uint64_t amount) { return from > amount ? from - amount : 0; };
  head.set_used_bytes(less(head.used_bytes(), erased.bytes));
  head.set_used_messages(less(head.used_messages(), erased.messages));
  head.set_exempt_bytes(less(head.exempt_bytes(), erased.exempt_bytes));
  head.set_exempt_messages(less(head.exempt_messages(), erased.exempt_messages));
  head.set_highest_modseq(head.highest_modseq() + 1);
  return change;
}

}  // namespace restante::mail
