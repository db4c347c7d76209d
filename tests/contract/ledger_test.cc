#include "server/engine/ledger.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "server/base/fake_clock.h"
#include "server/mail/quota.h"
#include "tests/contract/describe.h"

namespace restante::engine {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
constexpr int64_t kSoft = 30'000'000;

// Mailboxes are small numbers, domains are hundreds, transactions thousands.
class LedgerTest : public testing::Test {
 protected:
  void SetUp() override { Start(); }
  // Anew, by `rules_`.
  void Start() {
    rules_.soft_after_us = kSoft;
    ledger_ = std::make_unique<Ledger>(rules_, &clock_);
  }

  void Mailbox(uint64_t number, uint64_t bytes, uint64_t used = 0, uint64_t messages = quota::kUnlimited,
               uint64_t used_messages = 0, uint64_t domain = 100) {
    stored::MailboxHead head;
    head.set_domain(domain);
    *head.mutable_max_bytes() = ValueOf(bytes);
    *head.mutable_max_messages() = ValueOf(messages);
    head.set_used_bytes(used);
    head.set_used_messages(used_messages);
    ledger_->PutMailbox(number, head);
  }
  void Domain(uint64_t number, uint64_t max_bytes) {
    stored::DomainHead head;
    *head.mutable_max_bytes() = ValueOf(max_bytes);
    ledger_->PutDomain(number, head);
  }
  std::string Open(uint64_t tx, uint64_t bytes = 0) { return Describe(ledger_->Open(Id(tx), bytes)); }
  std::string Reserve(uint64_t tx, uint64_t mailbox, uint64_t bytes) {
    return Describe(ledger_->Reserve(Id(tx), mailbox, {.bytes = bytes, .at_least = bytes}));
  }
  std::string ReserveUpTo(uint64_t tx, uint64_t mailbox, uint64_t bytes, uint64_t at_least) {
    return Describe(ledger_->Reserve(Id(tx), mailbox, {.bytes = bytes, .at_least = at_least}));
  }
  std::string ReserveExempt(uint64_t tx, uint64_t mailbox, uint64_t bytes) {
    return Describe(ledger_->Reserve(Id(tx), mailbox, {.bytes = bytes, .at_least = bytes, .exempt = true}));
  }
  std::string Check(uint64_t mailbox, uint64_t bytes) {
    return Describe(ledger_->Check(mailbox, {.bytes = bytes, .at_least = bytes}));
  }
  // Opens and reserves.
  std::string Begin(uint64_t tx, uint64_t mailbox, uint64_t bytes) {
    const std::string opened = Open(tx, bytes);
    return opened == "opened" ? Reserve(tx, mailbox, bytes) : opened;
  }
  std::string Confirm(uint64_t tx) { return Describe(ledger_->Confirm(Id(tx))); }
  std::string Extend(uint64_t tx, uint64_t bytes) { return Describe(ledger_->Extend(Id(tx), bytes)); }
  std::string StartCommit(uint64_t tx, uint64_t size, std::vector<uint64_t> mailboxes) {
    return Describe(ledger_->StartCommit(Id(tx), size, mailboxes));
  }
  uint64_t ReservedIn(uint64_t mailbox) { return ledger_->ReservedIn(mailbox).bytes; }
  uint64_t Deliveries(uint64_t mailbox) { return ledger_->ReservedIn(mailbox).messages; }

