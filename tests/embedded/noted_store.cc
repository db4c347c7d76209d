#include "tests/embedded/noted_store.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status_macros.h"
#include "tests/embedded/delivery.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {

using engine::PartitionId;
using engine::Verdict;
using engine::View;

namespace {

// The same text for the same number. Every fourth shrinks on disk.
std::string TextOf(uint64_t number, size_t bytes) {
  std::string text = absl::StrCat(number, ":");
  if (number % 4 != 1) {
    text += Noise(bytes, number);
  } else {
    while (text.size() < bytes) absl::StrAppend(&text, "line ", text.size() % 97, " of a long letter\r\n");
  }
  text.resize(std::max(bytes, text.find(':') + 1));
  return text;
}

constexpr absl::Duration kPatience = absl::Minutes(2);

// Told to come back later: waits a moment and says whether to.
bool ComeBack(const absl::Status& status, absl::Time deadline) {
  if (!absl::IsUnavailable(status) || absl::Now() > deadline) return false;
  absl::SleepFor(absl::Milliseconds(1));
  return true;
}

engine::TransactionId IdOf(uint64_t number) {
  engine::TransactionId id;
  const uint64_t words[2] = {number * 0x9e3779b97f4a7c15, number};
  std::memcpy(id.octets.data(), words, sizeof(words));
  return id;
}

}  // namespace

Options SmallOptions() {
  Options options;
  // A directory whose parent is missing too.
  options.data_dir = "/srv/store";
  options.create = true;
  options.ballast = 16 << 10;
  options.disk_reserve = 32 << 10;
  options.segment_bytes = 16 << 10;
  options.checkpoint_bytes = 6 << 10;
  options.own_file_bytes = 24 << 10;
  options.maintenance_interval = absl::Milliseconds(2);
  options.log = [](LogLevel, const std::string&) {};
  return options;
}

Options LazyOptions() {
  Options options = SmallOptions();
  options.checkpoint_bytes = 1 << 20;
  return options;
}

NotedStore::NotedStore(SimulatedDisk* disk, Options options, History history,
                       std::unique_ptr<engine::Engine> engine)
    : disk_(disk), options_(std::move(options)), engine_(std::move(engine)), history_(std::move(history)) {}

absl::Status NotedStore::Open() {
  engine_.reset();
  {
    absl::MutexLock lock(&mutex_);
    if (history_.created.told == Act::kNever) history_.created.asked = now();
  }
  RETURN_IF_ERROR(Start(/*rebuild=*/false));
  absl::MutexLock lock(&mutex_);
  history_.created.yes = true;
  history_.created.told = std::min(history_.created.told, now());
  return absl::OkStatus();
}

absl::Status NotedStore::OpenRebuilding() {
  engine_.reset();
  {
    absl::MutexLock lock(&mutex_);
    history_.rebuilds.push_back({.asked = now()});
  }
  RETURN_IF_ERROR(Start(/*rebuild=*/true));
  absl::MutexLock lock(&mutex_);
  history_.rebuilds.back().told = now();
  return absl::OkStatus();
}

absl::Status NotedStore::Start(bool rebuild) {
  Options options = options_;
  options.files = disk_;
  options.rebuild_index = rebuild;
  ASSIGN_OR_RETURN(engine_, embedded::Open(std::move(options)));
  return absl::OkStatus();
}

absl::Status NotedStore::Compact() {
  absl::Status status;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    status = Await<absl::Status>([&](auto done) {
      engine_->Compact([](const engine::UpkeepProgress&) { return true; }, std::move(done));
    });
  } while (ComeBack(status, deadline));
  return status;
}

absl::Status NotedStore::BackUp() {
  absl::Status status;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    status = Await<absl::StatusOr<engine::BackupSummary>>([&](auto done) {
               engine_->Backup(
                   {.directory = "/srv/backup"}, [](const engine::UpkeepProgress&) { return true; },
                   std::move(done));
             }).status();
  } while (ComeBack(status, deadline));
  return absl::IsFailedPrecondition(status) ? absl::NotFoundError("one is running") : status;
}

