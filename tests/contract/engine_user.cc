#include "tests/contract/engine_user.h"

#include <cstdio>
#include <cstdlib>
#include <random>

#include "absl/time/clock.h"
#include "server/engine/commit_entry.h"

namespace restante::engine {

void AwaitOrDie(const absl::Notification& done) {
  if (done.WaitForNotificationWithTimeout(absl::Minutes(2))) return;
  std::fprintf(stderr, "a callback of the engine was never called\n");
  std::abort();
}

std::string Noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text;
  text.reserve(size + 8);
  while (text.size() < size) {
    const uint64_t word = random();
    text.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  text.resize(size);
  return text;
}

// --- partitions --------------------------------------------------------------------

uint64_t EngineUser::CreateDomain(stored::Limit max_bytes) {
  const uint64_t number = engine_->NewNumber();
  EXPECT_TRUE(Update(PartitionId::Domain(number), {}, [&](const View& view) -> absl::StatusOr<Verdict> {
                if (view.head != nullptr) return absl::AlreadyExistsError("the number is taken");
                Change change;
                change.head.mutable_domain()->set_name(absl::StrCat("d", number, ".example"));
                *change.head.mutable_domain()->mutable_max_bytes() = max_bytes;
                return change;
              }).ok());
  return number;
}

uint64_t EngineUser::CreateMailbox(uint64_t domain, stored::Limit bytes, stored::Limit messages) {
  const uint64_t number = engine_->NewNumber();
  EXPECT_TRUE(Update(PartitionId::Mailbox(number), {}, [&](const View& view) -> absl::StatusOr<Verdict> {
                if (view.head != nullptr) return absl::AlreadyExistsError("the number is taken");
                Change change;
                stored::MailboxHead& head = *change.head.mutable_mailbox();
                head.set_address(absl::StrCat("m", number, "@d", domain, ".example"));
                head.set_domain(domain);
                head.set_uid_next(1);
                *head.mutable_max_bytes() = bytes;
                *head.mutable_max_messages() = messages;
                return change;
              }).ok());
  return number;
}

uint64_t EngineUser::CreateMailboxAndDomain(stored::Limit bytes, stored::Limit messages) {
  return CreateMailbox(CreateDomain(), std::move(bytes), std::move(messages));
}

absl::Status EngineUser::Update(PartitionId partition, std::vector<std::string> keys, UpdateFn fn) {
  return Await<absl::Status>([&](Done<absl::Status> done) {
    engine_->Update(partition, std::move(keys), std::move(fn), std::move(done));
  });
}

absl::Status EngineUser::ChangeMailbox(uint64_t mailbox, std::function<void(stored::MailboxHead*)> change) {
  return Update(PartitionId::Mailbox(mailbox), {}, [&](const View& view) -> absl::StatusOr<Verdict> {
    if (view.head == nullptr) return absl::NotFoundError("no such mailbox");
    Change changed;
    changed.head = *view.head;
    change(changed.head.mutable_mailbox());
    return changed;
  });
}

absl::Status EngineUser::Put(PartitionId partition, std::vector<std::pair<std::string, std::string>> values) {
  return Update(partition, {}, [&](const View& view) -> absl::StatusOr<Verdict> {
    Change change;
    if (view.head != nullptr) {
      change.head = *view.head;
    } else if (partition.kind == PartitionId::Kind::kMailbox) {
      change.head.mutable_mailbox();
    } else {
      change.head.mutable_domain();
    }
    change.puts = values;
    return change;
  });
}

absl::Status EngineUser::ErasePartition(PartitionId partition) {
  return Update(partition, {}, [](const View& view) -> absl::StatusOr<Verdict> {
    if (view.head == nullptr) return absl::NotFoundError("no such partition");
    Change change;
    change.head = *view.head;
    change.erase_partition = true;
    return change;
  });
}

ReadResult EngineUser::Read(PartitionId partition, std::vector<std::string> keys) {
  auto result = Await<absl::StatusOr<ReadResult>>(
      [&](auto done) { engine_->Read(partition, std::move(keys), std::move(done)); });
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : ReadResult();
}

ScanPage EngineUser::Scan(PartitionId partition, std::string from, std::string to, size_t limit) {
  auto page = Await<absl::StatusOr<ScanPage>>(
      [&](auto done) { engine_->Scan(partition, std::move(from), std::move(to), limit, std::move(done)); });
  EXPECT_TRUE(page.ok()) << page.status();
  return page.ok() ? *std::move(page) : ScanPage();
}

stored::MailboxHead EngineUser::HeadOf(uint64_t mailbox) {
  const ReadResult result = Read(PartitionId::Mailbox(mailbox));
  EXPECT_TRUE(result.head && result.head->has_mailbox()) << mailbox;
  return result.head ? result.head->mailbox() : stored::MailboxHead();
}

std::vector<stored::Entry> EngineUser::EntriesOf(uint64_t mailbox) {
  std::vector<stored::Entry> entries;
  std::string from = EntryKey(0);
  while (true) {
    const ScanPage page = Scan(PartitionId::Mailbox(mailbox), from, "m0", 7);
    for (const auto& [key, value] : page.items) {
      stored::Entry entry;
      EXPECT_TRUE(entry.ParseFromString(value));
      EXPECT_EQ(EntryUid(key), entry.uid());
      entries.push_back(entry);
    }
    if (!page.more || page.items.empty()) return entries;
    from = page.items.back().first + '\0';
  }
}

// --- transactions ------------------------------------------------------------------

std::string EngineUser::Open(uint64_t tx, uint64_t disk_bytes) {
  return Describe(Await<absl::StatusOr<OpenResult>>(
      [&](auto done) { engine_->Open(Id(tx), disk_bytes, std::move(done)); }));
}

std::string EngineUser::Reserve(uint64_t tx, uint64_t mailbox, uint64_t bytes) {
  return Reserve(tx, mailbox, Demand{.bytes = bytes, .at_least = bytes});
}

std::string EngineUser::Reserve(uint64_t tx, uint64_t mailbox, Demand demand) {
  return Describe(Await<absl::StatusOr<ReserveResult>>(
      [&](auto done) { engine_->Reserve(Id(tx), mailbox, demand, std::move(done)); }));
}

std::string EngineUser::Check(uint64_t mailbox, uint64_t bytes) {
  return Describe(Await<absl::StatusOr<ReserveResult>>([&](auto done) {
    engine_->Check(mailbox, Demand{.bytes = bytes, .at_least = bytes}, std::move(done));
  }));
}

std::string EngineUser::Confirm(uint64_t tx) {
  return Describe(
      Await<absl::StatusOr<Confirmed>>([&](auto done) { engine_->Confirm(Id(tx), std::move(done)); }));
}

std::string EngineUser::Extend(uint64_t tx, uint64_t bytes) {
  return Describe(
      Await<absl::StatusOr<Extended>>([&](auto done) { engine_->Extend(Id(tx), bytes, std::move(done)); }));
}

absl::StatusOr<stored::Receipt> EngineUser::Settle(uint64_t tx) {
  return Await<absl::StatusOr<stored::Receipt>>(
      [&](auto done) { engine_->Settle(Id(tx), {}, std::move(done)); });
}

std::unique_ptr<StagedBody> EngineUser::Stage(const std::string& text) {
  std::unique_ptr<BodyWriter> writer = engine_->NewBody(text.size());
  // Pieces of uneven length, so that no border is where a block ends.
  for (size_t at = 0, piece = 100'003; at < text.size(); at += piece) {
    const absl::Status status =
        Await<absl::Status>([&](auto done) { writer->Append(text.substr(at, piece), std::move(done)); });
    EXPECT_TRUE(status.ok()) << status;
  }
  auto body =
      Await<absl::StatusOr<std::unique_ptr<StagedBody>>>([&](auto done) { writer->Finish(std::move(done)); });
  EXPECT_TRUE(body.ok()) << body.status();
  return body.ok() ? *std::move(body) : nullptr;
}

CommitRequest EngineUser::CommitOf(uint64_t tx, const std::string& text,
                                   const std::vector<uint64_t>& mailboxes) {
  CommitRequest request;
  request.transaction = Id(tx);
  request.body = Stage(text);
  request.receipt.set_committed(true);
  request.receipt.set_sender("sender@elsewhere.example");
  request.receipt.set_size(text.size());
  if (request.body) request.receipt.set_crc32c(request.body->crc32c());
  for (const uint64_t mailbox : mailboxes) {
    stored::Entry entry;
    entry.set_arrival_us(clock_.WallMicros());
    entry.mutable_envelope()->set_sender("sender@elsewhere.example");
    entry.mutable_envelope()->set_recipient(absl::StrCat("to-", mailbox));
    entry.mutable_envelope()->set_envid(absl::StrCat("envid-", tx));
    request.entries.emplace_back(mailbox, std::move(entry));
    stored::ReceiptRecipient& recipient = *request.receipt.add_recipients();
    recipient.set_address(absl::StrCat("to-", mailbox));
    recipient.set_mailbox(mailbox);
    recipient.set_decided(kOutcomeOk);
    recipient.set_outcome(kOutcomeOk);
  }
  return request;
}

absl::StatusOr<stored::Receipt> EngineUser::Commit(CommitRequest request) {
  return Await<absl::StatusOr<stored::Receipt>>(
      [&](auto done) { engine_->Commit(std::move(request), std::move(done)); });
}

absl::StatusOr<stored::Receipt> EngineUser::Commit(uint64_t tx, const std::string& text,
                                                   const std::vector<uint64_t>& mailboxes) {
  return Commit(CommitOf(tx, text, mailboxes));
}

void EngineUser::MakeReady(uint64_t tx, uint64_t bytes, const std::vector<uint64_t>& mailboxes) {
  EXPECT_EQ(Open(tx, bytes), "opened");
  for (const uint64_t mailbox : mailboxes) {
    EXPECT_EQ(Reserve(tx, mailbox, bytes), absl::StrCat("granted ", bytes));
  }
  EXPECT_EQ(Confirm(tx), "confirmed");
}

stored::Receipt EngineUser::Deliver(const std::string& text, const std::vector<uint64_t>& mailboxes) {
  const uint64_t tx = next_transaction_++;
  MakeReady(tx, text.size(), mailboxes);
  auto receipt = Commit(tx, text, mailboxes);
  EXPECT_TRUE(receipt.ok()) << receipt.status();
  return receipt.ok() ? *std::move(receipt) : stored::Receipt();
}

stored::Receipt EngineUser::DeliverOnce(uint64_t tx, const std::string& retry_key, const std::string& text,
                                        const std::vector<uint64_t>& mailboxes) {
  MakeReady(tx, text.size(), mailboxes);
  CommitRequest request = CommitOf(tx, text, mailboxes);
  request.retry_key = retry_key;
  auto receipt = Commit(std::move(request));
  EXPECT_TRUE(receipt.ok()) << receipt.status();
  return receipt.ok() ? *std::move(receipt) : stored::Receipt();
}

absl::Status EngineUser::Expunge(uint64_t mailbox, uint64_t uid) {
  const std::string key = EntryKey(uid);
  return Update(PartitionId::Mailbox(mailbox), {key}, [&](const View& view) -> absl::StatusOr<Verdict> {
    const auto it = view.values.find(key);
    if (view.head == nullptr || it == view.values.end()) return absl::NotFoundError("no such message");
    stored::Entry entry;
    if (!entry.ParseFromString(it->second)) return absl::DataLossError("entry");
    Change change;
    change.head = *view.head;
    stored::MailboxHead& head = *change.head.mutable_mailbox();
    head.set_used_bytes(head.used_bytes() - entry.size());
    head.set_used_messages(head.used_messages() - 1);
    head.set_highest_modseq(head.highest_modseq() + 1);
    change.erased = {key};
    change.released_bodies = {BodyId{entry.body()}};
    return change;
  });
}

absl::Status EngineUser::Copy(const stored::Entry& entry, uint64_t to) {
  return Update(PartitionId::Mailbox(to), {}, [&](const View& view) -> absl::StatusOr<Verdict> {
    if (view.head == nullptr) return absl::NotFoundError("no such mailbox");
    Change change;
    change.head = *view.head;
    stored::Entry copy = entry;
    const uint64_t uid =
        EnterMessage({}, {.id = BodyId{entry.body()}, .size = entry.size(), .crc32c = entry.crc32c()},
                     change.head.mutable_mailbox(), &copy);
    change.puts = {{EntryKey(uid), copy.SerializeAsString()}};
    change.added_bodies = {BodyId{entry.body()}};
    return change;
  });
}

// --- bodies ------------------------------------------------------------------------

absl::StatusOr<std::string> EngineUser::ReadBody(uint64_t body, uint64_t offset, uint64_t length) {
  return Await<absl::StatusOr<std::string>>(
      [&](auto done) { engine_->ReadBody(BodyId{body}, offset, length, std::move(done)); });
}

void EngineUser::ExpectGone(uint64_t body) {
  for (int tries = 0; tries < 10'000; ++tries) {
    if (absl::IsNotFound(ReadBody(body, 0, 1).status())) return;
    absl::SleepFor(absl::Milliseconds(5));
  }
  ADD_FAILURE() << "body " << body << " is still there";
}

std::string EngineUser::TextOf(const stored::Entry& entry) {
  std::string text;
  while (text.size() < entry.size()) {
    auto piece = ReadBody(entry.body(), text.size(), 1024 * 1024);
    EXPECT_TRUE(piece.ok()) << piece.status();
    if (!piece.ok() || piece->empty()) break;
    text += *piece;
  }
  return text;
}

std::vector<std::string> EngineUser::Verify() {
  auto problems = Await<absl::StatusOr<std::vector<std::string>>>(
      [&](auto done) { engine_->VerifyBodies([](uint64_t) {}, std::move(done)); });
  EXPECT_TRUE(problems.ok()) << problems.status();
  return problems.ok() ? *std::move(problems) : std::vector<std::string>{problems.status().ToString()};
}

void EngineUser::ExpectExact(const std::vector<uint64_t>& mailboxes) {
  for (const uint64_t mailbox : mailboxes) {
    const stored::MailboxHead head = HeadOf(mailbox);
    uint64_t bytes = 0, messages = 0;
    for (const stored::Entry& entry : EntriesOf(mailbox)) {
      bytes += entry.size();
      messages++;
    }
    EXPECT_EQ(head.used_bytes(), bytes) << mailbox;
    EXPECT_EQ(head.used_messages(), messages) << mailbox;
    const Reserved reserved = Read(PartitionId::Mailbox(mailbox)).reserved;
    EXPECT_EQ(reserved.bytes, 0u) << mailbox;
    EXPECT_EQ(reserved.messages, 0u) << mailbox;
  }
  EXPECT_EQ(engine_->Figures()["open_transactions"], 0u);
  EXPECT_EQ(engine_->GetCapacity().reserved, 0u);
  EXPECT_EQ(Verify(), std::vector<std::string>());
}

}  // namespace restante::engine