  QuotaRules rules_;
  FakeClock clock_;
  std::unique_ptr<Ledger> ledger_;
};

// --- mailboxes and domains ---------------------------------------------------------

TEST_F(LedgerTest, RoomIsGivenOnceOnly) {
  Mailbox(1, 100, 40);
  EXPECT_EQ(Begin(1001, 1, 40), "granted 40");
  EXPECT_EQ(Begin(1002, 1, 21), "mailbox: needs 21 bytes, 40 used and 40 reserved of 100");
  EXPECT_EQ(Begin(1003, 1, 61), "mailbox: needs 61 bytes, 40 used and 40 reserved of 100, full");
  EXPECT_EQ(Begin(1004, 1, 20), "granted 20");
  EXPECT_EQ(Begin(1005, 1, 0), "granted 0");
}

TEST_F(LedgerTest, MessagesAreAScopeOfTheirOwn) {
  Mailbox(1, 100, 0, 3, 1);
  EXPECT_EQ(Begin(1001, 1, 1), "granted 1");
  EXPECT_EQ(Begin(1002, 1, 0), "granted 0");
  EXPECT_EQ(Begin(1003, 1, 1), "mailbox: needs 1 messages, 1 used and 2 reserved of 3");
}

TEST_F(LedgerTest, OfBytesAndMessagesTheBytesAreReportedFirst) {
  Mailbox(1, 100, 100, 3, 3);
  EXPECT_EQ(Begin(1001, 1, 1), "mailbox: needs 1 bytes, 100 used and 0 reserved of 100, full");
}

TEST_F(LedgerTest, ADomainsPoolIsSharedByItsMailboxes) {
  Domain(100, 100);
  Mailbox(1, 1000, 30);
  Mailbox(2, 1000, 30);
  EXPECT_EQ(Begin(1001, 1, 25), "granted 25");
  EXPECT_EQ(Begin(1002, 2, 16), "domain: needs 16 bytes, 60 used and 25 reserved of 100");
  EXPECT_EQ(Begin(1003, 2, 15), "granted 15");
  const Ledger::DomainSums sums = ledger_->SumsOf(100);
  EXPECT_EQ(sums.used_bytes, 60u);
  EXPECT_EQ(sums.mailboxes, 2u);
  EXPECT_EQ(sums.reserved.bytes, 40u);
  EXPECT_EQ(sums.reserved.messages, 2u);
}

TEST_F(LedgerTest, DefaultsOfDomainAndServerAreInherited) {
  rules_.default_bytes = ValueOf(50);
  Start();
  stored::MailboxHead head;
  head.set_domain(100);
  ledger_->PutMailbox(1, head);
  EXPECT_EQ(Check(1, 51), "mailbox: needs 51 bytes, 0 used and 0 reserved of 50, full");
  stored::DomainHead domain;
  *domain.mutable_default_bytes() = ValueOf(70);
  ledger_->PutDomain(100, domain);
  EXPECT_EQ(Check(1, 70), "granted 70");
  ledger_->EraseDomain(100);
  EXPECT_EQ(Check(1, 70), "mailbox: needs 70 bytes, 0 used and 0 reserved of 50, full");
}

TEST_F(LedgerTest, AMailboxTakesItsUsageAndReservationsToAnotherDomain) {
  Domain(100, 100);
  Domain(200, 100);
  Mailbox(1, 1000, 30);
  Mailbox(2, 1000, 0, 10, 0, 200);
  EXPECT_EQ(Begin(1001, 1, 50), "granted 50");
  Mailbox(1, 1000, 40, 10, 2, 200);
  EXPECT_EQ(ledger_->SumsOf(100).used_bytes + ledger_->SumsOf(100).reserved.bytes, 0u);
  EXPECT_EQ(ledger_->SumsOf(100).mailboxes, 0u);
  EXPECT_EQ(ledger_->SumsOf(200).used_messages, 2u);
  EXPECT_EQ(Begin(1002, 2, 11), "domain: needs 11 bytes, 40 used and 50 reserved of 100");
  // And what is soft there can be taken there.
  clock_.Advance(kSoft);
  EXPECT_EQ(Reserve(1002, 2, 11), "granted 11");
  EXPECT_EQ(ReservedIn(1), 0u);
}

TEST_F(LedgerTest, UnknownSizesGetWhatThereIs) {
  Domain(100, 90);
  Mailbox(1, 100, 40);
  Open(1001);
  EXPECT_EQ(ReserveUpTo(1001, 1, 1000, 1), "granted 50") << "the domain has less than the mailbox";
  Open(1002);
  EXPECT_EQ(ReserveUpTo(1002, 1, 1000, 1), "domain: needs 1 bytes, 40 used and 50 reserved of 90");
}

TEST_F(LedgerTest, AtLeastAboveTheDemandIsTheDemand) {
  Mailbox(1, 100);
  Open(1001);
  EXPECT_EQ(ReserveUpTo(1001, 1, 100, 500), "granted 100");
}

TEST_F(LedgerTest, ASecondReserveRaisesTheFirst) {
  Mailbox(1, 100);
  EXPECT_EQ(Begin(1001, 1, 80), "granted 80");
  EXPECT_EQ(Reserve(1001, 1, 90), "granted 90");
  EXPECT_EQ(ReservedIn(1), 90u);
  EXPECT_EQ(Deliveries(1), 1u);
  EXPECT_EQ(Reserve(1001, 1, 101), "mailbox: needs 101 bytes, 0 used and 0 reserved of 100, full");
  EXPECT_EQ(ReservedIn(1), 90u) << "refused, the first stands";
  EXPECT_EQ(Reserve(1001, 1, 70), "granted 90");
  EXPECT_EQ(ReserveUpTo(1001, 1, 95, 1), "granted 95");
  EXPECT_EQ(ReservedIn(1), 95u);
  EXPECT_EQ(Deliveries(1), 1u);
}

TEST_F(LedgerTest, ParallelDeliveriesToOneMailboxAreBounded) {
  rules_.deliveries_per_mailbox = 2;
  Start();
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 1);
  Begin(1002, 1, 1);
  EXPECT_EQ(Begin(1003, 1, 1), "too many: 2");
  EXPECT_EQ(Reserve(1003, 2, 1), "granted 1");
  EXPECT_EQ(Reserve(1002, 1, 5), "granted 5") << "a replacement is no further delivery";
  EXPECT_EQ(ReserveExempt(1003, 1, 5), "granted 5");
  ledger_->Close(Id(1001));
  ledger_->Close(Id(1003));
  EXPECT_EQ(Begin(1004, 1, 1), "granted 1");
  // Two silent senders of nothing cannot keep the mailbox.
  clock_.Advance(kSoft);
  EXPECT_EQ(Begin(1005, 1, 1), "granted 1");
  EXPECT_EQ(Deliveries(1), 2u);
}

