// What an engine takes over from another one: bodies that come along with a change,
// receipts, events, numbers and times.
#include <map>

#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

// A mailbox that has the texts, by one change that brings them along.
absl::Status Bring(EngineUser& user, uint64_t mailbox, const std::vector<std::string>& texts) {
  std::vector<std::unique_ptr<StagedBody>> bodies;
  Change change;
  stored::MailboxHead& head = *change.head.mutable_mailbox();
  head = user.HeadOf(mailbox);
  for (const std::string& text : texts) {
    bodies.push_back(user.Stage(text));
    stored::Entry entry;
    const CommittedBody body{
        .id = bodies.back()->id(), .size = text.size(), .crc32c = bodies.back()->crc32c()};
    const uint64_t uid = EnterMessage(Id(77), body, &head, &entry);
    change.puts.emplace_back(EntryKey(uid), entry.SerializeAsString());
    change.added_bodies.push_back(body.id);
  }
  // One that nobody names.
  bodies.push_back(user.Stage("nobody's"));
  return Await<absl::Status>([&](auto done) {
    user.engine().UpdateWith(
        std::move(bodies), PartitionId::Mailbox(mailbox), {},
        [&](const View&) -> absl::StatusOr<Verdict> { return change; }, std::move(done));
  });
}

absl::Status Inherit(Engine& engine, Inheritance inheritance) {
  return Await<absl::Status>([&](auto done) { engine.Inherit(std::move(inheritance), std::move(done)); });
}

// All of them, a few at a time.
std::map<TransactionId, std::string> ReceiptsOf(Engine& engine) {
  std::map<TransactionId, std::string> receipts;
  std::string from;
  do {
    const auto page =
        Await<absl::StatusOr<ReceiptPage>>([&](auto done) { engine.ReadReceipts(from, 3, std::move(done)); });
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) break;
    for (const auto& [id, receipt] : page->receipts) {
      EXPECT_TRUE(receipts.emplace(id, receipt.SerializeAsString()).second) << "one came twice";
    }
    from = page->next;
  } while (!from.empty());
  return receipts;
}

TEST_P(EngineContract, BodiesComeAlongWithTheChangeThatNamesThem) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(6'000'000));
  const std::vector<std::string> texts = {"small", "", Noise(300'000, 1), Noise(5'000'000, 2)};
  ASSERT_TRUE(Bring(*this, mailbox, texts).ok());
  const auto entries = EntriesOf(mailbox);
  ASSERT_EQ(entries.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_TRUE(TextOf(entries[i]) == texts[i]) << i;
  ExpectExact({mailbox});
  // They are charged, and expunged, like all others.
  EXPECT_EQ(Check(mailbox, 6'000'000),
            "mailbox: needs 6000000 bytes, 5300005 used and 0 reserved of 6000000, full");
  ASSERT_TRUE(Expunge(mailbox, 4).ok());
  ExpectGone(entries[3].body());
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ABodyThatCameAlongMayBeNamedTwiceAndBeCopied) {
  const uint64_t mailbox = CreateMailboxAndDomain(), other = CreateMailboxAndDomain();
  std::vector<std::unique_ptr<StagedBody>> bodies;
  bodies.push_back(Stage("shared text"));
  const CommittedBody body{.id = bodies[0]->id(), .size = 11, .crc32c = bodies[0]->crc32c()};
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                engine_->UpdateWith(
                    std::move(bodies), PartitionId::Mailbox(mailbox), {},
                    [&](const View& view) -> absl::StatusOr<Verdict> {
                      Change change;
                      change.head = *view.head;
                      for (int i = 0; i < 2; ++i) {
                        stored::Entry entry;
                        const uint64_t uid = EnterMessage(Id(1), body, change.head.mutable_mailbox(), &entry);
                        change.puts.emplace_back(EntryKey(uid), entry.SerializeAsString());
                        change.added_bodies.push_back(body.id);
                      }
                      return change;
                    },
                    std::move(done));
              }).ok());
  ASSERT_TRUE(Copy(EntriesOf(mailbox)[0], other).ok());
  ExpectExact({mailbox, other});
  for (const uint64_t uid : {1, 2}) ASSERT_TRUE(Expunge(mailbox, uid).ok());
  EXPECT_EQ(TextOf(EntriesOf(other)[0]), "shared text");
  ASSERT_TRUE(Expunge(other, 1).ok());
  ExpectGone(static_cast<uint64_t>(body.id));
  ExpectExact({mailbox, other});
}

TEST_P(EngineContract, AChangeThatFailsBringsNothing) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  std::vector<std::unique_ptr<StagedBody>> bodies;
  bodies.push_back(Stage(Noise(5'000'000, 1)));
  EXPECT_EQ(Await<absl::Status>([&](auto done) {
              engine_->UpdateWith(
                  std::move(bodies), PartitionId::Mailbox(mailbox), {},
                  [](const View&) -> absl::StatusOr<Verdict> { return absl::AbortedError("no"); },
                  std::move(done));
            }).code(),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(EntriesOf(mailbox).empty());
  ExpectExact({mailbox});
}

TEST_P(EngineContract, ReceiptsAndTombstonesAreReadWithTheirUids) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  std::map<TransactionId, std::string> expected;
  for (uint64_t tx = 1; tx <= 10; ++tx) {
    expected[Id(tx)] =
        DeliverOnce(tx, std::string(16, static_cast<char>(tx)), "text", {mailbox}).SerializeAsString();
  }
  expected[Id(99)] = Settle(99)->SerializeAsString();
  EXPECT_EQ(ReceiptsOf(engine()), expected);
  // Not those that are too old.
  clock().Advance(absl::ToInt64Microseconds(absl::Hours(25)));
  EXPECT_TRUE(ReceiptsOf(engine()).empty());
}