void NotedStore::AwaitOperation(SimulatedDisk::Kind kind, const std::string& path_contains,
                                int64_t after) const {
  const absl::Time deadline = absl::Now() + kPatience;
  for (int64_t number = after + 1;; ++number) {
    while (number > now()) {
      if (absl::Now() > deadline) {
        std::cerr << "no such operation ever came: " << path_contains << "\n";
        std::abort();
      }
      absl::SleepFor(absl::Microseconds(200));
    }
    const DiskOperation operation = disk_->operation(static_cast<uint64_t>(number));
    if (operation.kind == kind && absl::StrContains(operation.path, path_contains)) return;
  }
}

History NotedStore::history() const {
  absl::MutexLock lock(&mutex_);
  return history_;
}

std::vector<uint64_t> NotedStore::Partitions(PartitionId::Kind kind) const {
  absl::MutexLock lock(&mutex_);
  std::vector<uint64_t> numbers;
  for (const Made& made : history_.partitions) {
    if (made.partition.kind == kind && made.act.told != Act::kNever && made.act.yes) {
      numbers.push_back(made.partition.number);
    }
  }
  return numbers;
}

size_t NotedStore::mailboxes() const { return Partitions(PartitionId::Kind::kMailbox).size(); }

std::vector<uint64_t> NotedStore::UidsOf(uint64_t mailbox) const {
  std::vector<uint64_t> uids;
  for (const Sent& sent : history_.sent) {
    const auto uid = sent.uids.find(mailbox);
    if (uid == sent.uids.end()) continue;
    const Fate fate = history_.Expunging(mailbox, uid->second, Act::kNever - 1);
    if (fate != Fate::kYes && fate != Fate::kInFlight) uids.push_back(uid->second);
  }
  std::sort(uids.begin(), uids.end());
  return uids;
}

// --- settings -----------------------------------------------------------------------

absl::Status NotedStore::Change(PartitionId partition, std::vector<std::string> keys, engine::UpdateFn fn,
                                int64_t* told) {
  absl::Status status;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    status = Await<absl::Status>([&](auto done) {
      engine_->Update(partition, keys, fn, [this, told, done = std::move(done)](absl::Status answer) mutable {
        *told = now();
        done(std::move(answer));
      });
    });
  } while (ComeBack(status, deadline));
  // Nobody knows.
  if (absl::IsUnknown(status)) *told = Act::kNever;
  return status;
}

absl::Status NotedStore::Make(PartitionId partition, const stored::Head& head) {
  size_t at = 0;
  {
    absl::MutexLock lock(&mutex_);
    at = history_.partitions.size();
    history_.partitions.push_back({.act = {.asked = now()}, .partition = partition});
  }
  int64_t told = 0;
  absl::Status status = Change(
      partition, {},
      [head](const View&) -> absl::StatusOr<Verdict> {
        engine::Change change;
        change.head = head;
        return change;
      },
      &told);
  absl::MutexLock lock(&mutex_);
  Act& act = history_.partitions[at].act;
  act.told = told;
  act.yes = status.ok();
  return status;
}

absl::Status NotedStore::MakeMailbox() {
  stored::Head head;
  if (Partitions(PartitionId::Kind::kDomain).empty()) {
    head.mutable_domain()->set_name("example.org");
    RETURN_IF_ERROR(Make(PartitionId::Domain(engine_->NewNumber()), head));
  }
  const uint64_t number = engine_->NewNumber();
  head.mutable_mailbox()->set_address(absl::StrCat("user", number, "@example.org"));
  head.mutable_mailbox()->set_domain(Partitions(PartitionId::Kind::kDomain).front());
  head.mutable_mailbox()->set_uid_next(1);
  return Make(PartitionId::Mailbox(number), head);
}

