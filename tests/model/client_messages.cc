// Messages of a client: appended, expunged, listed, read, added up; and what the
// port allows and the API does not serve yet: copied, flagged.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/crc32c.h"
#include "server/mail/append.h"
#include "server/mail/transaction_id.h"
#include "tests/mail/read_all.h"
#include "tests/model/client.h"
#include "tests/model/describe.h"

namespace restante::model {

using mail::Address;

namespace {

// The entry of a message of this mailbox, and what it stands in.
struct FoundEntry {
  uint64_t mailbox = 0;
  mail::stored::Entry entry;
};

absl::StatusOr<FoundEntry> Find(World& world, const Address& address, uint64_t uid) {
  const auto mailbox = Get(world.provisioning().GetMailbox(address));
  if (!mailbox.ok()) return mailbox.status();
  const auto message = Get(world.messages().Get({address, std::string(mail::kInbox), uid}));
  if (!message.ok()) return message.status();
  return FoundEntry{mailbox->number, message->entry};
}

}  // namespace

void Client::Append() {
  mail::AppendHeader header;
  header.parent.mailbox = RandomMailbox();
  header.caller = caller_;
  header.request_id = NewRequestId();
  const std::string text = RandomText();
  header.size = text.size();
  if (dice_.OneIn(2)) header.crc32c = Crc32c(text);
  if (dice_.OneIn(30)) header.crc32c = 1;
  if (dice_.OneIn(8)) header.arrival_us = 1'000'000;
  if (dice_.OneIn(3)) header.parent.folder = absl::StrCat("Folder ", dice_.Below(6));
  if (dice_.OneIn(40)) header.parent.folder = "a//b";
  if (dice_.OneIn(3)) header.flags = static_cast<uint32_t>(dice_.Below(64));
  if (dice_.OneIn(4)) header.keywords = {"Junk", "JUNK", "$Label1"};
  if (dice_.OneIn(40)) header.keywords = {"no keyword"};
  if (dice_.OneIn(4)) header.sender = "sender@example.net";
  header.ignore_quota = dice_.OneIn(20);
  header.while_on_hold = dice_.OneIn(2);
  exempt_ = header.ignore_quota;
  const size_t first = dice_.Below(text.size() + 1);
  // Where it is given up: behind Begin, behind half of the text, or not.
  const uint64_t steps = dice_.OneIn(8) ? dice_.Below(2) : 2;
  Both(absl::StrCat("AppendMessage of ", text.size(), " bytes to ", header.parent.mailbox.ToString()),
       [&](World& world) -> std::string {
         mail::Append append(&world.messages());
         const auto begun = Get(append.Begin(header));
         if (!begun.ok()) return Describe(begun.status());
         if (*begun) return Describe(**begun);
         if (steps == 0) return "given up";
         absl::Status written = Get(append.Write(text.substr(0, first)));
         if (steps == 1) return absl::StrCat("given up after ", Describe(written));
         written.Update(Get(append.Write(text.substr(first))));
         if (!written.ok()) return Describe(written);
         const std::string stored = Describe(Get(append.Finish()));
         // Once more: answered, and nothing is stored.
         mail::Append again(&world.messages());
         const auto repeated = Get(again.Begin(header));
         return absl::StrCat(stored, " and again: ",
                             repeated.ok() && *repeated ? Describe(**repeated) : Describe(repeated.status()));
       });
}

void Client::Expunge() {
  const Address mailbox = RandomMailbox();
  std::vector<uint64_t> uids = RandomUids(mailbox);
  if (dice_.OneIn(4)) {
    // As archive does: whatever is old.
    for (uint64_t uid = uids.empty() ? 0 : uids[0]; uid > 0 && uids.size() < 100; --uid) uids.push_back(uid);
  }
  Both(absl::StrCat("expunging ", absl::StrJoin(uids, ","), " of ", mailbox.ToString()), [&](World& world) {
    return Describe(Get(world.messages().Delete({mailbox, std::nullopt}, uids)));
  });
}

void Client::ListMessages() {
  const Address mailbox = RandomMailbox();
  const size_t limit = 1 + dice_.Below(20);
  std::optional<int64_t> before;
  if (dice_.OneIn(4)) before = clock_->WallMicros() - static_cast<int64_t>(dice_.Below(5)) * 3600 * 1'000'000;
  Both(absl::StrCat("listing the messages of ", mailbox.ToString()), [&](World& world) {
    std::string all;
    uint64_t after = 0, sum = 0;
    do {
      const auto page = Get(world.messages().List({mailbox, std::nullopt}, after, limit, before));
      if (!page.ok()) return Describe(page.status());
      for (const mail::MessageView& message : page->items) {
        absl::StrAppend(&all, Describe(message), "\n");
        sum += message.entry.size();
      }
      after = page->next;
    } while (after != 0);
    const auto view = Get(world.provisioning().GetMailbox(mailbox));
    if (!before && view.ok() && view->head.mailbox().used_bytes() != sum) {
      Fail(absl::StrCat(kWhichNames[world.which()], ": ", view->head.mailbox().used_bytes(),
                        " bytes used, the sum is ", sum));
    }
    return all;
  });
}

void Client::ReadMessage() {
  const Address mailbox = RandomMailbox();
  const std::vector<uint64_t> uids = RandomUids(mailbox);
  if (uids.empty()) return;
  const uint64_t offset = dice_.OneIn(4) ? dice_.Below(3'000) : 0;
  const uint64_t length = dice_.OneIn(4) ? dice_.Below(3'000) : mail::kMaxChunk;
  Both(absl::StrCat("reading ", uids[0], " of ", mailbox.ToString()), [&](World& world) {
    const mail::MessageRef ref = {mailbox, std::string(mail::kInbox), uids[0]};
    const auto message = Get(world.messages().Get(ref));
    if (!message.ok()) return Describe(message.status());
    const auto text = Get(mail::ReadAll(&world.messages(), ref, offset, length));
    if (text.ok() && text->size() == message->entry.size() && !IsWhole(*text))
      Fail("it is not what was stored");
    return absl::StrCat(Describe(*message), ": ", Describe(text));
  });
}

void Client::Recalculate() {
  const Address mailbox = RandomMailbox();
  Both(absl::StrCat("adding up ", mailbox.ToString()), [&](World& world) {
    const auto audit = Get(world.messages().Recalculate(mailbox));
    if (audit.ok() && !audit->Clean()) Fail(Describe(*audit));
    return Describe(audit);
  });
}

void Client::Copy() {
  const Address from = RandomMailbox(), to = RandomMailbox();
  const std::vector<uint64_t> uids = RandomUids(from);
  if (uids.empty()) return;
  const std::string request_id = NewRequestId();
  Both(absl::StrCat("copying ", uids[0], " of ", from.ToString(), " to ", to.ToString()), [&](World& world) {
    absl::StatusOr<FoundEntry> found = Find(world, from, uids[0]);
    if (!found.ok()) return Describe(found.status());
    const auto target = Get(world.provisioning().GetMailbox(to));
    if (!target.ok()) return Describe(target.status());
    // It is bound by quota: it asks for room first, which may take a silent
    // reservation's. Nobody comes in between.
    const engine::TransactionId id = mail::MakeTransactionId(caller_, request_id);
    if (!embedded::Await<absl::StatusOr<engine::OpenResult>>([&](auto done) {
           world.engine().Open(id, 0, std::move(done));
         }).ok()) {
      return std::string("not opened");
    }
    const auto room = embedded::Await<absl::StatusOr<engine::ReserveResult>>([&](auto done) {
      const uint64_t bytes = found->entry.size();
      world.engine().Reserve(id, target->number, {.bytes = bytes, .at_least = bytes}, std::move(done));
    });
    world.engine().Close(id);
    if (!room.ok() || !std::holds_alternative<engine::Granted>(*room)) return std::string("no room");
    mail::stored::Entry entry = found->entry;
    const absl::Status copied = embedded::Await<absl::Status>([&](auto done) {
      world.engine().Update(
          engine::PartitionId::Mailbox(target->number), {},
          [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
            if (view.head == nullptr) return absl::NotFoundError("gone");
            engine::Change change;
            change.head = *view.head;
            mail::stored::MailboxHead& head = *change.head.mutable_mailbox();
            entry.set_uid(head.uid_next());
            entry.set_modseq(head.highest_modseq() + 1);
            entry.set_exempt(false);
            head.set_uid_next(head.uid_next() + 1);
            head.set_highest_modseq(entry.modseq());
            head.set_used_bytes(head.used_bytes() + entry.size());
            head.set_used_messages(head.used_messages() + 1);
            change.puts.emplace_back(engine::EntryKey(entry.uid()), entry.SerializeAsString());
            change.added_bodies = {engine::BodyId{entry.body()}};
            return change;
          },
          std::move(done));
    });
    return Describe(copied);
  });
}

void Client::Flag() {
  const Address mailbox = RandomMailbox();
  const std::vector<uint64_t> uids = RandomUids(mailbox);
  if (uids.empty()) return;
  const auto flags = static_cast<uint32_t>(dice_.Below(32));
  Both(absl::StrCat("flagging ", uids[0], " of ", mailbox.ToString()), [&](World& world) {
    const absl::StatusOr<FoundEntry> found = Find(world, mailbox, uids[0]);
    if (!found.ok()) return Describe(found.status());
    const std::string key = engine::EntryKey(uids[0]);
    return Describe(embedded::Await<absl::Status>([&](auto done) {
      world.engine().Update(
          engine::PartitionId::Mailbox(found->mailbox), {key},
          [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
            const auto it = view.values.find(key);
            mail::stored::Entry entry;
            if (view.head == nullptr || it == view.values.end() || !entry.ParseFromString(it->second)) {
              return absl::NotFoundError("gone");
            }
            engine::Change change;
            change.head = *view.head;
            change.head.mutable_mailbox()->set_highest_modseq(view.head->mailbox().highest_modseq() + 1);
            entry.set_modseq(change.head.mailbox().highest_modseq());
            entry.set_flags(flags);
            change.puts.emplace_back(key, entry.SerializeAsString());
            return change;
          },
          std::move(done));
    }));
  });
}

}  // namespace restante::model
