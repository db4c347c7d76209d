// Transactions: opening, committing, receipts and settling.
#include <thread>

#include "server/engine/commit_entry.h"
#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

using Receipt = absl::StatusOr<stored::Receipt>;

TEST_P(EngineContract, AnIdIsInUseUntilItsTransactionIsClosed) {
  EXPECT_EQ(Open(1), "opened");
  EXPECT_EQ(Open(1), "in use");
  EXPECT_EQ(Open(2), "opened");
  EXPECT_EQ(engine_->Figures()["open_transactions"], 2u);
  engine_->Close(Id(1));
  engine_->Close(Id(1));
  EXPECT_EQ(Open(1), "opened");
}

TEST_P(EngineContract, ReservingNeedsAnOpenTransactionAndAMailboxThatTakesMail) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  EXPECT_EQ(Reserve(1, mailbox, 1), "FAILED_PRECONDITION");
  EXPECT_EQ(Confirm(1), "FAILED_PRECONDITION");
  EXPECT_EQ(Extend(1, 1), "FAILED_PRECONDITION");
  Open(1);
  EXPECT_EQ(Reserve(1, engine_->NewNumber(), 1), "NOT_FOUND");
  ASSERT_TRUE(ChangeMailbox(mailbox, [](auto* head) { head->set_state(stored::MailboxHead::DELETED); }).ok());
  EXPECT_EQ(Reserve(1, mailbox, 1), "NOT_FOUND");
  EXPECT_EQ(Check(mailbox, 1), "NOT_FOUND");
  engine_->Close(Id(1));
  EXPECT_EQ(Reserve(1, mailbox, 1), "FAILED_PRECONDITION");
}

TEST_P(EngineContract, ReservationsAreSeenUntilReleasedOrClosed) {
  const uint64_t domain = CreateDomain();
  const uint64_t first = CreateMailbox(domain), second = CreateMailbox(domain);
  Open(1, 100);
  EXPECT_EQ(Reserve(1, first, 100), "granted 100");
  EXPECT_EQ(Reserve(1, second, 100), "granted 100");
  EXPECT_EQ(Check(first, 50), "granted 50");
  EXPECT_EQ(Read(PartitionId::Mailbox(first)).reserved.bytes, 100u);
  EXPECT_EQ(Read(PartitionId::Domain(domain)).reserved.bytes, 200u);
  EXPECT_EQ(Read(PartitionId::Domain(domain)).reserved.messages, 2u);
  EXPECT_EQ(engine_->GetCapacity().reserved, 100u);
  engine_->Release(Id(1), first);
  EXPECT_EQ(Read(PartitionId::Mailbox(first)).reserved.bytes, 0u);
  EXPECT_EQ(Read(PartitionId::Domain(domain)).reserved.bytes, 100u);
  engine_->Close(Id(1));
  ExpectExact({first, second});
}

