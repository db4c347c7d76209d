// Retries of deliveries whose answer was lost: open receipts.
#include <thread>

#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

// Keys of two messages.
const std::string kOne(16, '\1'), kOther(16, '\2');

std::string StoredBy(const stored::Receipt& receipt, int recipient = 0) {
  return receipt.recipients(recipient).stored_by();
}

TEST_P(EngineContract, ARetryStoresNothingAndGetsTheFirstReceipt) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  EXPECT_EQ(StoredBy(DeliverOnce(1, kOne, "text", {mailbox})), "");
  const stored::Receipt retry = DeliverOnce(2, kOne, "text", {mailbox});
  EXPECT_TRUE(retry.committed());
  EXPECT_EQ(retry.recipients(0).uid(), 1u);
  EXPECT_EQ(StoredBy(retry), Id(1).ToBytes());
  ASSERT_EQ(EntriesOf(mailbox).size(), 1u);
  EXPECT_EQ(EntriesOf(mailbox)[0].transaction_id(), Id(1).ToBytes());
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ARetryWithOtherRecipientsIsStoredWhereItLacks) {
  const uint64_t domain = CreateDomain();
  const uint64_t has = CreateMailbox(domain), lacks = CreateMailbox(domain), too = CreateMailbox(domain);
  DeliverOnce(1, kOne, "text", {has, too});
  const stored::Receipt retry = DeliverOnce(2, kOne, "text", {lacks, has});
  EXPECT_EQ(StoredBy(retry, 0), "");
  EXPECT_EQ(StoredBy(retry, 1), Id(1).ToBytes());
  for (const uint64_t mailbox : {has, lacks, too}) {
    ASSERT_EQ(EntriesOf(mailbox).size(), 1u);
    EXPECT_EQ(TextOf(EntriesOf(mailbox)[0]), "text");
  }
  EXPECT_EQ(StoredBy(DeliverOnce(3, kOne, "text", {lacks, too}), 0), Id(2).ToBytes());
  ExpectExact({has, lacks, too});
}

TEST_P(EngineContract, ARetryChargesNothingAndHoldsNoRoom) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(10), ValueOf(3));
  DeliverOnce(1, kOne, "12345", {mailbox});
  DeliverOnce(2, kOne, "12345", {mailbox});
  EXPECT_EQ(HeadOf(mailbox).used_bytes(), 5u);
  EXPECT_EQ(HeadOf(mailbox).uid_next(), 2u);
  EXPECT_EQ(Check(mailbox, 5), "granted 5");
  ExpectExact({mailbox});
}

TEST_P(EngineContract, WhatWasHandedOverHasNoRetries) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  engine_->HandedOver(Id(1), {});
  EXPECT_EQ(StoredBy(DeliverOnce(2, kOne, "text", {mailbox})), "");
  EXPECT_EQ(EntriesOf(mailbox).size(), 2u);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ItHasNoneFromTheCallOnThoughNobodyIsTold) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  for (uint64_t tx = 1; tx < 200; tx += 2) {
    DeliverOnce(tx, kOne, "text", {mailbox});
    MakeReady(tx + 1, 4, {mailbox});
    CommitRequest next = CommitOf(tx + 1, "text", {mailbox});
    next.retry_key = kOne;
    engine_->HandedOver(Id(tx), {});
    const auto receipt = Commit(std::move(next));
    ASSERT_TRUE(receipt.ok()) << receipt.status();
    ASSERT_EQ(StoredBy(*receipt), "") << tx;
    engine_->HandedOver(Id(tx + 1), {});
  }
  EXPECT_EQ(EntriesOf(mailbox).size(), 200u);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, TheAnswerToARetryMayBeLostToo) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  for (uint64_t tx = 2; tx < 6; ++tx) {
    EXPECT_EQ(StoredBy(DeliverOnce(tx, kOne, "text", {mailbox})), Id(1).ToBytes()) << tx;
  }
  // It is the last one's answer that counts.
  engine_->HandedOver(Id(1), {});
  EXPECT_EQ(StoredBy(DeliverOnce(6, kOne, "text", {mailbox})), Id(1).ToBytes());
  engine_->HandedOver(Id(6), {});
  EXPECT_EQ(StoredBy(DeliverOnce(7, kOne, "text", {mailbox})), "");
  EXPECT_EQ(EntriesOf(mailbox).size(), 2u);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, HandingOverWhatIsUnknownOrWasNeverToBeDetectedChangesNothing) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  DeliverOnce(2, "", "text", {mailbox});
  for (const uint64_t tx : {2, 3}) engine_->HandedOver(Id(tx), {});
  ASSERT_TRUE(Settle(4).ok());
  engine_->HandedOver(Id(4), {});
  EXPECT_EQ(StoredBy(DeliverOnce(5, kOne, "text", {mailbox})), Id(1).ToBytes());
}

