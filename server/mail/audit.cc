#include "server/mail/audit.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/folders.h"
#include "server/mail/names.h"

namespace restante::mail {
namespace {

using engine::PartitionId;
using engine::stored::Entry;
using engine::stored::MailboxHead;

constexpr int kAttempts = 10;
constexpr size_t kPage = 1000;
// New messages that the comparing update reads at most.
constexpr uint64_t kMaxNew = 1000;

void CheckEntry(const std::string& key, const Entry& entry, const MailboxHead& head, Audit& audit) {
  const std::string name = MessageName(head.address(), NameOfFolder(head, entry.folder()), entry.uid());
  if (!HasFolder(head, entry.folder())) {
    audit.misplaced.push_back(absl::StrCat(name, ": is of folder ", entry.folder(), ", which is not there"));
  }
  if (engine::EntryUid(key) != entry.uid())
    audit.misplaced.push_back(absl::StrCat(name, ": stands under another key"));
  if (entry.uid() >= head.uid_next()) {
    audit.too_early.push_back(absl::StrCat(name, ": the next UID is ", head.uid_next()));
  }
  if (entry.modseq() > head.highest_modseq()) {
    audit.too_early.push_back(
        absl::StrCat(name, ": has MODSEQ ", entry.modseq(), ", the highest is ", head.highest_modseq()));
  }
  audit.uid_next = std::max(audit.uid_next, entry.uid() + 1);
  audit.highest_modseq = std::max(audit.highest_modseq, entry.modseq());
}

// What the comparing update found out.
struct Comparison {
  Audit audit;
  bool changed = false;    // Begin again.
  uint64_t asked_for = 0;  // New messages below this UID were asked for.
};

// `beyond`: entries found at or above the next UID of `before`.
absl::StatusOr<engine::Verdict> Compare(const engine::View& view, const MailboxHead& before,
                                        const Audit& sums,
                                        const std::vector<std::pair<std::string, std::string>>& beyond,
                                        bool correct, Comparison& out) {
  out.audit = sums;
  out.changed = true;
  if (view.head == nullptr) return engine::NoChange{};
  const MailboxHead& now = view.head->mailbox();
  const uint64_t added = now.uid_next() - before.uid_next();
  if (now.highest_modseq() - before.highest_modseq() != added || added > kMaxNew) return engine::NoChange{};
  engine::NeedKeys missing;
  for (uint64_t uid = before.uid_next(); uid < now.uid_next(); ++uid) {
    const std::string key = engine::EntryKey(uid);
    const auto it = view.values.find(key);
    if (it == view.values.end()) {
      if (uid < out.asked_for) return engine::NoChange{};
      missing.keys.push_back(key);
      continue;
    }
    ASSIGN_OR_RETURN(const Entry entry, ParseEntry(it->second));
    CheckEntry(key, entry, now, out.audit);
    out.audit.actual.Add(entry);
  }
  if (!missing.keys.empty()) {
    out.asked_for = now.uid_next();
    return missing;
  }
  for (const auto& [key, value] : beyond) {
    if (key < engine::EntryKey(now.uid_next())) continue;
    ASSIGN_OR_RETURN(const Entry entry, ParseEntry(value));
    CheckEntry(key, entry, now, out.audit);
    out.audit.actual.Add(entry);
  }
  out.changed = false;
  out.audit.recorded = EntrySums::Of(now);
  out.audit.corrected = correct && out.audit.recorded != out.audit.actual;
  out.audit.raised = correct && !out.audit.too_early.empty();
  if (!out.audit.corrected && !out.audit.raised) return engine::NoChange{};
  engine::Change change;
  change.head = *view.head;
  MailboxHead& head = *change.head.mutable_mailbox();
  out.audit.actual.StoreIn(head);
  if (out.audit.raised) {
    head.set_uid_next(std::max(head.uid_next(), out.audit.uid_next));
    head.set_highest_modseq(std::max(head.highest_modseq(), out.audit.highest_modseq));
  }
  return change;
}

std::string Text(const EntrySums& sums) {
  return absl::StrCat(sums.bytes, " octets in ", sums.messages, " messages (exempt: ", sums.exempt_bytes,
                      " in ", sums.exempt_messages, ")");
}

}  // namespace

Task<absl::StatusOr<Audit>> AuditMailbox(engine::Engine* engine, uint64_t mailbox, bool correct) {
  const PartitionId partition = PartitionId::Mailbox(mailbox);
  std::string name;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    CO_ASSIGN_OR_RETURN(engine::ReadResult read, co_await Read(engine, partition, {}));
    if (!read.head) co_return absl::NotFoundError(absl::StrCat("mailbox partition ", mailbox, ": not found"));
    const MailboxHead before = read.head->mailbox();
    name = MailboxName(before.address());
    Audit sums;
    std::string from = kEntriesFrom;
    const std::string to = engine::EntryKey(before.uid_next());
    while (true) {
      CO_ASSIGN_OR_RETURN(engine::ScanPage page, co_await Scan(engine, partition, from, to, kPage));
      for (const auto& [key, value] : page.items) {
        absl::StatusOr<Entry> entry = ParseEntry(value);
        if (!entry.ok()) co_return Annotate(entry.status(), name);
        CheckEntry(key, *entry, before, sums);
        sums.actual.Add(*entry);
      }
      if (!page.more || page.items.empty()) break;
      from = page.items.back().first + '\0';
    }
    // Messages that came meanwhile, and what may not be there.
    CO_ASSIGN_OR_RETURN(engine::ScanPage rest, co_await Scan(engine, partition, to, kEntriesTo, kPage));

    Comparison result;
    CO_RETURN_IF_ERROR(co_await Update(engine, partition, {},
                                       [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                         return Compare(view, before, sums, rest.items, correct, result);
                                       }));
    if (result.changed) continue;
    if (result.audit.corrected) {
      Log(LogLevel::kError, "usage corrected: this is a defect",
          {{"mailbox", name},
           {"recorded", Text(result.audit.recorded)},
           {"actual", Text(result.audit.actual)}});
    }
    co_return std::move(result.audit);
  }
  co_return Error(absl::StatusCode::kUnavailable, "CHANGING", name,
                  absl::StrCat("changed in each of ", kAttempts, " attempts to add it up"));
}

}  // namespace restante::mail