TEST_P(EngineContract, ASecondReserveTakesNothingBack) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(100));
  Open(1, 50);
  EXPECT_EQ(Reserve(1, mailbox, 50), "granted 50");
  EXPECT_EQ(Reserve(1, mailbox, 20), "granted 50");
  EXPECT_EQ(Confirm(1), "confirmed");
  EXPECT_EQ(Extend(1, 60), "extended");
  EXPECT_EQ(Reserve(1, mailbox, 50), "granted 60");
  EXPECT_EQ(Read(PartitionId::Mailbox(mailbox)).reserved.bytes, 60u);
  EXPECT_EQ(Reserve(1, mailbox, 101), "mailbox: needs 101 bytes, 0 used and 0 reserved of 100, full");
  EXPECT_TRUE(Commit(1, std::string(60, 'x'), {mailbox}).ok());
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ACommitFillsEntryHeadAndReceipt) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(100), ValueOf(1));
  clock_.Advance(5'000'000);
  MakeReady(1, 9, {mailbox});
  CommitRequest request = CommitOf(1, "123456789", {mailbox});
  request.entries[0].second.set_flags(5);
  stored::ReceiptRecipient& refused = *request.receipt.add_recipients();
  refused.set_address("full");
  refused.set_mailbox(mailbox);
  refused.set_decided(7);
  refused.set_outcome(7);
  const Receipt receipt = Commit(std::move(request));
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_TRUE(receipt->committed());
  EXPECT_EQ(receipt->sender(), "sender@elsewhere.example");
  EXPECT_EQ(receipt->recipients(0).uid(), 1u);
  EXPECT_EQ(receipt->recipients(1).uid(), 0u) << "was not stored for";
  EXPECT_EQ(receipt->store_time_s(), 5u) << "of uptime";

  const auto entries = EntriesOf(mailbox);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].uid(), 1u);
  EXPECT_GT(entries[0].modseq(), 0u);
  EXPECT_EQ(entries[0].size(), 9u);
  EXPECT_EQ(entries[0].crc32c(), 0xe3069283u);
  EXPECT_EQ(entries[0].flags(), 5u);
  EXPECT_EQ(entries[0].arrival_us(), clock_.WallMicros());
  EXPECT_EQ(entries[0].envelope().recipient(), absl::StrCat("to-", mailbox));
  EXPECT_EQ(entries[0].transaction_id(), std::string(reinterpret_cast<const char*>(Id(1).octets.data()), 16));
  EXPECT_EQ(TextOf(entries[0]), "123456789");
  const stored::MailboxHead head = HeadOf(mailbox);
  EXPECT_EQ(head.used_bytes(), 9u);
  EXPECT_EQ(head.used_messages(), 1u);
  EXPECT_EQ(head.exempt_bytes(), 0u);
  EXPECT_EQ(head.uid_next(), 2u);
  EXPECT_EQ(head.highest_modseq(), entries[0].modseq());
  ExpectExact({mailbox});
}

