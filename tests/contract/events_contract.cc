// Events: thresholds that usage crosses are told in the step that crosses them.
#include <algorithm>

#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

// `3: m2 80>90 at 900 of 1000`, with messages where those are limited.
std::string Describe(const stored::Event& event) {
  if (event.has_disk())
    return absl::StrCat(event.sequence(), ": disk ", event.disk().full() ? "full" : "room");
  const stored::QuotaEvent& quota = event.quota();
  std::string text = absl::StrCat(event.sequence(), ": ", quota.domain() ? "d" : "m", quota.number(), " ",
                                  quota.previous_percent(), ">", quota.percent(), " at ", quota.used_bytes());
  if (quota.max_bytes().kind() == stored::Limit::VALUE) {
    absl::StrAppend(&text, " of ", quota.max_bytes().value());
  }
  if (quota.max_messages().kind() == stored::Limit::VALUE) {
    absl::StrAppend(&text, ", ", quota.used_messages(), " of ", quota.max_messages().value());
  }
  return text;
}

}  // namespace

EventPage EventsContract::ReadEvents(uint64_t after, size_t limit) {
  auto page = Await<absl::StatusOr<EventPage>>(
      [&](auto done) { engine_->ReadEvents(after, limit, std::move(done)); });
  EXPECT_TRUE(page.ok()) << page.status();
  return page.ok() ? *std::move(page) : EventPage();
}

std::string EventsContract::Events(uint64_t after) {
  return absl::StrJoin(ReadEvents(after).events, "; ",
                       [](std::string* out, const stored::Event& event) { out->append(Describe(event)); });
}

absl::Status EventsContract::ChangeDomain(uint64_t domain, std::function<void(stored::DomainHead*)> change) {
  return Update(PartitionId::Domain(domain), {}, [&](const View& view) -> absl::StatusOr<Verdict> {
    Change changed;
    changed.head = *view.head;
    change(changed.head.mutable_domain());
    return changed;
  });
}

namespace {

TEST_P(EventsContract, AMailboxThatFillsTellsEachThresholdOnce) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(1000));
  Deliver(std::string(799, 'x'), {mailbox});
  EXPECT_EQ(Events(), "");
  Deliver("x", {mailbox});
  EXPECT_EQ(Events(), absl::StrCat("1: m", mailbox, " 0>80 at 800 of 1000"));
  EXPECT_EQ(HeadOf(mailbox).reached_percent(), 80u);
  Deliver(std::string(99, 'x'), {mailbox});
  Deliver(std::string(101, 'x'), {mailbox});
  EXPECT_EQ(Events(1), absl::StrCat("2: m", mailbox, " 80>100 at 1000 of 1000"));
  const EventPage page = ReadEvents();
  EXPECT_EQ(page.oldest, 1u);
  EXPECT_EQ(page.next, 3u);
  EXPECT_EQ(page.events[0].quota().name(), HeadOf(mailbox).address());
  EXPECT_EQ(page.events[0].time_us(), clock_.WallMicros());
}

TEST_P(EventsContract, OneMessageInAndOutDoesNotRing) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(1000));
  Deliver(std::string(790, 'x'), {mailbox});
  for (uint64_t uid = 2; uid < 6; ++uid) {
    Deliver(std::string(10, 'x'), {mailbox});
    ASSERT_TRUE(Expunge(mailbox, uid).ok());
  }
  EXPECT_EQ(Events(), absl::StrCat("1: m", mailbox, " 0>80 at 800 of 1000"));
  Deliver(std::string(11, 'x'), {mailbox});
  ASSERT_TRUE(Expunge(mailbox, 1).ok());
  EXPECT_EQ(Events(1), absl::StrCat("2: m", mailbox, " 80>0 at 11 of 1000"));
}

TEST_P(EventsContract, OfBytesAndMessagesTheFullerCounts) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(1000), ValueOf(10));
  for (int i = 0; i < 9; ++i) Deliver("x", {mailbox});
  EXPECT_EQ(Events(), absl::StrCat("1: m", mailbox, " 0>80 at 8 of 1000, 8 of 10; 2: m", mailbox,
                                   " 80>90 at 9 of 1000, 9 of 10"));
  Deliver(std::string(941, 'x'), {mailbox});
  EXPECT_EQ(Events(2), absl::StrCat("3: m", mailbox, " 90>100 at 950 of 1000, 10 of 10"));
}

TEST_P(EventsContract, APoolTellsItsOwnThresholds) {
  const uint64_t domain = CreateDomain(ValueOf(1000));
  const uint64_t first = CreateMailbox(domain), second = CreateMailbox(domain);
  Deliver(std::string(400, 'x'), {first, second});
  EXPECT_EQ(Events(), absl::StrCat("1: d", domain, " 0>80 at 800 of 1000"));
  EXPECT_EQ(Read(PartitionId::Domain(domain)).head->domain().reached_percent(), 80u);
  ASSERT_TRUE(Expunge(first, 1).ok());
  EXPECT_EQ(Events(1), absl::StrCat("2: d", domain, " 80>0 at 400 of 1000"));
  ExpectExact({first, second});
}