TEST_F(LedgerTest, ExemptDemandsAreChargedAndNeverRefused) {
  Domain(100, 10);
  Mailbox(1, 10, 10, 1, 1);
  Open(1001, 500);
  EXPECT_EQ(ReserveExempt(1001, 1, 500), "granted 500");
  EXPECT_EQ(ReservedIn(1), 500u);
  EXPECT_EQ(ledger_->SumsOf(100).reserved.bytes, 500u);
  EXPECT_EQ(Confirm(1001), "confirmed");
  EXPECT_EQ(Extend(1001, 600), "extended");
  EXPECT_EQ(ReservedIn(1), 600u);
}

TEST_F(LedgerTest, ALoweredLimitTakesNothingBack) {
  Mailbox(1, 100);
  Begin(1001, 1, 80);
  Mailbox(1, 50);
  EXPECT_EQ(Confirm(1001), "confirmed");
  EXPECT_EQ(StartCommit(1001, 80, {1}), "ok");
}

TEST_F(LedgerTest, UnknownMailboxesAndTransactionsAreErrors) {
  Mailbox(1, 100);
  EXPECT_EQ(Reserve(1001, 1, 1), "FAILED_PRECONDITION");
  EXPECT_EQ(Confirm(1001), "FAILED_PRECONDITION");
  EXPECT_EQ(Extend(1001, 1), "FAILED_PRECONDITION");
  EXPECT_EQ(StartCommit(1001, 1, {}), "FAILED_PRECONDITION");
  Open(1001);
  EXPECT_EQ(Reserve(1001, 2, 1), "NOT_FOUND");
  EXPECT_EQ(Check(2, 1), "NOT_FOUND");
  ledger_->Release(Id(1001), 2);
  ledger_->Release(Id(1002), 1);
  ledger_->Close(Id(1002));
  ledger_->EndCommit(Id(1001));
  EXPECT_EQ(ledger_->StateOf(Id(1001)), Ledger::State::kOpen);
}