TEST_P(EngineContract, WithoutAKeyNothingIsRememberedAndNothingSuppressed) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  for (int i = 0; i < 3; ++i) Deliver("text", {mailbox});
  EXPECT_EQ(EntriesOf(mailbox).size(), 3u);
  EXPECT_TRUE(Scan(PartitionId::Mailbox(mailbox), kOpenReceiptsFrom, kOpenReceiptsTo, 10).items.empty());
  DeliverOnce(1, kOne, "text", {mailbox});
  Deliver("text", {mailbox});
  EXPECT_EQ(StoredBy(DeliverOnce(2, kOther, "text", {mailbox})), "") << "another message";
  EXPECT_EQ(EntriesOf(mailbox).size(), 6u);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ARetryOfAnExpungedMessageDoesNotBringItBack) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  ASSERT_TRUE(Expunge(mailbox, 1).ok());
  EXPECT_EQ(DeliverOnce(2, kOne, "text", {mailbox}).recipients(0).uid(), 1u);
  EXPECT_TRUE(EntriesOf(mailbox).empty());
  ExpectExact({mailbox});
}

TEST_P(EngineContract, AnOpenReceiptServesForTheRetryWindow) {
  setup_.retry_window_seconds = 1000;
  Reopen();
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  clock_.Advance(int64_t{999} * 1'000'000);
  EXPECT_EQ(StoredBy(DeliverOnce(2, kOne, "text", {mailbox})), Id(1).ToBytes());
  clock_.Advance(int64_t{1000} * 1'000'000);
  EXPECT_EQ(StoredBy(DeliverOnce(3, kOne, "text", {mailbox})), "");
  EXPECT_EQ(EntriesOf(mailbox).size(), 2u);
}

TEST_P(EngineContract, OpenReceiptsGoWithTheirMailbox) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  ASSERT_TRUE(Expunge(mailbox, 1).ok());
  ASSERT_TRUE(ErasePartition(PartitionId::Mailbox(mailbox)).ok());
  EXPECT_TRUE(Scan(PartitionId::Mailbox(mailbox), "", "", 10).items.empty());
  engine_->HandedOver(Id(1), {});
  EXPECT_TRUE(Scan(PartitionId::Mailbox(mailbox), "", "", 10).items.empty());
}

TEST_P(EngineContract, ADamagedOpenReceiptServesNobody) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  ASSERT_TRUE(ChangeMailbox(mailbox, [](auto*) {}).ok());
  ASSERT_TRUE(Update(PartitionId::Mailbox(mailbox), {}, [](const View& view) -> absl::StatusOr<Verdict> {
                Change change;
                change.head = *view.head;
                change.puts = {{OpenReceiptKey(kOne), "\xff"}};
                return change;
              }).ok());
  EXPECT_EQ(StoredBy(DeliverOnce(1, kOne, "text", {mailbox})), "");
  EXPECT_EQ(StoredBy(DeliverOnce(2, kOne, "text", {mailbox})), Id(1).ToBytes());
  EXPECT_EQ(EntriesOf(mailbox).size(), 1u);
}

