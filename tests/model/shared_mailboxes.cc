#include "tests/model/shared_mailboxes.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/mail/append.h"
#include "server/mail/names.h"
#include "tests/mail/read_all.h"
#include "tests/model/conversation.h"
#include "tests/model/describe.h"

namespace restante::model {

using mail::Address;
using mail::stored::Limit;

namespace {

constexpr absl::string_view kDomain = "shared.example";
constexpr uint64_t kPool = 20'000;
constexpr uint64_t kBytes = 8'000;
constexpr uint64_t kMessages = 40;
// Deliveries of a round that several clients may send, each the same.
constexpr uint64_t kAlike = 8;

const std::vector<std::string> kNames = {"ann", "bob", "eve"};

Limit ValueOf(uint64_t value) {
  Limit limit;
  limit.set_kind(Limit::VALUE);
  limit.set_value(value);
  return limit;
}

Address AddressOf(const std::string& name) { return {name, std::string(kDomain)}; }

}  // namespace

SharedMailboxes::SharedMailboxes(Worlds worlds, uint64_t grace_bytes, Judge* judge)
    : worlds_(worlds), grace_bytes_(grace_bytes), judge_(judge) {}

absl::Status SharedMailboxes::Make() {
  for (const Which which : {kEmbedded, kMemory}) {
    mail::Provisioning& provisioning = worlds_[which].provisioning();
    RETURN_IF_ERROR(
        Get(provisioning.CreateDomain(std::string(kDomain), {.max_bytes = ValueOf(kPool)}, "")).status());
    for (const std::string& name : kNames) {
      RETURN_IF_ERROR(
          Get(provisioning.CreateMailbox(
                  AddressOf(name), {.max_bytes = ValueOf(kBytes), .max_messages = ValueOf(kMessages)}, ""))
              .status());
    }
  }
  return absl::OkStatus();
}

void SharedMailboxes::Step(Dice& dice) {
  switch (dice.Below(10)) {
    case 0:
      Recalculate(dice);
      break;
    case 1:
      Append(dice);
      break;
    case 2:
    case 3:
      Read(dice);
      break;
    case 4:
    case 5:
      Expunge(dice);
      break;
    default:
      Deliver(dice);
  }
  CheckBounds(*worlds_.embedded);
  CheckBounds(*worlds_.memory);
}

void SharedMailboxes::Fail(World& world, const std::string& what) {
  judge_->Fail(absl::StrCat("after step ", judge_->steps(), ", shared mailboxes of the ",
                            kWhichNames[world.which()], " store: ", what));
}

// --- operations ----------------------------------------------------------------------

void SharedMailboxes::Deliver(Dice& dice) {
  // Everything about it follows from its number: whoever sends it sends the same.
  const uint64_t number = dice.OneIn(3) ? round_ * kAlike + dice.Below(kAlike) : dice() | (uint64_t{1} << 63);
  Dice its(number);
  Letter letter;
  const uint64_t id[2] = {number, 0};
  letter.request_id.assign(reinterpret_cast<const char*>(id), sizeof(id));
  letter.mode = its.OneIn(2) ? v1::Begin::ALL_OR_NONE : v1::Begin::PER_RECIPIENT;
  letter.sender = "sender@example.net";
  letter.client = "192.0.2.200";
  letter.text = MakeText(number, 80 + its.Below(its.OneIn(4) ? 8'000 : 1'000));
  if (!its.OneIn(4)) letter.declared = letter.text.size() - (its.OneIn(4) ? 50 : 0);
  for (uint64_t i = 1 + its.Below(3); i > 0; --i)
    letter.recipients.push_back(AddressOf(its.Pick(kNames)).ToString());
  const bool settle = dice.OneIn(10);

  for (const Which which : {kEmbedded, kMemory}) {
    World& world = worlds_[which];
    const std::shared_ptr<Conversation> with = Conversation::Begin(world.deliveries(), "shared");
    with->Tell(letter.Begin());
    for (size_t i = 0; i < letter.recipients.size(); ++i) with->Tell(letter.Recipient(i));
    with->Tell(Letter::Data());
    with->Tell(letter.Chunk(0, letter.text.size()));
    with->Tell(letter.Commit());
    absl::StatusOr<v1::GetReceiptResponse> settled = absl::CancelledError("");
    if (settle) {
      settled = embedded::Await<absl::StatusOr<v1::GetReceiptResponse>>(
          [&](auto done) { world.deliveries().Settle("shared", letter.request_id, {}, std::move(done)); });
      if (!settled.ok()) Fail(world, absl::StrCat("GetReceipt: ", settled.status().ToString()));
    }
    const std::string answers = with->Answers();
    if (!with->over()) with->HangUp();
    StoreAll(world, with->receipts(), letter.text.size());
    if (which == kEmbedded) judge_->Saw(absl::StrCat("shared ", v1::Outcome_Name(with->outcome())));
    if (!settled.ok()) continue;
    if (settled->committed()) {
      StoreAll(world, settled->receipts(), letter.text.size());
    } else {
      if (with->receipts().committed()) {
        Fail(world, absl::StrCat("said to be not committed, and then: ", answers));
      }
      absl::MutexLock lock(&mutex_);
      tombstones_[which].insert(number);
    }
  }
}

void SharedMailboxes::Append(Dice& dice) {
  const std::string name = dice.Pick(kNames);
  mail::AppendHeader header;
  header.parent.mailbox = AddressOf(name);
  header.caller = "shared";
  const std::string text = MakeText(dice(), 80 + dice.Below(1'000));
  header.size = text.size();
  for (const Which which : {kEmbedded, kMemory}) {
    mail::Append append(&worlds_[which].messages());
    if (!Get(append.Begin(header)).ok() || !Get(append.Write(text)).ok()) continue;
    const auto stored = Get(append.Finish());
    if (!stored.ok()) {
      // It was granted its room.
      Fail(worlds_[which], absl::StrCat("AppendMessage: ", Describe(stored.status())));
      continue;
    }
    Store(worlds_[which], name, stored->entry.uid(), text.size());
  }
}

void SharedMailboxes::Expunge(Dice& dice) {
  const std::string name = dice.Pick(kNames);
  for (const Which which : {kEmbedded, kMemory}) {
    const std::vector<uint64_t> uids = SomeUids(worlds_[which], name, dice.OneIn(4) ? 30 : 3, dice);
    {
      // Before it happens: others may miss them at once.
      absl::MutexLock lock(&mutex_);
      told_[which][name].expunged.insert(uids.begin(), uids.end());
    }
    const auto gone = Get(worlds_[which].messages().Delete({AddressOf(name), std::nullopt}, uids));
    if (!gone.ok()) {
      Fail(worlds_[which], absl::StrCat("expunging: ", Describe(gone.status())));
      continue;
    }
    absl::MutexLock lock(&mutex_);
    told_[which][name].gone_bytes += gone->bytes;
    told_[which][name].gone_messages += gone->messages;
  }
}

void SharedMailboxes::Read(Dice& dice) {
  const std::string name = dice.Pick(kNames);
  for (const Which which : {kEmbedded, kMemory}) {
    World& world = worlds_[which];
    for (const uint64_t uid : SomeUids(world, name, 1, dice)) {
      const mail::MessageRef ref = {AddressOf(name), std::string(mail::kInbox), uid};
      const auto message = Get(world.messages().Get(ref));
      absl::Status status = message.status();
      if (message.ok()) {
        const auto text = Get(mail::ReadAll(&world.messages(), ref));
        status = text.status();
        if (text.ok() && (text->size() != message->entry.size() || !IsWhole(*text))) {
          Fail(world, absl::StrCat(name, " UID ", uid, ": not what was stored"));
        }
      }
      absl::MutexLock lock(&mutex_);
      if (!status.ok() && (!absl::IsNotFound(status) || !told_[which][name].expunged.contains(uid))) {
        Fail(world, absl::StrCat(name, " UID ", uid, ": ", Describe(status), ", and nobody expunged it"));
      }
    }
  }
}

void SharedMailboxes::Recalculate(Dice& dice) {
  const std::string name = dice.Pick(kNames);
  for (const Which which : {kEmbedded, kMemory}) {
    const auto audit = Get(worlds_[which].messages().Recalculate(AddressOf(name)));
    if (absl::IsUnavailable(audit.status())) {
      judge_->Saw("a mailbox that changed too fast to be added up");
    } else if (!audit.ok() || !audit->Clean()) {
      Fail(worlds_[which], absl::StrCat(name, ": ", Describe(audit)));
    }
  }
}

// --- what was said, and what is so -----------------------------------------------------

void SharedMailboxes::Store(World& world, const std::string& name, uint64_t uid, uint64_t size) {
  absl::MutexLock lock(&mutex_);
  Told& told = told_[world.which()][name];
  const auto [it, is_new] = told.stored.try_emplace(uid, size);
  told.uids += is_new;
  if (!is_new && it->second != size) Fail(world, absl::StrCat(name, ": UID ", uid, " was given twice"));
}

void SharedMailboxes::StoreAll(World& world, const v1::Receipts& receipts, uint64_t size) {
  for (const v1::Receipt& receipt : receipts.receipts()) {
    if (receipt.outcome() != v1::OUTCOME_OK) continue;
    const absl::StatusOr<Address> mailbox = mail::ParseMailboxName(receipt.mailbox());
    if (!mailbox.ok()) return Fail(world, absl::StrCat("a receipt for ", receipt.mailbox()));
    Store(world, mailbox->local, receipt.uid(), size);
  }
}

std::vector<uint64_t> SharedMailboxes::SomeUids(World& world, const std::string& name, size_t count,
                                                Dice& dice) {
  std::vector<uint64_t> uids;
  absl::MutexLock lock(&mutex_);
  const std::map<uint64_t, uint64_t>& stored = told_[world.which()][name].stored;
  if (stored.empty()) return uids;
  const uint64_t newest = stored.rbegin()->first;
  for (size_t i = 0; i < count; ++i) {
    const auto it = stored.lower_bound(newest - std::min<uint64_t>(newest - 1, dice.Below(60)));
    if (it != stored.end()) uids.push_back(it->first);
  }
  return uids;
}

// At any moment, whoever is under way: nothing here lowers a limit, or is exempt.
void SharedMailboxes::CheckBounds(World& world) {
  for (const std::string& name : kNames) {
    const auto mailbox = Get(world.provisioning().GetMailbox(AddressOf(name)));
    if (!mailbox.ok()) return Fail(world, Describe(mailbox.status()));
    if (mailbox->head.mailbox().used_bytes() + mailbox->reserved.bytes > kBytes + grace_bytes_ ||
        mailbox->head.mailbox().used_messages() + mailbox->reserved.messages > kMessages) {
      Fail(world, absl::StrCat("above its limit: ", Describe(mailbox)));
    }
  }
  const auto domain = Get(world.provisioning().GetDomain(std::string(kDomain)));
  if (!domain.ok() || domain->used_bytes + domain->reserved.bytes > kPool + grace_bytes_) {
    Fail(world, absl::StrCat("above its limit: ", Describe(domain)));
  }
}

void SharedMailboxes::Compare() {
  for (const Which which : {kEmbedded, kMemory}) {
    for (const std::string& name : kNames) CompareMailbox(worlds_[which], name);
    absl::MutexLock lock(&mutex_);
    tombstones_[which].clear();
  }
  ++round_;
}

void SharedMailboxes::CompareMailbox(World& world, const std::string& name) {
  const auto view = Get(world.provisioning().GetMailbox(AddressOf(name)));
  const auto page = Get(world.messages().List({AddressOf(name), std::nullopt}, 0, 10'000, std::nullopt));
  if (!view.ok() || !page.ok()) return Fail(world, absl::StrCat(Describe(view), Describe(page.status())));
  const mail::stored::MailboxHead& head = view->head.mailbox();
  absl::MutexLock lock(&mutex_);
  Told& told = told_[world.which()][name];
  uint64_t bytes = 0;
  for (const auto& [uid, size] : told.stored) bytes += size;
  if (head.used_bytes() != bytes - told.gone_bytes ||
      head.used_messages() != told.stored.size() - told.gone_messages || view->reserved.bytes != 0 ||
      view->reserved.messages != 0) {
    Fail(world, absl::StrCat(name, ": ", Describe(view), "; acknowledged were ", bytes, " bytes in ",
                             told.stored.size(), ", expunged ", told.gone_bytes, " in ", told.gone_messages));
  }
  // Every UID was acknowledged to somebody: nothing that was refused is there.
  if (head.uid_next() != told.uids + 1) {
    Fail(world, absl::StrCat(name, ": the next UID is ", head.uid_next(), ", ", told.uids,
                             " messages were acknowledged"));
  }
  std::set<uint64_t> there;
  std::set<std::string> texts;
  for (const mail::MessageView& message : page->items) {
    const uint64_t uid = message.entry.uid();
    there.insert(uid);
    const auto text = Get(mail::ReadAll(&world.messages(), {AddressOf(name), message.folder, uid}));
    const auto told_of = told.stored.find(uid);
    if (!text.ok() || !IsWhole(*text) || told_of == told.stored.end() || told_of->second != text->size()) {
      Fail(world, absl::StrCat(name, " UID ", uid, ": not what was acknowledged"));
    } else if (!texts.insert(*text).second) {
      Fail(world, absl::StrCat(name, " UID ", uid, ": stored twice"));
    } else {
      for (const uint64_t number : tombstones_[world.which()]) {
        if (absl::StartsWith(*text, absl::StrCat("letter ", number, " "))) {
          Fail(world, absl::StrCat(name, " UID ", uid, ": was said never to commit"));
        }
      }
    }
  }
  for (const auto& [uid, size] : told.stored) {
    if (!there.contains(uid) && !told.expunged.contains(uid)) {
      Fail(world, absl::StrCat(name, " UID ", uid, ": acknowledged, and lost"));
    }
  }
  std::erase_if(told.stored, [&](const auto& message) { return !there.contains(message.first); });
  told.expunged.clear();
  told.gone_bytes = told.gone_messages = 0;
}

}  // namespace restante::model