TEST_P(EventsContract, ALoweredLimitTellsAndARaisedOneToo) {
  const uint64_t domain = CreateDomain();
  const uint64_t mailbox = CreateMailbox(domain, ValueOf(1000));
  Deliver(std::string(500, 'x'), {mailbox});
  ASSERT_TRUE(ChangeMailbox(mailbox, [](auto* head) { *head->mutable_max_bytes() = ValueOf(550); }).ok());
  ASSERT_TRUE(ChangeMailbox(mailbox, [](auto* head) { *head->mutable_max_bytes() = ValueOf(100); }).ok());
  ASSERT_TRUE(ChangeMailbox(mailbox, [](auto* head) { *head->mutable_max_bytes() = Unlimited(); }).ok());
  EXPECT_EQ(Events(), absl::StrCat("1: m", mailbox, " 0>90 at 500 of 550; 2: m", mailbox,
                                   " 90>100 at 500 of 100; 3: m", mailbox, " 100>0 at 500"));
}

TEST_P(EventsContract, ADomainsLimitsTellOfItAndOfAllItsMailboxes) {
  const uint64_t domain = CreateDomain(), other = CreateDomain();
  const uint64_t first = CreateMailbox(domain), own = CreateMailbox(domain, ValueOf(10'000)),
                 elsewhere = CreateMailbox(other);
  for (const uint64_t mailbox : {first, own, elsewhere}) Deliver(std::string(500, 'x'), {mailbox});
  ASSERT_TRUE(ChangeDomain(domain, [](auto* head) { *head->mutable_default_bytes() = ValueOf(600); }).ok());
  ASSERT_TRUE(ChangeDomain(domain, [](auto* head) { *head->mutable_max_bytes() = ValueOf(1000); }).ok());
  EXPECT_EQ(Events(),
            absl::StrCat("1: m", first, " 0>80 at 500 of 600; 2: d", domain, " 0>100 at 1000 of 1000"));
}

TEST_P(EventsContract, AMailboxThatMovesTellsOfBothPools) {
  const uint64_t from = CreateDomain(ValueOf(1000)), to = CreateDomain(ValueOf(900));
  const uint64_t mailbox = CreateMailbox(from);
  Deliver(std::string(850, 'x'), {mailbox});
  ASSERT_TRUE(ChangeMailbox(mailbox, [&](auto* head) { head->set_domain(to); }).ok());
  EXPECT_EQ(Events(), absl::StrCat("1: d", from, " 0>80 at 850 of 1000; 2: d", to,
                                   " 0>90 at 850 of 900; 3: d", from, " 80>0 at 0 of 1000"));
}

TEST_P(EventsContract, AWarningTellsNothingAndTheNextChangeDoes) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(1000));
  MakeReady(1, 850, {mailbox});
  CommitRequest request = CommitOf(1, std::string(850, 'x'), {mailbox});
  request.unmeasured = true;
  ASSERT_TRUE(Commit(std::move(request)).ok());
  EXPECT_EQ(Events(), "");
  Deliver("x", {mailbox});
  EXPECT_EQ(Events(), absl::StrCat("1: m", mailbox, " 0>80 at 851 of 1000"));
}

TEST_P(EventsContract, NothingUsedIsNoThresholdAndWhatIsDeletedTellsNothing) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(0));
  EXPECT_EQ(Events(), "");
  ASSERT_TRUE(ChangeMailbox(mailbox, [](auto* head) { *head->mutable_max_bytes() = ValueOf(100); }).ok());
  Deliver(std::string(90, 'x'), {mailbox});
  ASSERT_TRUE(ChangeMailbox(mailbox, [](auto* head) { head->set_state(stored::MailboxHead::DELETED); }).ok());
  ASSERT_TRUE(Expunge(mailbox, 1).ok());
  ASSERT_TRUE(ErasePartition(PartitionId::Mailbox(mailbox)).ok());
  EXPECT_EQ(Events(), absl::StrCat("1: m", mailbox, " 0>90 at 90 of 100"));
}

TEST_P(EventsContract, WithoutThresholdsNothingIsTold) {
  setup_.rules.thresholds.clear();
  Start();
  Deliver("x", {CreateMailboxAndDomain(ValueOf(1))});
  EXPECT_EQ(Events(), "");
}