absl::Status NotedStore::SetLimit(size_t place, uint64_t bytes) {
  const uint64_t mailbox = Partitions(PartitionId::Kind::kMailbox).at(place);
  size_t at = 0;
  {
    absl::MutexLock lock(&mutex_);
    at = history_.settings.size();
    history_.settings.push_back({.act = {.asked = now()}, .mailbox = mailbox, .value = bytes});
  }
  int64_t told = 0;
  absl::Status status = Change(
      PartitionId::Mailbox(mailbox), {},
      [bytes](const View& view) -> absl::StatusOr<Verdict> {
        engine::Change change;
        change.head = *view.head;
        stored::Limit& limit = *change.head.mutable_mailbox()->mutable_max_bytes();
        limit.set_kind(stored::Limit::VALUE);
        limit.set_value(bytes);
        return change;
      },
      &told);
  absl::MutexLock lock(&mutex_);
  Act& act = history_.settings[at].act;
  act.told = told;
  act.yes = status.ok();
  return status;
}

absl::Status NotedStore::SetFlags(size_t place, uint32_t flags) {
  const uint64_t mailbox = Partitions(PartitionId::Kind::kMailbox).at(place);
  size_t at = 0;
  uint64_t uid = 0;
  {
    absl::MutexLock lock(&mutex_);
    const std::vector<uint64_t> uids = UidsOf(mailbox);
    if (uids.empty()) return absl::NotFoundError("no message");
    uid = uids.back();
    at = history_.settings.size();
    history_.settings.push_back({.act = {.asked = now()}, .mailbox = mailbox, .uid = uid, .value = flags});
  }
  int64_t told = 0;
  const std::string key = engine::EntryKey(uid);
  absl::Status status = Change(
      PartitionId::Mailbox(mailbox), {key},
      [key, flags](const View& view) -> absl::StatusOr<Verdict> {
        const auto it = view.values.find(key);
        stored::Entry entry;
        if (it == view.values.end() || !entry.ParseFromString(it->second)) {
          return absl::NotFoundError("no message");
        }
        entry.set_flags(flags);
        engine::Change change;
        change.head = *view.head;
        change.puts = {{key, entry.SerializeAsString()}};
        return change;
      },
      &told);
  absl::MutexLock lock(&mutex_);
  Act& act = history_.settings[at].act;
  act.told = told;
  act.yes = status.ok();
  return status;
}

absl::Status NotedStore::PutInDirectory(size_t bytes) {
  size_t at = 0;
  {
    absl::MutexLock lock(&mutex_);
    at = history_.settings.size();
    history_.settings.push_back({.act = {.asked = now()}, .value = bytes});
  }
  int64_t told = 0;
  absl::Status status = Change(
      PartitionId::Directory(), {},
      [bytes](const View& view) -> absl::StatusOr<Verdict> {
        engine::Change change;
        change.head = *view.head;
        change.puts = {{kLargeKey, Noise(bytes, bytes)}};
        return change;
      },
      &told);
  absl::MutexLock lock(&mutex_);
  Act& act = history_.settings[at].act;
  act.told = told;
  act.yes = status.ok();
  return status;
}

// --- messages -----------------------------------------------------------------------

Sent NotedStore::NewMessage(const std::vector<size_t>& to, size_t bytes) {
  Sent sent;
  const std::vector<uint64_t> all = Partitions(PartitionId::Kind::kMailbox);
  for (const size_t place : to) sent.mailboxes.push_back(all.at(place));
  absl::MutexLock lock(&mutex_);
  sent.number = history_.next_number++;
  sent.id = IdOf(sent.number);
  sent.text = std::make_shared<std::string>(TextOf(sent.number, bytes));
  return sent;
}

absl::Status NotedStore::Deliver(const std::vector<size_t>& to, size_t bytes) {
  Sent sent = NewMessage(to, bytes);
  size_t at = 0;
  {
    absl::MutexLock lock(&mutex_);
    at = history_.sent.size();
    history_.sent.push_back(std::move(sent));
  }
  return Send(at);
}