TEST_P(EngineContract, AnEntryKeepsItsEnvelopeToTheLastOctet) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 4, {mailbox});
  CommitRequest request = CommitOf(1, "text", {mailbox});
  stored::Envelope& envelope = *request.entries[0].second.mutable_envelope();
  envelope.set_ret(2);
  envelope.set_envid(std::string(100, 'x'));
  // As large as they come.
  for (int i = 0; i < 100; ++i) {
    stored::DsnRecipient& recipient = *envelope.add_dsn_recipients();
    recipient.set_address(absl::StrCat(i, std::string(1'000, 'a')));
    recipient.add_notify(4);
    recipient.add_notify(2);
    recipient.set_orcpt(absl::StrCat("rfc822;", std::string(493, 'o')));
  }
  const std::string octets = envelope.SerializeAsString();
  ASSERT_TRUE(Commit(std::move(request)).ok());
  const auto entries = EntriesOf(mailbox);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_TRUE(entries[0].envelope().SerializeAsString() == octets);
  EXPECT_EQ(HeadOf(mailbox).used_bytes(), 4u) << "it is not charged";
  ExpectExact({mailbox});
}

TEST_P(EngineContract, UidsAndModseqsAscendAndAreNotReused) {
  const uint64_t mailbox = CreateMailboxAndDomain(), other = CreateMailboxAndDomain();
  for (int i = 0; i < 3; ++i) Deliver(absl::StrCat("text ", i), {mailbox});
  EXPECT_EQ(Deliver("text", {other}).recipients(0).uid(), 1u);
  ASSERT_TRUE(Expunge(mailbox, 3).ok());
  EXPECT_EQ(Deliver("text 4", {mailbox}).recipients(0).uid(), 4u);
  const auto entries = EntriesOf(mailbox);
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_LT(entries[0].modseq(), entries[1].modseq());
  EXPECT_LT(entries[1].modseq(), entries[2].modseq());
  EXPECT_EQ(entries[2].modseq(), HeadOf(mailbox).highest_modseq());
  ExpectExact({mailbox, other});
}

TEST_P(EngineContract, OneBodyServesAllRecipients) {
  const uint64_t domain = CreateDomain();
  std::vector<uint64_t> mailboxes;
  for (int i = 0; i < 50; ++i) mailboxes.push_back(CreateMailbox(domain));
  Deliver("to the first", {mailboxes[0]});
  const stored::Receipt receipt = Deliver("to all of you", mailboxes);
  ASSERT_EQ(receipt.recipients_size(), 50);
  EXPECT_EQ(receipt.recipients(0).uid(), 2u);
  EXPECT_EQ(receipt.recipients(49).uid(), 1u);
  const uint64_t body = EntriesOf(mailboxes[1])[0].body();
  for (const uint64_t mailbox : mailboxes) EXPECT_EQ(EntriesOf(mailbox).back().body(), body);
  EXPECT_EQ(Read(PartitionId::Domain(domain)).used_bytes, 12u + 50 * 13);
  ExpectExact(mailboxes);
  // It stays until the last of them has gone.
  for (size_t i = 1; i < mailboxes.size(); ++i) ASSERT_TRUE(Expunge(mailboxes[i], 1).ok());
  EXPECT_EQ(TextOf(EntriesOf(mailboxes[0]).back()), "to all of you");
  ASSERT_TRUE(Expunge(mailboxes[0], 2).ok());
  ExpectGone(body);
  ExpectExact(mailboxes);
}

// --- commits that must not be -------------------------------------------------------

class NothingStored {
 public:
  const char* why;
  std::function<void()> prepare;
  uint64_t size;
};

TEST_P(EngineContract, WithoutAConfirmedReservationOfItsSizeNothingIsStored) {
  const uint64_t first = CreateMailboxAndDomain(), second = CreateMailboxAndDomain();
  const NothingStored cases[] = {
      {"not open", [] {}, 5},
      {"not confirmed", [&] { Open(1, 5), Reserve(1, first, 5), Reserve(1, second, 5); }, 5},
      {"no reservation in the second", [&] { MakeReady(1, 5, {first}); }, 5},
      {"the second is not confirmed", [&] { MakeReady(1, 5, {first}), Reserve(1, second, 5); }, 5},
      {"the second was released",
       [&] {
         MakeReady(1, 5, {first, second}), engine_->Release(Id(1), second);
       },
       5},
      {"larger than reserved",
       [&] {
         MakeReady(1, 5, {first, second});
       },
       6},
      {"closed",
       [&] {
         MakeReady(1, 5, {first, second}), engine_->Close(Id(1));
       },
       5},
  };
  for (const NothingStored& c : cases) {
    SCOPED_TRACE(c.why);
    c.prepare();
    const Receipt receipt = Commit(1, std::string(c.size, 'x'), {first, second});
    EXPECT_EQ(receipt.status().code(), absl::StatusCode::kFailedPrecondition) << receipt.status();
    EXPECT_TRUE(EntriesOf(first).empty());
    EXPECT_TRUE(EntriesOf(second).empty());
    // Nothing of the transaction remains: neither room nor its id.
    ExpectExact({first, second});
    EXPECT_EQ(Open(1), "opened");
    engine_->Close(Id(1));
  }
}

TEST_P(EngineContract, AMailboxThatIsDeletedMeanwhileGetsNothing) {
  const uint64_t kept = CreateMailboxAndDomain(), gone = CreateMailboxAndDomain();
  MakeReady(1, 5, {kept, gone});
  ASSERT_TRUE(ErasePartition(PartitionId::Mailbox(gone)).ok());
  EXPECT_EQ(Commit(1, "12345", {kept, gone}).status().code(), absl::StatusCode::kFailedPrecondition);
  ExpectExact({kept});
  EXPECT_TRUE(EntriesOf(kept).empty());
  MakeReady(2, 5, {kept});
  EXPECT_TRUE(Commit(2, "12345", {kept}).ok());
}

TEST_P(EngineContract, AMailboxThatIsMarkedDeletedMeanwhileGetsNothing) {
  const uint64_t gone = CreateMailboxAndDomain();
  MakeReady(1, 5, {gone});
  ASSERT_TRUE(ChangeMailbox(gone, [](auto* head) { head->set_state(stored::MailboxHead::DELETED); }).ok());
  EXPECT_EQ(Commit(1, "12345", {gone}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(EntriesOf(gone).empty());
  ExpectExact({gone});
}

// --- once ---------------------------------------------------------------------------

TEST_P(EngineContract, ARepeatedOpenIsAnsweredWithTheReceipt) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 5, {mailbox});
  const Receipt first = Commit(1, "12345", {mailbox});
  ASSERT_TRUE(first.ok());
  const auto again =
      Await<absl::StatusOr<OpenResult>>([&](auto done) { engine_->Open(Id(1), 1000, std::move(done)); });
  ASSERT_TRUE(again.ok() && std::holds_alternative<stored::Receipt>(*again));
  EXPECT_EQ(std::get<stored::Receipt>(*again).SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(engine_->GetCapacity().reserved, 0u) << "nothing was opened";
  EXPECT_EQ(Commit(1, "12345", {mailbox}).status().code(), absl::StatusCode::kFailedPrecondition);
  engine_->Close(Id(1));
  EXPECT_EQ(Open(1), "receipt");
  EXPECT_EQ(EntriesOf(mailbox).size(), 1u);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ClosingACommittedTransactionHasNoEffect) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 5, {mailbox});
  CommitRequest request = CommitOf(1, "12345", {mailbox});
  const Receipt receipt = Await<Receipt>([&](auto done) {
    engine_->Commit(std::move(request), std::move(done));
    engine_->Release(Id(1), mailbox);
    engine_->Close(Id(1));
  });
  EXPECT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(EntriesOf(mailbox).size(), 1u);
}

TEST_P(EngineContract, SettleTellsTheReceiptOfACommit) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 5, {mailbox});
  const Receipt receipt = Commit(1, "12345", {mailbox});
  const Receipt settled = Settle(1);
  ASSERT_TRUE(settled.ok()) << settled.status();
  EXPECT_EQ(settled->SerializeAsString(), receipt->SerializeAsString());
}