TEST_F(LedgerTest, ADeletedMailboxLosesAllItsReservations) {
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 10);
  Reserve(1001, 2, 10);
  Begin(1002, 1, 10);
  Confirm(1002);
  stored::MailboxHead head;
  head.set_domain(100);
  head.set_state(stored::MailboxHead::DELETED);
  ledger_->PutMailbox(1, head);
  EXPECT_EQ(ReservedIn(1), 0u);
  EXPECT_EQ(ledger_->SumsOf(100).reserved.bytes, 10u);
  EXPECT_EQ(Reserve(1002, 1, 5), "NOT_FOUND");
  EXPECT_EQ(Check(1, 5), "NOT_FOUND");
  EXPECT_EQ(StartCommit(1002, 10, {1}), "FAILED_PRECONDITION");
  ledger_->EraseMailbox(1);
  EXPECT_EQ(Confirm(1001), "confirmed; 1 lost, mailbox: needs 10 bytes, 0 used and 0 reserved of 0");
  EXPECT_EQ(StartCommit(1001, 10, {2}), "ok");
  EXPECT_EQ(ledger_->SumsOf(100).mailboxes, 1u);
}

TEST_F(LedgerTest, HostileAmountsDoNotOverflow) {
  Mailbox(1, quota::kUnlimited, kMax, 10);
  Mailbox(2, quota::kUnlimited, kMax);
  Open(1001, 0);
  EXPECT_EQ(ledger_->SumsOf(100).used_bytes, kMax) << "clipped";
  EXPECT_NE(Reserve(1001, 1, kMax), absl::StrCat("granted ", kMax));
  Mailbox(2, quota::kUnlimited);
  EXPECT_NE(Reserve(1001, 2, kMax), absl::StrCat("granted ", kMax));
  EXPECT_EQ(ReserveExempt(1001, 1, kMax), absl::StrCat("granted ", kMax));
  EXPECT_EQ(ReserveExempt(1001, 2, kMax), absl::StrCat("granted ", kMax));
  EXPECT_EQ(ledger_->SumsOf(100).reserved.bytes, kMax);
  ledger_->Release(Id(1001), 1);
  EXPECT_EQ(ledger_->SumsOf(100).reserved.bytes, kMax);
  ledger_->Close(Id(1001));
  Mailbox(1, quota::kUnlimited, 7);
  EXPECT_EQ(ledger_->SumsOf(100).used_bytes, 7u);
  EXPECT_EQ(ledger_->SumsOf(100).reserved.bytes, 0u);
}

// --- soft until confirmed ------------------------------------------------------------

TEST_F(LedgerTest, ASoftReservationIsSafeUntilItsTime) {
  Mailbox(1, 100);
  Begin(1001, 1, 100);
  clock_.Advance(kSoft - 1);
  EXPECT_EQ(Begin(1002, 1, 1), "mailbox: needs 1 bytes, 0 used and 100 reserved of 100");
  EXPECT_EQ(Check(1, 1), "mailbox: needs 1 bytes, 0 used and 100 reserved of 100");
  clock_.Advance(1);
  EXPECT_EQ(Check(1, 1), "granted 1");
  EXPECT_EQ(ReservedIn(1), 100u) << "Check takes nothing";
  EXPECT_EQ(Reserve(1002, 1, 1), "granted 1");
  EXPECT_EQ(ReservedIn(1), 1u);
}

TEST_F(LedgerTest, AConfirmedReservationIsNeverTaken) {
  Mailbox(1, 100);
  Begin(1001, 1, 100);
  EXPECT_EQ(Confirm(1001), "confirmed");
  clock_.Advance(100 * kSoft);
  EXPECT_EQ(Begin(1002, 1, 1), "mailbox: needs 1 bytes, 0 used and 100 reserved of 100");
}