TEST_P(EngineContract, AnInheritedReceiptAnswersItsTransaction) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  stored::Receipt receipt;
  receipt.set_committed(true);
  receipt.set_store_time_s(100'000);
  receipt.set_retry_key(std::string(16, '\5'));
  stored::ReceiptRecipient& recipient = *receipt.add_recipients();
  recipient.set_mailbox(mailbox);
  recipient.set_outcome(kOutcomeOk);
  recipient.set_uid(41);
  Inheritance inheritance;
  inheritance.store_time_s = 100'010;
  inheritance.receipts = {{Id(1), receipt}, {Id(2), MakeTombstone(100'001)}};
  // Again it changes nothing.
  for (int times = 0; times < 2; ++times) {
    ASSERT_TRUE(Inherit(engine(), inheritance).ok());
    EXPECT_EQ(Open(1), "receipt");
    EXPECT_EQ(Settle(1)->SerializeAsString(), receipt.SerializeAsString());
    EXPECT_EQ(Open(2), "tombstone");
    EXPECT_EQ(ReceiptsOf(engine()).size(), 2u);
    EXPECT_GE(engine().store_time_s(), 100'010u);
  }
  // They age as if they had been here always.
  clock().Advance(absl::ToInt64Microseconds(absl::Hours(50)));
  EXPECT_EQ(Open(1), "opened");
  engine().Close(Id(1));
}

TEST_P(EngineContract, AHandOverEndsInheritedOpenReceipts) {
  const std::string key(16, '\5');
  const uint64_t mailbox = CreateMailboxAndDomain();
  DeliverOnce(1, key, "text", {mailbox});
  Inheritance inheritance;
  inheritance.receipts = {{Id(1), *Settle(1)}};
  ASSERT_TRUE(Inherit(engine(), std::move(inheritance)).ok());
  EXPECT_EQ(DeliverOnce(2, key, "text", {mailbox}).recipients(0).stored_by(), Id(1).ToBytes());
}

TEST_P(EventsContract, InheritedEventsAreTheLog) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(1000));
  Deliver(std::string(900, 'x'), {mailbox});
  ASSERT_EQ(ReadEvents().events.size(), 1u);
  Inheritance inheritance;
  inheritance.events.emplace();
  for (const uint64_t sequence : {40, 41}) {
    stored::Event& event = inheritance.events->emplace_back();
    event.set_sequence(sequence);
    event.set_time_us(1);
    event.mutable_quota()->set_number(mailbox);
  }
  inheritance.next_event = 50;
  for (int times = 0; times < 2; ++times) {
    ASSERT_TRUE(Inherit(engine(), inheritance).ok());
    const EventPage page = ReadEvents();
    ASSERT_EQ(page.events.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(page.events[i].SerializeAsString(), (*inheritance.events)[i].SerializeAsString());
    }
    EXPECT_EQ(page.oldest, 40u);
    EXPECT_EQ(page.next, 50u);
  }
  // The next one goes on behind them.
  Deliver(std::string(60, 'x'), {mailbox});
  const EventPage page = ReadEvents(41);
  ASSERT_EQ(page.events.size(), 1u);
  EXPECT_EQ(page.events[0].sequence(), 50u);
}

TEST_P(EventsContract, WithoutThresholdsNothingIsRecordedHoweverFull) {
  engine_.reset();
  setup_.rules.thresholds.clear();
  Start();
  const uint64_t domain = CreateDomain(ValueOf(1000));
  const uint64_t mailbox = CreateMailbox(domain, ValueOf(1000));
  ASSERT_TRUE(ChangeMailbox(mailbox, [](stored::MailboxHead* head) { head->set_reached_percent(80); }).ok());
  ASSERT_TRUE(ChangeDomain(domain, [](stored::DomainHead* head) {
                head->set_reached_percent(90);
                head->mutable_max_bytes()->set_value(2000);
              }).ok());
  Deliver(std::string(900, 'x'), {mailbox});
  EXPECT_EQ(Events(), "");
  EXPECT_EQ(HeadOf(mailbox).reached_percent(), 80u);
  EXPECT_EQ(Read(PartitionId::Domain(domain)).head->domain().reached_percent(), 90u);
}

TEST_P(DurableEngineContract, WhatWasInheritedIsThereAgain) {
  const uint64_t domain = CreateDomain(ValueOf(50'000'000));
  const uint64_t mailbox = CreateMailbox(domain);
  const std::vector<std::string> texts = {"small", Noise(300'000, 1), Noise(5'000'000, 2)};
  ASSERT_TRUE(Bring(*this, mailbox, texts).ok());
  Inheritance inheritance;
  inheritance.store_time_s = 200'000;
  inheritance.next_number = uint64_t{7} << 41;
  inheritance.receipts = {{Id(2), MakeTombstone(199'999)}};
  inheritance.next_event = 12;
  ASSERT_TRUE(Inherit(engine(), std::move(inheritance)).ok());
  Reopen();
  EXPECT_GE(engine().NewNumber(), uint64_t{7} << 41);
  EXPECT_GE(engine().store_time_s(), 200'000u);
  EXPECT_EQ(Open(2), "tombstone");
  const auto entries = EntriesOf(mailbox);
  ASSERT_EQ(entries.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_TRUE(TextOf(entries[i]) == texts[i]) << i;
  EXPECT_EQ(Read(PartitionId::Domain(domain)).used_bytes, 5'300'005u);
  ExpectExact({mailbox});
}

TEST_P(EngineContract, WhoeverIsAloneHearsSo) {
  EXPECT_TRUE(Await<absl::Status>([&](auto done) { engine_->BeAlone(std::move(done)); }).ok());
}

}  // namespace
}  // namespace restante::engine