TEST_P(EngineContract, WhatWasSettledAsNotCommittedNeverCommits) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  EXPECT_EQ(Describe(Settle(1)), "tombstone");
  EXPECT_EQ(Describe(Settle(1)), "tombstone");
  EXPECT_EQ(Open(1), "tombstone");
  EXPECT_EQ(Commit(1, "12345", {mailbox}).status().code(), absl::StatusCode::kFailedPrecondition);
  // One that was open, even ready.
  MakeReady(2, 5, {mailbox});
  EXPECT_EQ(Describe(Settle(2)), "tombstone");
  EXPECT_EQ(Read(PartitionId::Mailbox(mailbox)).reserved.bytes, 0u);
  EXPECT_EQ(Reserve(2, mailbox, 5), "FAILED_PRECONDITION");
  EXPECT_EQ(Confirm(2), "FAILED_PRECONDITION");
  EXPECT_EQ(Commit(2, "12345", {mailbox}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Describe(Settle(2)), "tombstone");
  EXPECT_TRUE(EntriesOf(mailbox).empty());
  ExpectExact({mailbox});
}

TEST_P(EngineContract, SettleWaitsForARunningCommit) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 5, {mailbox});
  CommitRequest request = CommitOf(1, "12345", {mailbox});
  std::optional<Receipt> committed;
  absl::Notification done;
  const Receipt settled = Await<Receipt>([&](auto settle_done) {
    engine_->Commit(std::move(request), [&](Receipt receipt) {
      committed = std::move(receipt);
      done.Notify();
    });
    engine_->Settle(Id(1), {mailbox}, std::move(settle_done));
  });
  AwaitOrDie(done);
  ASSERT_TRUE(committed->ok()) << committed->status();
  EXPECT_EQ(Describe(settled), "receipt");
}