TEST_F(LedgerTest, TheOldestAreTakenAndNoMoreThanNeeded) {
  Mailbox(1, 100);
  for (uint64_t tx : {1001, 1002, 1003}) {
    Begin(tx, 1, 30);
    clock_.Advance(1);
  }
  clock_.Advance(kSoft);
  EXPECT_EQ(Begin(1004, 1, 50), "granted 50");
  EXPECT_EQ(ReservedIn(1), 80u) << "10 were free, two of 30 were taken";
  EXPECT_EQ(Confirm(1003), "confirmed");
  EXPECT_EQ(Confirm(1001), "confirmed; 1 lost, mailbox: needs 30 bytes, 0 used and 80 reserved of 100");
}

TEST_F(LedgerTest, NothingIsTakenInVain) {
  Mailbox(1, 100);
  Begin(1001, 1, 60);
  Begin(1002, 1, 40);
  Confirm(1002);
  clock_.Advance(kSoft);
  EXPECT_EQ(Begin(1003, 1, 61), "mailbox: needs 61 bytes, 0 used and 100 reserved of 100");
  EXPECT_EQ(ReservedIn(1), 100u);
  EXPECT_EQ(Confirm(1001), "confirmed");
}

TEST_F(LedgerTest, NothingIsTakenInAMailboxWhoseDomainHasNoRoom) {
  Domain(100, 150);
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 60);
  Begin(1002, 2, 90);
  Confirm(1002);
  clock_.Advance(kSoft);
  EXPECT_EQ(Begin(1003, 1, 61), "domain: needs 61 bytes, 0 used and 150 reserved of 150");
  EXPECT_EQ(ReservedIn(1), 60u);
}

TEST_F(LedgerTest, ForTheDomainOtherMailboxesReservationsAreTaken) {
  Domain(100, 100);
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 90);
  clock_.Advance(kSoft);
  EXPECT_EQ(Begin(1002, 2, 50), "granted 50");
  EXPECT_EQ(Confirm(1001), "confirmed; 1 lost, domain: needs 90 bytes, 0 used and 50 reserved of 100");
}

TEST_F(LedgerTest, ATransactionDoesNotTakeFromItself) {
  Domain(100, 100);
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 90);
  clock_.Advance(kSoft);
  EXPECT_EQ(Reserve(1001, 2, 50), "domain: needs 50 bytes, 0 used and 90 reserved of 100");
}

TEST_F(LedgerTest, ForAnUnknownSizeOnlyTheLeastIsTaken) {
  Mailbox(1, 100);
  Begin(1001, 1, 50);
  clock_.Advance(1);
  Begin(1002, 1, 50);
  clock_.Advance(kSoft);
  Open(1003);
  EXPECT_EQ(ReserveUpTo(1003, 1, 1000, 10), "granted 50");
  EXPECT_EQ(Confirm(1002), "confirmed");
}

TEST_F(LedgerTest, WhatWasTakenIsGotBackIfThereIsRoom) {
  Mailbox(1, 100);
  Begin(1001, 1, 80);
  clock_.Advance(kSoft);
  Begin(1002, 1, 30);
  ledger_->Close(Id(1002));
  EXPECT_EQ(Confirm(1001), "confirmed");
  EXPECT_EQ(ReservedIn(1), 80u);
  EXPECT_EQ(StartCommit(1001, 80, {1}), "ok");
}

TEST_F(LedgerTest, WhatWasTakenIsGotBackFromTheTakerOnceItIsIdleToo) {
  Mailbox(1, 100);
  Begin(1001, 1, 80);
  clock_.Advance(kSoft);
  Begin(1002, 1, 30);
  clock_.Advance(kSoft);
  EXPECT_EQ(Confirm(1001), "confirmed");
  EXPECT_EQ(Confirm(1002), "confirmed; 1 lost, mailbox: needs 30 bytes, 0 used and 80 reserved of 100");
  EXPECT_EQ(StartCommit(1002, 30, {1}), "FAILED_PRECONDITION");
}

