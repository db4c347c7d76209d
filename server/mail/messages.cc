#include "server/mail/messages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/directory.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/folders.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

// A message to 100 recipients with parameters of DSN has an entry of up to 150 KiB; a
// page of such has to fit into what gRPC takes (4 MiB by default).
constexpr size_t kPageOctets = 1024 * 1024;
// Entries that are read at once.
constexpr size_t kScanned = 100;

std::string NameOf(const MessageView& message) {
  return MessageName(message.mailbox, message.folder, message.entry.uid());
}

}  // namespace

Messages::Messages(engine::Engine* engine, uint64_t max_message, const Clock* clock)
    : engine_(engine), max_message_(max_message), clock_(clock) {}

Task<absl::StatusOr<MessagePage>> Messages::List(ParentRef parent, uint64_t after, size_t limit,
                                                 std::optional<int64_t> arrived_before_us) {
  CO_ASSIGN_OR_RETURN(FoundMailbox found, co_await FindMailbox(engine_, parent.mailbox));
  const stored::MailboxHead& head = found.read.head->mailbox();
  std::optional<uint32_t> folder;
  if (parent.folder) {
    CO_ASSIGN_OR_RETURN(const stored::Folder in, FindFolder(head, *parent.folder));
    folder = in.id();
  }
  const std::string asked = parent.mailbox.ToString();
  MessagePage page;
  if (after == UINT64_MAX) co_return std::move(page);
  size_t octets = 0;
  bool more = true;
  while (more && limit > 0) {
    CO_ASSIGN_OR_RETURN(engine::ScanPage scan,
                        co_await Scan(engine_, PartitionId::Mailbox(found.number),
                                      engine::EntryKey(after + 1), kEntriesTo, std::min(limit, kScanned)));
    more = scan.more;
    limit -= std::min(limit, scan.items.size());
    for (const auto& [key, value] : scan.items) {
      if (octets >= kPageOctets) {
        page.next = after;
        co_return std::move(page);
      }
      CO_ASSIGN_OR_RETURN(stored::Entry entry, ParseEntry(value));
      after = entry.uid();
      octets += value.size();
      if (folder && entry.folder() != *folder) continue;
      if (arrived_before_us && entry.arrival_us() >= *arrived_before_us) continue;
      guesses_.Keep(asked, entry.uid(), {.body = engine::BodyId{entry.body()}, .size = entry.size()});
      MessageView view;
      view.mailbox = head.address();
      view.folder = NameOfFolder(head, entry.folder());
      view.entry = std::move(entry);
      page.items.push_back(std::move(view));
    }
  }
  if (more) page.next = after;
  co_return std::move(page);
}

Task<absl::StatusOr<MessageView>> Messages::Get(MessageRef ref) {
  const std::string key = engine::EntryKey(ref.uid);
  std::vector<std::string> keys = {key};
  CO_ASSIGN_OR_RETURN(const FoundMailbox found, co_await FindMailbox(engine_, ref.mailbox, std::move(keys)));
  const stored::MailboxHead& head = found.read.head->mailbox();
  CO_ASSIGN_OR_RETURN(const stored::Folder folder, FindFolder(head, ref.folder));
  const std::string name = MessageName(head.address(), ref.folder, ref.uid);
  const auto it = found.read.values.find(key);
  if (it == found.read.values.end()) co_return NotFound(name);
  absl::StatusOr<stored::Entry> entry = ParseEntry(it->second);
  if (!entry.ok()) co_return Annotate(entry.status(), name);
  if (entry->folder() != folder.id()) co_return NotFound(name);
  MessageView view;
  view.mailbox = head.address();
  view.folder = folder.name();
  view.entry = *std::move(entry);
  co_return std::move(view);
}

Task<absl::StatusOr<MessageReading>> Messages::Read(MessageRef ref, uint64_t offset, uint64_t length) {
  // What is likely to be read is on its way while it is found out.
  const std::string asked = ref.mailbox.ToString();
  const std::optional<BodyGuesses::Guess> guess = guesses_.Find(asked, ref.uid);
  std::optional<MessageText> early;
  if (guess && offset < guess->size) early.emplace(engine_, guess->body, guess->size, offset, length);
  CO_ASSIGN_OR_RETURN(MessageView message, co_await Get(ref));
  const uint64_t size = message.entry.size();
  const engine::BodyId body{message.entry.body()};
  if (offset > size) {
    co_return Error(absl::StatusCode::kOutOfRange, "OUT_OF_RANGE", NameOf(message),
                    absl::StrCat("offset ", offset, " lies beyond the end at ", size));
  }
  if (!early || early->body() != body) early.emplace(engine_, body, size, offset, length);
  guesses_.Keep(asked, ref.uid, {.body = body, .size = size});
  co_return MessageReading{.message = std::move(message), .text = *std::move(early)};
}

Task<absl::StatusOr<std::string>> Messages::NextOf(MessageReading* reading) {
  absl::StatusOr<std::string> octets = co_await reading->text.Next();
  if (octets.ok()) co_return std::move(octets);
  const std::string name = NameOf(reading->message);
  if (absl::IsNotFound(octets.status())) co_return NotFound(name);
  if (absl::IsDataLoss(octets.status())) {
    co_return Error(absl::StatusCode::kDataLoss, "DAMAGED", name, octets.status().message());
  }
  co_return octets.status();
}

Task<absl::StatusOr<EntrySums>> Messages::Delete(ParentRef parent, std::vector<uint64_t> uids) {
  CO_ASSIGN_OR_RETURN(FoundMailbox found, co_await FindMailbox(engine_, parent.mailbox));
  std::optional<uint32_t> folder;
  if (parent.folder) {
    CO_ASSIGN_OR_RETURN(const stored::Folder in, FindFolder(found.read.head->mailbox(), *parent.folder));
    folder = in.id();
  }
  std::vector<std::string> keys;
  for (uint64_t uid : uids) keys.push_back(engine::EntryKey(uid));
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  EntrySums erased;
  CO_RETURN_IF_ERROR(co_await Update(engine_, PartitionId::Mailbox(found.number), keys,
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       if (view.head == nullptr) return NotFound(MailboxName(parent.mailbox));
                                       return EraseEntries(view, keys, folder, erased);
                                     }));
  co_return erased;
}

Task<absl::StatusOr<Audit>> Messages::Recalculate(Address address) {
  CO_ASSIGN_OR_RETURN(FoundMailbox found, co_await FindMailbox(engine_, address));
  auto audit = co_await AuditMailbox(engine_, found.number, true);
  if (audit.ok()) drift_.Add(*audit, clock_->WallMicros());
  co_return std::move(audit);
}

}  // namespace restante::mail