TEST_P(EventsContract, PagesEndAtTheirLimitAndGoOn) {
  const uint64_t mailbox = CreateMailboxAndDomain({}, ValueOf(20));
  for (int i = 0; i < 20; ++i) Deliver("x", {mailbox});
  EXPECT_EQ(ReadEvents().events.size(), 4u);
  EXPECT_EQ(ReadEvents(0, 3).events.size(), 3u);
  const EventPage last = ReadEvents(3, 3);
  ASSERT_EQ(last.events.size(), 1u);
  EXPECT_EQ(last.events[0].quota().percent(), 100u);
  EXPECT_TRUE(ReadEvents(4).events.empty());
  EXPECT_TRUE(ReadEvents(UINT64_MAX).events.empty());
}

TEST_P(EventsContract, ListenersAreCalledWhenEventsCanBeRead) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(10));
  absl::Notification told;
  std::atomic<uint64_t> next = 0;
  engine_->OnEvents([&] {
    engine_->ReadEvents(0, 10, [&](absl::StatusOr<EventPage> page) {
      next = page.ok() ? page->next : 0;
      told.Notify();
    });
  });
  Deliver("12345678", {mailbox});
  AwaitOrDie(told);
  engine_->OnEvents(nullptr);
  EXPECT_EQ(next, 2u);
}

TEST_P(EventsContract, OldOnesAreDroppedAndTheNumbersGoOn) {
  setup_.event_retention_seconds = 100;
  Start();
  const uint64_t mailbox = CreateMailboxAndDomain({}, ValueOf(10));
  for (int i = 0; i < 8; ++i) Deliver("x", {mailbox});
  clock_.Advance(60'000'000);
  Deliver("x", {mailbox});
  EXPECT_EQ(ReadEvents().oldest, 1u);
  clock_.Advance(60'000'000);
  // In the background, perhaps.
  while (ReadEvents().oldest < 2) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(Events(), absl::StrCat("2: m", mailbox, " 80>90 at 9, 9 of 10"));
  clock_.Advance(60'000'000);
  while (ReadEvents().oldest < 3) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(ReadEvents().next, 3u);
  Deliver("x", {mailbox});
  EXPECT_EQ(Events(), absl::StrCat("3: m", mailbox, " 90>100 at 10, 10 of 10"));
}

TEST_P(EventsContract, AFullDiskIsAnEvent) {
  setup_.max_disk = 32 << 20;
  Start();
  const uint64_t mailbox = CreateMailboxAndDomain();
  for (uint64_t tx = 1; Open(tx, 1 << 20) == "opened"; ++tx) {
    Reserve(tx, mailbox, 1 << 20);
    ASSERT_EQ(Confirm(tx), "confirmed");
    ASSERT_TRUE(Commit(tx, Noise(1 << 20, tx), {mailbox}).ok());
  }
  for (uint64_t tx = 1000; Open(tx, 1 << 10) == "opened"; ++tx) {
    Reserve(tx, mailbox, 1 << 10);
    ASSERT_EQ(Confirm(tx), "confirmed");
    ASSERT_TRUE(Commit(tx, Noise(1 << 10, tx), {mailbox}).ok());
  }
  // What is left is less than any message of that size: whatever else is written fills it.
  for (int i = 0; ReadEvents().events.empty(); ++i) {
    ASSERT_TRUE(Put(PartitionId::Directory(), {{absl::StrCat("d/", i), Noise(1000, i)}}).ok());
  }
  EXPECT_EQ(Events(), "1: disk full");
}

TEST_P(DurableEvents, AreThereAgainAndWhatWasToldIsNotToldAgain) {
  const uint64_t domain = CreateDomain(ValueOf(1000));
  const uint64_t mailbox = CreateMailbox(domain, ValueOf(500));
  Deliver(std::string(450, 'x'), {mailbox});
  const std::string before = Events();
  EXPECT_EQ(before, absl::StrCat("1: m", mailbox, " 0>90 at 450 of 500"));
  Reopen();
  EXPECT_EQ(Events(), before);
  Deliver(std::string(30, 'x'), {mailbox});
  EXPECT_EQ(Events(1), absl::StrCat("2: m", mailbox, " 90>95 at 480 of 500"));
}

TEST_P(DurableEvents, WhatAStartHasChangedIsToldByIt) {
  const uint64_t domain = CreateDomain();
  const uint64_t first = CreateMailbox(domain), second = CreateMailbox(domain, Unlimited());
  Deliver(std::string(450, 'x'), {first, second});
  setup_.rules.default_bytes = ValueOf(500);
  Reopen();
  EXPECT_EQ(Events(), absl::StrCat("1: m", first, " 0>90 at 450 of 500"));
  setup_.rules.thresholds = {50};
  Reopen();
  EXPECT_EQ(Events(1), "") << "what was reached stays so until it is left";
  ASSERT_TRUE(Expunge(first, 1).ok());
  setup_.rules.default_bytes = Unlimited();
  Reopen();
  EXPECT_EQ(Events(1), absl::StrCat("2: m", first, " 90>0 at 0 of 500"));
  ExpectExact({first, second});
}

}  // namespace
}  // namespace restante::engine