TEST_F(LedgerTest, AnExemptReservationThatWasTakenIsAlwaysGotBack) {
  Mailbox(1, 100);
  Open(1001, 100);
  ReserveExempt(1001, 1, 100);
  clock_.Advance(kSoft);
  EXPECT_EQ(Begin(1002, 1, 100), "granted 100");
  EXPECT_EQ(Confirm(1001), "confirmed");
  EXPECT_EQ(ReservedIn(1), 200u);
}

// --- growth --------------------------------------------------------------------------

TEST_F(LedgerTest, GrowthUsesRoomThenGraceAndNothingElseUsesGrace) {
  rules_.grace_bytes = 10;
  Start();
  Mailbox(1, 100);
  Begin(1001, 1, 50);
  Confirm(1001);
  EXPECT_EQ(Extend(1001, 110), "extended");
  EXPECT_EQ(Extend(1001, 111),
            "extended; 1 lost, mailbox: needs 111 bytes, 0 used and 0 reserved of 100, full");
  EXPECT_EQ(ReservedIn(1), 110u) << "what it had is kept";
  EXPECT_EQ(Begin(1002, 1, 0), "mailbox: needs 0 bytes, 0 used and 110 reserved of 100");
}

TEST_F(LedgerTest, GraceHoldsForTheDomainsPoolToo) {
  rules_.grace_bytes = 10;
  Start();
  Domain(100, 100);
  Mailbox(1, 1000, 60);
  Begin(1001, 1, 40);
  Confirm(1001);
  EXPECT_EQ(Extend(1001, 50), "extended");
  EXPECT_EQ(Extend(1001, 51),
            "extended; 1 lost, domain: needs 51 bytes, 60 used and 0 reserved of 100, full");
}

TEST_F(LedgerTest, OneMailboxThatCannotGrowDoesNotHoldUpTheOthers) {
  Mailbox(1, 50);
  Mailbox(2, 100);
  Begin(1001, 1, 40);
  Reserve(1001, 2, 40);
  Confirm(1001);
  EXPECT_EQ(Extend(1001, 60), "extended; 1 lost, mailbox: needs 60 bytes, 0 used and 0 reserved of 50, full");
  EXPECT_EQ(ReservedIn(1), 40u);
  EXPECT_EQ(ReservedIn(2), 60u);
  EXPECT_EQ(Extend(1001, 10), "extended") << "never shrinks";
  EXPECT_EQ(ReservedIn(2), 60u);
}

TEST_F(LedgerTest, GrowthMayTakeIdleReservations) {
  Mailbox(1, 100);
  Begin(1001, 1, 50);
  Confirm(1001);
  Begin(1002, 1, 50);
  EXPECT_EQ(Extend(1001, 60), "extended; 1 lost, mailbox: needs 60 bytes, 0 used and 50 reserved of 100");
  clock_.Advance(kSoft);
  EXPECT_EQ(Extend(1001, 60), "extended");
  EXPECT_EQ(ReservedIn(1), 60u);
}

// --- the disk --------------------------------------------------------------------------

TEST_F(LedgerTest, TheDiskIsReservedOnceForATransaction) {
  ledger_->SetDisk(100, 40);
  EXPECT_EQ(Open(1001, 50), "opened");
  EXPECT_EQ(Open(1001, 1), "in use");
  EXPECT_EQ(Open(1002, 11), "disk: needs 11 bytes, 40 used and 50 reserved of 100");
  EXPECT_EQ(Open(1003, 61), "disk: needs 61 bytes, 40 used and 50 reserved of 100, full");
  EXPECT_EQ(ledger_->capacity().available, 10u);
  ledger_->Close(Id(1001));
  EXPECT_EQ(ledger_->capacity().available, 60u);
  EXPECT_EQ(ledger_->open_transactions(), 0u);
}

