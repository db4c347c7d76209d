// Durable engines: what was acknowledged is there when they are opened again,
// and promises to processes that are gone are not.
#include <set>

#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

TEST_P(DurableEngineContract, EverythingAcknowledgedIsThereAgain) {
  const uint64_t domain = CreateDomain(ValueOf(50'000'000));
  const uint64_t first = CreateMailbox(domain, ValueOf(20'000'000)), second = CreateMailbox(domain);
  ASSERT_TRUE(Put(PartitionId::Directory(), {{"d/example.org", "1"}, {"d/gone", "2"}}).ok());
  ASSERT_TRUE(Update(PartitionId::Directory(), {}, [](const View& view) -> absl::StatusOr<Verdict> {
                Change change;
                change.head = *view.head;
                change.head.mutable_directory()->set_uid_validity_next(77);
                change.erased = {"d/gone"};
                return change;
              }).ok());
  const std::vector<std::string> texts = {"small", "", Noise(300'000, 1), Noise(5'000'000, 2)};
  for (const std::string& text : texts) Deliver(text, {first, second});
  ASSERT_TRUE(Expunge(first, 1).ok());
  const std::string head_before = HeadOf(first).SerializeAsString();
  const auto entries_before = EntriesOf(first);

  for (int times = 0; times < 2; ++times) {
    Reopen();
    EXPECT_EQ(HeadOf(first).SerializeAsString(), head_before);
    const auto entries = EntriesOf(first);
    ASSERT_EQ(entries.size(), entries_before.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(entries[i].SerializeAsString(), entries_before[i].SerializeAsString());
      EXPECT_TRUE(TextOf(entries[i]) == texts[i + 1]) << i;
    }
    ASSERT_EQ(EntriesOf(second).size(), 4u);
    EXPECT_EQ(TextOf(EntriesOf(second)[0]), "small");
    const ReadResult sums = Read(PartitionId::Domain(domain));
    EXPECT_EQ(sums.used_bytes, HeadOf(first).used_bytes() + HeadOf(second).used_bytes());
    EXPECT_EQ(sums.used_messages, 7u);
    EXPECT_EQ(sums.mailboxes, 2u);
    const ReadResult directory = Read(PartitionId::Directory(), {"d/example.org", "d/gone"});
    EXPECT_EQ(directory.values, (Values{{"d/example.org", "1"}}));
    EXPECT_EQ(directory.head->directory().uid_validity_next(), 77u);
    EXPECT_TRUE(engine_->HasDomains());
    ExpectExact({first, second});
  }
}

TEST_P(DurableEngineContract, LimitsHoldAfterReopening) {
  const uint64_t domain = CreateDomain(ValueOf(150));
  const uint64_t first = CreateMailbox(domain, ValueOf(100)), second = CreateMailbox(domain);
  Deliver(Noise(80, 1), {first});
  Reopen();
  EXPECT_EQ(Check(first, 21), "mailbox: needs 21 bytes, 80 used and 0 reserved of 100, full");
  EXPECT_EQ(Check(second, 71), "domain: needs 71 bytes, 80 used and 0 reserved of 150, full");
  Deliver(Noise(20, 2), {first});
  ExpectExact({first, second});
}

TEST_P(DurableEngineContract, ReservationsEndWithTheProcess) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(100));
  MakeReady(1, 100, {mailbox});
  Reopen();
  EXPECT_EQ(Commit(1, "12345", {mailbox}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Open(1), "opened");
  engine_->Close(Id(1));
  Deliver(Noise(100, 1), {mailbox});
  ExpectExact({mailbox});
}

TEST_P(DurableEngineContract, ReceiptsAndTombstonesOutliveTheProcess) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  MakeReady(1, 5, {mailbox});
  const auto receipt = Commit(1, "12345", {mailbox});
  ASSERT_TRUE(receipt.ok());
  ASSERT_TRUE(Settle(2).ok());
  Reopen();
  EXPECT_EQ(Open(1), "receipt");
  EXPECT_EQ(Settle(1)->SerializeAsString(), receipt->SerializeAsString());
  EXPECT_EQ(Open(2), "tombstone");
  EXPECT_EQ(Commit(2, "12345", {mailbox}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(EntriesOf(mailbox).size(), 1u);
}

TEST_P(DurableEngineContract, NumbersUidsAndBodiesAreNotReusedAfterReopening) {
  std::set<uint64_t> numbers, bodies;
  uint64_t mailbox = CreateMailboxAndDomain();
  for (int times = 0; times < 4; ++times) {
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(numbers.insert(engine_->NewNumber()).second);
    const uint64_t uid = Deliver("text", {mailbox}).recipients(0).uid();
    EXPECT_EQ(uid, times + 1u);
    EXPECT_TRUE(bodies.insert(EntriesOf(mailbox)[0].body()).second);
    ASSERT_TRUE(Expunge(mailbox, uid).ok());
    Reopen();
  }
  ExpectExact({mailbox});
}

TEST_P(DurableEngineContract, ErasedPartitionsStayErased) {
  const uint64_t domain = CreateDomain();
  const uint64_t mailbox = CreateMailbox(domain);
  Deliver("text", {mailbox});
  ASSERT_TRUE(Expunge(mailbox, 1).ok());
  ASSERT_TRUE(ErasePartition(PartitionId::Mailbox(mailbox)).ok());
  ASSERT_TRUE(ErasePartition(PartitionId::Domain(domain)).ok());
  Reopen();
  EXPECT_FALSE(Read(PartitionId::Mailbox(mailbox)).head.has_value());
  EXPECT_FALSE(engine_->HasDomains());
  ExpectExact({});
}

TEST_P(DurableEngineContract, ManyCommitsAtOnceAreAllThereAgain) {
  const uint64_t domain = CreateDomain();
  std::vector<uint64_t> mailboxes;
  for (int i = 0; i < 5; ++i) mailboxes.push_back(CreateMailbox(domain));
  constexpr int kCommits = 200;
  std::vector<CommitRequest> requests;
  for (uint64_t tx = 1; tx <= kCommits; ++tx) {
    const std::vector<uint64_t> to = {mailboxes[tx % 5], mailboxes[(tx + 1) % 5]};
    const std::string text = Noise(100 + tx, tx);
    MakeReady(tx, text.size(), to);
    requests.push_back(CommitOf(tx, text, to));
  }
  std::atomic<int> stored_count = 0, done_count = 0;
  absl::Notification all;
  for (CommitRequest& request : requests) {
    engine_->Commit(std::move(request), [&](const absl::StatusOr<stored::Receipt>& receipt) {
      stored_count += receipt.ok();
      if (++done_count == kCommits) all.Notify();
    });
  }
  AwaitOrDie(all);
  EXPECT_EQ(stored_count, kCommits);
  Reopen();
  EXPECT_EQ(Read(PartitionId::Domain(domain)).used_messages, 2u * kCommits);
  for (const uint64_t mailbox : mailboxes) {
    for (const stored::Entry& entry : EntriesOf(mailbox)) {
      EXPECT_TRUE(TextOf(entry) == Noise(entry.size(), entry.size() - 100));
    }
  }
  ExpectExact(mailboxes);
}

}  // namespace
}  // namespace restante::engine