TEST_P(EngineContract, SettleAndCommitNeverContradictEachOther) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  uint64_t stored_count = 0;
  for (uint64_t tx = 1; tx <= 100; ++tx) {
    MakeReady(tx, 5, {mailbox});
    CommitRequest request = CommitOf(tx, "12345", {mailbox});
    Receipt settled = absl::UnknownError("");
    std::thread settler([&] { settled = Settle(tx); });
    const Receipt committed = Commit(std::move(request));
    settler.join();
    ASSERT_TRUE(settled.ok()) << settled.status();
    EXPECT_EQ(settled->committed(), committed.ok()) << committed.status();
    stored_count += committed.ok();
  }
  EXPECT_EQ(EntriesOf(mailbox).size(), stored_count);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ReceiptsAndTombstonesAreKeptForADayOfStoreTime) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 5, {mailbox});
  ASSERT_TRUE(Commit(1, "12345", {mailbox}).ok());
  ASSERT_TRUE(Settle(2).ok());
  clock_.SetWall(0);  // Wall clocks only label.
  clock_.Advance((kReceiptLifetimeSeconds - 60) * 1'000'000);
  EXPECT_EQ(Open(1), "receipt");
  EXPECT_EQ(Open(2), "tombstone");
  // How soon after they go is a durable engine's own affair.
  if (GetParam().durable) return;
  clock_.Advance(120 * 1'000'000);
  EXPECT_EQ(Open(1), "opened");
  EXPECT_EQ(Open(2), "opened");
}

TEST_P(EngineContract, ExemptMessagesAreCountedApartAsWell) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(3), ValueOf(0));
  Open(1, 5);
  EXPECT_EQ(Reserve(1, mailbox, Demand{.bytes = 5, .at_least = 5, .exempt = true}), "granted 5");
  EXPECT_EQ(Confirm(1), "confirmed");
  CommitRequest request = CommitOf(1, "12345", {mailbox});
  request.entries[0].second.set_exempt(true);
  ASSERT_TRUE(Commit(std::move(request)).ok());
  const stored::MailboxHead head = HeadOf(mailbox);
  EXPECT_EQ(head.used_bytes(), 5u);
  EXPECT_EQ(head.exempt_bytes(), 5u);
  EXPECT_EQ(head.exempt_messages(), 1u);
  EXPECT_EQ(Check(mailbox, 0), "mailbox: needs 0 bytes, 5 used and 0 reserved of 3, full");
  ExpectExact({mailbox});
}

TEST_P(EngineContract, CallbacksMayCallTheEngine) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  CommitRequest request = CommitOf(1, "12345", {mailbox});
  const Receipt receipt = Await<Receipt>([&](Done<Receipt> done) {
    engine_->Open(Id(1), 5, [&, done = std::move(done)](absl::StatusOr<OpenResult>) mutable {
      engine_->Reserve(
          Id(1), mailbox, {.bytes = 5, .at_least = 5},
          [&, done = std::move(done)](absl::StatusOr<ReserveResult>) mutable {
            engine_->Confirm(Id(1), [&, done = std::move(done)](absl::StatusOr<Confirmed>) mutable {
              engine_->GetCapacity();
              engine_->Commit(std::move(request), [&, done = std::move(done)](Receipt committed) mutable {
                engine_->Figures();
                engine_->NewNumber();
                done(std::move(committed));
              });
            });
          });
    });
  });
  EXPECT_TRUE(receipt.ok()) << receipt.status();
}

}  // namespace
}  // namespace restante::engine