TEST_F(LedgerTest, AFullDiskIsFullUntilTheLowWatermark) {
  EXPECT_FALSE(ledger_->SetDisk(1000, 999));
  EXPECT_TRUE(ledger_->SetDisk(1000, 1000));
  EXPECT_FALSE(ledger_->SetDisk(1000, 991));
  EXPECT_TRUE(ledger_->capacity().full);
  EXPECT_EQ(ledger_->capacity().available, 0u);
  EXPECT_EQ(Open(1001, 0), "disk: needs 0 bytes, 991 used and 0 reserved of 1000, full");
  EXPECT_TRUE(ledger_->SetDisk(1000, 990));
  EXPECT_FALSE(ledger_->capacity().full);
  EXPECT_EQ(Open(1001, 10), "opened");
  EXPECT_EQ(ledger_->capacity().available, 0u);
}

TEST_F(LedgerTest, ADiskIsFullWhileItIsBlocked) {
  EXPECT_TRUE(ledger_->SetDisk(1000, 500, /*blocked=*/true));
  EXPECT_EQ(Open(1001, 1), "disk: needs 1 bytes, 500 used and 0 reserved of 1000, full");
  EXPECT_FALSE(ledger_->SetDisk(1000, 500, /*blocked=*/true));
  EXPECT_TRUE(ledger_->SetDisk(1000, 500));
  EXPECT_EQ(Open(1001, 1), "opened");
}

TEST_F(LedgerTest, ADiskWithoutAnySpaceIsFull) {
  ledger_->SetDisk(0, 0);
  EXPECT_EQ(Open(1001, 0), "disk: needs 0 bytes, 0 used and 0 reserved of 0, full");
  EXPECT_TRUE(ledger_->SetDisk(kMax, 0));
  EXPECT_EQ(Open(1001, kMax), "opened");
  EXPECT_EQ(Open(1002, 1), absl::StrCat("disk: needs 1 bytes, 0 used and ", kMax, " reserved of ", kMax));
}

TEST_F(LedgerTest, IdleSharesOfTheDiskAreTakenOldestFirst) {
  Mailbox(1, 1000);
  ledger_->SetDisk(100, 0);
  Begin(1001, 1, 50);
  clock_.Advance(1);
  Begin(1002, 1, 50);
  clock_.Advance(kSoft - 1);
  EXPECT_EQ(Open(1003, 51), "disk: needs 51 bytes, 0 used and 100 reserved of 100")
      << "only the first is idle";
  EXPECT_EQ(ledger_->capacity().reserved, 100u) << "and nothing is taken in vain";
  EXPECT_EQ(Open(1003, 10), "opened");
  EXPECT_EQ(ledger_->capacity().reserved, 60u);
  EXPECT_EQ(Confirm(1001), "confirmed; disk: needs 50 bytes, 0 used and 60 reserved of 100");
  EXPECT_EQ(ReservedIn(1), 50u) << "nothing of it holds";
  EXPECT_EQ(StartCommit(1001, 1, {}), "FAILED_PRECONDITION");
}

TEST_F(LedgerTest, ALostShareOfTheDiskIsGotBackIfThereIsRoom) {
  Mailbox(1, 1000);
  ledger_->SetDisk(100, 0);
  Begin(1001, 1, 50);
  clock_.Advance(kSoft);
  Open(1002, 60);
  ledger_->Close(Id(1002));
  EXPECT_EQ(Confirm(1001), "confirmed");
  EXPECT_EQ(ledger_->capacity().reserved, 50u);
  clock_.Advance(kSoft);
  EXPECT_EQ(Open(1003, 60), "disk: needs 60 bytes, 0 used and 50 reserved of 100");
}