absl::Status NotedStore::SendAgain(uint64_t number) {
  size_t at = 0;
  {
    absl::MutexLock lock(&mutex_);
    while (history_.sent.at(at).number != number) ++at;
  }
  return Send(at);
}

absl::Status NotedStore::Send(size_t at) {
  Sent sent;
  {
    absl::MutexLock lock(&mutex_);
    history_.sent[at].acts.push_back({.asked = now()});
    sent = history_.sent[at];
  }
  int64_t told = Act::kNever;
  Delivery delivery{.transaction = sent.id, .text = *sent.text, .retry_key = sent.RetryKey()};
  delivery.answered = [&] { told = now(); };
  for (const uint64_t mailbox : sent.mailboxes) delivery.entries.emplace_back(mailbox, stored::Entry());
  absl::StatusOr<stored::Receipt> receipt;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    told = Act::kNever;
    receipt = embedded::Deliver(*engine_, delivery);
    if (told == Act::kNever) told = now();
  } while (ComeBack(receipt.status(), deadline));
  if (absl::IsUnknown(receipt.status())) {
    // As a front end does: it asks until it is told.
    told = Act::kNever;
    {
      absl::MutexLock lock(&mutex_);
      history_.sent[at].settled = {.asked = now()};
    }
    do {
      receipt = Await<absl::StatusOr<stored::Receipt>>(
          [&](auto done) { engine_->Settle(sent.id, sent.mailboxes, std::move(done)); });
    } while (ComeBack(receipt.status(), deadline));
    if (receipt.ok()) told = now();
  }
  absl::MutexLock lock(&mutex_);
  Act& act = history_.sent[at].acts.back();
  act.told = told;
  act.yes = receipt.ok() && receipt->committed();
  Act& settled = history_.sent[at].settled;
  if (settled.asked != Act::kNever && settled.told == Act::kNever) {
    settled.told = told;
    settled.yes = receipt.ok() && !receipt->committed();
  }
  if (!receipt.ok()) return receipt.status();
  if (!receipt->committed()) return absl::AbortedError("settled: it never commits");
  for (const stored::ReceiptRecipient& recipient : receipt->recipients()) {
    history_.sent[at].uids[recipient.mailbox()] = recipient.uid();
  }
  // Of every third message the answer arrives.
  history_.sent[at].handed_over = sent.number % 3 == 0;
  if (history_.sent[at].handed_over) engine_->HandedOver(sent.id, {});
  return absl::OkStatus();
}

absl::Status NotedStore::Retry(uint64_t number) {
  size_t at = 0;
  Sent sent;
  engine::TransactionId id;
  {
    absl::MutexLock lock(&mutex_);
    while (history_.sent.at(at).number != number) ++at;
    sent = history_.sent[at];
    id = IdOf(history_.next_number++);
    history_.sent[at].acts.push_back({.asked = now()});
  }
  const bool stored_before = sent.At(now()) == Fate::kYes;
  int64_t told = Act::kNever;
  Delivery delivery{.transaction = id, .text = *sent.text, .retry_key = sent.RetryKey()};
  delivery.answered = [&] { told = now(); };
  for (const uint64_t mailbox : sent.mailboxes) delivery.entries.emplace_back(mailbox, stored::Entry());
  absl::StatusOr<stored::Receipt> receipt;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    receipt = embedded::Deliver(*engine_, delivery);
  } while (ComeBack(receipt.status(), deadline));
  RETURN_IF_ERROR(receipt.status());
  absl::MutexLock lock(&mutex_);
  Sent& noted = history_.sent[at];
  for (const stored::ReceiptRecipient& recipient : receipt->recipients()) {
    const bool suppressed = !recipient.stored_by().empty();
    if (suppressed != stored_before) {
      return absl::InternalError(
          absl::StrCat("mailbox ", recipient.mailbox(), ": ",
                       suppressed ? "does not have it, and was suppressed" : "had it, and was stored again"));
    }
    if (suppressed &&
        (recipient.stored_by() != sent.id.ToBytes() || recipient.uid() != noted.uids[recipient.mailbox()])) {
      return absl::InternalError(absl::StrCat("mailbox ", recipient.mailbox(), ": suppressed as UID ",
                                              recipient.uid(), ", has it as ",
                                              noted.uids[recipient.mailbox()]));
    }
    noted.uids[recipient.mailbox()] = recipient.uid();
  }
  if (stored_before) {
    noted.acts.pop_back();
    return absl::OkStatus();
  }
  noted.id = id;
  noted.acts.back().told = told;
  noted.acts.back().yes = true;
  return absl::OkStatus();
}