TEST_P(EngineContract, OfManyAttemptsAtOnceOneIsStored) {
  const uint64_t domain = CreateDomain();
  const uint64_t first = CreateMailbox(domain), second = CreateMailbox(domain);
  constexpr uint64_t kAttempts = 32;
  for (uint64_t tx = 1; tx <= kAttempts; ++tx) MakeReady(tx, 4, {first, second});
  std::vector<std::thread> threads;
  std::atomic<int> stored = 0, suppressed = 0;
  for (uint64_t tx = 1; tx <= kAttempts; ++tx) {
    threads.emplace_back([&, tx] {
      CommitRequest request = CommitOf(tx, "text", {first, second});
      request.retry_key = kOne;
      const auto receipt = Commit(std::move(request));
      ASSERT_TRUE(receipt.ok()) << receipt.status();
      for (const auto& recipient : receipt->recipients()) {
        EXPECT_EQ(recipient.uid(), 1u);
        ++(recipient.stored_by().empty() ? stored : suppressed);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stored, 2);
  EXPECT_EQ(suppressed, 2 * (static_cast<int>(kAttempts) - 1));
  ExpectExact({first, second});
}

TEST_P(EngineContract, ASuppressedCommitHasItsOwnReceipt) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  const stored::Receipt retry = DeliverOnce(2, kOne, "text", {mailbox});
  EXPECT_EQ(Open(2), "receipt");
  EXPECT_EQ(Settle(2)->SerializeAsString(), retry.SerializeAsString());
  EXPECT_EQ(StoredBy(*Settle(2)), Id(1).ToBytes());
}

TEST_P(EngineContract, ACommitThatIsToBeLookedUpIsSettledAfterIt) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 4, {mailbox});
  CommitRequest request = CommitOf(1, "text", {mailbox});
  request.retry_key = kOne;
  absl::Notification committed;
  engine_->Commit(std::move(request), [&](const auto& receipt) {
    EXPECT_TRUE(receipt.ok()) << receipt.status();
    committed.Notify();
  });
  engine_->Close(Id(1));
  EXPECT_TRUE(Settle(1)->committed());
  AwaitOrDie(committed);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ARetryInAMailboxThatIsGoneFailsForAll) {
  const uint64_t domain = CreateDomain();
  const uint64_t stays = CreateMailbox(domain), goes = CreateMailbox(domain);
  DeliverOnce(1, kOne, "text", {stays});
  MakeReady(2, 4, {stays, goes});
  ASSERT_TRUE(ChangeMailbox(goes, [](auto* head) { head->set_state(stored::MailboxHead::DELETED); }).ok());
  CommitRequest request = CommitOf(2, "text", {stays, goes});
  request.retry_key = kOne;
  EXPECT_EQ(Commit(std::move(request)).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(EntriesOf(stays).size(), 1u);
  // The open receipt has not served it.
  EXPECT_EQ(StoredBy(DeliverOnce(3, kOne, "text", {stays})), Id(1).ToBytes());
}

TEST_P(DurableEngineContract, RetriesAreRecognisedAfterReopening) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, kOne, "text", {mailbox});
  DeliverOnce(2, kOther, "other", {mailbox});
  const stored::Receipt retry = DeliverOnce(3, kOne, "text", {mailbox});
  engine_->HandedOver(Id(2), {});
  Reopen();
  EXPECT_EQ(Settle(3)->SerializeAsString(), retry.SerializeAsString());
  EXPECT_EQ(StoredBy(DeliverOnce(4, kOne, "text", {mailbox})), Id(1).ToBytes());
  EXPECT_EQ(StoredBy(DeliverOnce(5, kOther, "other", {mailbox})), "");
  // Handed over by a process that knows of the delivery from the disk only.
  Reopen();
  engine_->HandedOver(Id(4), {});
  Reopen();
  EXPECT_EQ(StoredBy(DeliverOnce(6, kOne, "text", {mailbox})), "");
  EXPECT_EQ(EntriesOf(mailbox).size(), 4u);
  ExpectExact({mailbox});
}

}  // namespace
}  // namespace restante::engine