TEST_F(LedgerTest, ADiskThatBecameFullIsNotPromisedAnyMore) {
  Mailbox(1, 1000);
  ledger_->SetDisk(100, 0);
  Begin(1001, 1, 10);
  Begin(1002, 1, 10);
  Confirm(1002);
  ledger_->SetDisk(100, 100);
  EXPECT_EQ(Confirm(1001), "confirmed; disk: needs 10 bytes, 100 used and 10 reserved of 100, full");
  EXPECT_EQ(Confirm(1002), "confirmed") << "a promise stands";
  EXPECT_EQ(StartCommit(1002, 10, {1}), "ok");
}

TEST_F(LedgerTest, WithoutDiskNothingGrows) {
  Mailbox(1, 1000);
  ledger_->SetDisk(100, 0);
  Begin(1001, 1, 50);
  Confirm(1001);
  Open(1002, 40);
  EXPECT_EQ(Extend(1001, 61), "extended; disk: needs 61 bytes, 0 used and 40 reserved of 100");
  EXPECT_EQ(ReservedIn(1), 50u);
  EXPECT_EQ(Extend(1001, 60), "extended");
  EXPECT_EQ(ledger_->capacity().reserved, 100u);
  clock_.Advance(kSoft);
  EXPECT_EQ(Extend(1001, 61), "extended") << "the other's share is idle";
  EXPECT_EQ(ledger_->capacity().reserved, 61u);
}

// --- committing ------------------------------------------------------------------------

TEST_F(LedgerTest, ACommitNeedsConfirmedRoomForItsSizeEverywhere) {
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 50);
  EXPECT_EQ(StartCommit(1001, 10, {1}), "FAILED_PRECONDITION") << "nothing is confirmed";
  Confirm(1001);
  EXPECT_EQ(StartCommit(1001, 51, {1}), "FAILED_PRECONDITION");
  EXPECT_EQ(StartCommit(1001, 50, {1, 2}), "FAILED_PRECONDITION");
  EXPECT_EQ(StartCommit(1001, 50, {1, 1}), "FAILED_PRECONDITION");
  EXPECT_EQ(Reserve(1001, 2, 50), "granted 50");
  EXPECT_EQ(StartCommit(1001, 50, {1, 2}), "FAILED_PRECONDITION") << "the second is not confirmed";
  EXPECT_EQ(ReservedIn(1), 50u) << "a refusal changes nothing";
  Confirm(1001);
  EXPECT_EQ(StartCommit(1001, 50, {1, 2}), "ok");
}

TEST_F(LedgerTest, ACommitGivesUpTheMailboxesAtOnceAndTheDiskAtItsEnd) {
  ledger_->SetDisk(1000, 0);
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 50);
  Reserve(1001, 2, 50);
  Confirm(1001);
  EXPECT_EQ(StartCommit(1001, 50, {1}), "ok");
  EXPECT_EQ(ledger_->StateOf(Id(1001)), Ledger::State::kCommitting);
  EXPECT_EQ(ReservedIn(1) + ReservedIn(2) + Deliveries(1), 0u) << "also those that were not named";
  EXPECT_EQ(ledger_->capacity().reserved, 50u);
  ledger_->Close(Id(1001));
  EXPECT_EQ(Open(1001), "in use");
  EXPECT_EQ(Reserve(1001, 1, 1), "FAILED_PRECONDITION");
  EXPECT_EQ(StartCommit(1001, 50, {}), "FAILED_PRECONDITION");
  ledger_->EndCommit(Id(1001));
  EXPECT_EQ(ledger_->capacity().reserved, 0u);
  EXPECT_EQ(ledger_->StateOf(Id(1001)), Ledger::State::kNone);
}

TEST_F(LedgerTest, ReleaseGivesUpOneMailboxOnly) {
  Mailbox(1, 100);
  Mailbox(2, 100);
  Begin(1001, 1, 50);
  Reserve(1001, 2, 50);
  ledger_->Release(Id(1001), 1);
  EXPECT_EQ(ReservedIn(1), 0u);
  EXPECT_EQ(ReservedIn(2), 50u);
  ledger_->Close(Id(1001));
  EXPECT_EQ(ReservedIn(2), 0u);
}

}  // namespace
}  // namespace restante::engine