absl::Status NotedStore::Abandon(size_t to, size_t bytes) {
  Sent sent = NewMessage({to}, bytes);
  const engine::TransactionId id = sent.id;
  const std::string text = *sent.text;
  {
    absl::MutexLock lock(&mutex_);
    sent.acts = {{.asked = now(), .told = now()}};
    history_.sent.push_back(std::move(sent));
  }
  absl::Status status;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    status = Await<absl::StatusOr<engine::OpenResult>>([&](auto done) {
               engine_->Open(id, text.size(), std::move(done));
             }).status();
  } while (ComeBack(status, deadline));
  RETURN_IF_ERROR(status);
  const std::unique_ptr<engine::BodyWriter> writer = engine_->NewBody(text.size());
  status = Await<absl::Status>([&](auto done) { writer->Append(text, std::move(done)); });
  if (status.ok()) {
    status = Await<absl::StatusOr<std::unique_ptr<engine::StagedBody>>>([&](auto done) {
               writer->Finish(std::move(done));
             }).status();
  }
  engine_->Close(id);
  return status;
}

absl::Status NotedStore::Expunge(size_t place) {
  const uint64_t mailbox = Partitions(PartitionId::Kind::kMailbox).at(place);
  size_t at = 0;
  uint64_t uid = 0;
  {
    absl::MutexLock lock(&mutex_);
    const std::vector<uint64_t> uids = UidsOf(mailbox);
    if (uids.empty()) return absl::NotFoundError("no message");
    uid = uids.front();
    at = history_.expunged.size();
    history_.expunged.push_back({.act = {.asked = now()}, .mailbox = mailbox, .uid = uid});
  }
  absl::Status status;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    status = embedded::Expunge(*engine_, mailbox, uid);
  } while (ComeBack(status, deadline));
  absl::MutexLock lock(&mutex_);
  Act& act = history_.expunged[at].act;
  if (!absl::IsUnknown(status)) act.told = now();
  act.yes = status.ok();
  return status;
}

absl::Status NotedStore::SettleUnused() {
  Sent sent = NewMessage({}, 0);
  const uint64_t number = sent.number;
  {
    absl::MutexLock lock(&mutex_);
    history_.sent.push_back(std::move(sent));
  }
  const absl::Status status = Settle(number);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status NotedStore::Settle(uint64_t number) {
  size_t at = 0;
  Sent sent;
  {
    absl::MutexLock lock(&mutex_);
    while (history_.sent.at(at).number != number) ++at;
    sent = history_.sent[at];
    history_.sent[at].settled.asked = now();
  }
  int64_t told = 0;
  absl::StatusOr<stored::Receipt> receipt;
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    receipt = Await<absl::StatusOr<stored::Receipt>>([&](auto done) {
      engine_->Settle(sent.id, sent.mailboxes,
                      [&told, this, done = std::move(done)](absl::StatusOr<stored::Receipt> answer) mutable {
                        told = now();
                        done(std::move(answer));
                      });
    });
  } while (ComeBack(receipt.status(), deadline));
  if (!receipt.ok()) return receipt.status();
  absl::MutexLock lock(&mutex_);
  history_.sent[at].settled.told = told;
  history_.sent[at].settled.yes = !receipt->committed();
  return receipt->committed() ? absl::OkStatus() : absl::NotFoundError("it never commits");
}

}  // namespace restante::embedded
