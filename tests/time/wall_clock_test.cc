// Wall clocks that are set by a day, back or forth, change no promise.
#include "tests/time/kept_store.h"

namespace restante {
namespace {

class WallClockSet : public KeptStore, public testing::WithParamInterface<int64_t> {
 protected:
  void Set() { SetWall(GetParam()); }
};

TEST_P(WallClockSet, ASilentReservationIsTakenAfterItsTimeAndNotBefore) {
  MakeMailbox("alice", 1'000);
  const model::Letter silent = LetterOf('a', 1'000), other = LetterOf('b', 600);
  const auto first = Begin(silent);
  ASSERT_EQ(Recipient(*first, silent), v1::OUTCOME_OK);
  Set();
  clock_->Advance(30 * kSecond - 1);
  const auto second = Begin(other);
  EXPECT_EQ(Recipient(*second, other), v1::OUTCOME_MAILBOX_FULL);
  Set();
  clock_->Advance(1);
  EXPECT_EQ(Recipient(*second, other), v1::OUTCOME_OK);
  EXPECT_EQ(Finish(*second, other), v1::OUTCOME_OK);
  EXPECT_EQ(Finish(*first, silent), v1::OUTCOME_MAILBOX_FULL);
}

TEST_P(WallClockSet, AConfirmedReservationIsKept) {
  MakeMailbox("alice", 1'000);
  const model::Letter letter = LetterOf('a', 1'000);
  const auto promised = Begin(letter);
  ASSERT_EQ(Recipient(*promised, letter), v1::OUTCOME_OK);
  promised->Ask(model::Letter::Data());
  Set();
  clock_->Advance(599 * kSecond);
  world_->deliveries().EndOverdue();
  EXPECT_EQ(Deliver(LetterOf('b', 600)), "OUTCOME_NO_RECIPIENTS");
  promised->Ask(letter.Chunk(0, letter.text.size()));
  promised->Ask(letter.Commit());
  EXPECT_EQ(promised->outcome(), v1::OUTCOME_OK);
  EXPECT_EQ(Messages("alice"), 1u);
}

TEST_P(WallClockSet, ASilentTransactionEndsAfterItsTimeAndNotBefore) {
  MakeMailbox("alice", 1'000);
  const model::Letter letter = LetterOf('a', 1'000);
  const auto conversation = Begin(letter);
  Set();
  clock_->Advance(600 * kSecond);
  world_->deliveries().EndOverdue();
  conversation->Answers();
  EXPECT_FALSE(conversation->over());
  Set();
  clock_->Advance(1 * kSecond);
  world_->deliveries().EndOverdue();
  conversation->Answers();
  EXPECT_TRUE(conversation->over());
  EXPECT_EQ(conversation->outcome(), v1::OUTCOME_TIMED_OUT);
}

TEST_P(WallClockSet, ARepeatedIdIsAnsweredForADay) {
  MakeMailbox("alice", 10'000);
  Pass(20 * kHour);
  const model::Letter letter = LetterOf('a', 1'000);
  const std::string receipt = Deliver(letter);
  EXPECT_FALSE(Settled('b'));
  for (int hours = 0; hours < 24; hours += 8) {
    Set();
    EXPECT_EQ(Deliver(letter), receipt);
    EXPECT_EQ(Deliver(LetterOf('b', 1'000)), "OUTCOME_REQUEST_ID_ABORTED");
    Pass(8 * kHour - kSecond);
  }
  EXPECT_EQ(Deliver(letter), receipt);
  EXPECT_TRUE(Settled('a'));
  EXPECT_EQ(Messages("alice"), 1u);
}

TEST_P(WallClockSet, WhatOutgrewItsRoomIsRememberedForADay) {
  MakeMailbox("alice", 1'000);
  model::Letter letter = LetterOf('a', 2'000);
  letter.declared = 100;
  EXPECT_EQ(Deliver(letter), "OUTCOME_MAILBOX_FULL");
  Set();
  clock_->Advance(kDay);
  letter.request_id = std::string(16, 'b');
  const auto remembered = Begin(letter);
  EXPECT_EQ(Recipient(*remembered, letter), v1::OUTCOME_MAILBOX_FULL);
  Set();
  clock_->Advance(1);
  letter.request_id = std::string(16, 'c');
  const auto forgotten = Begin(letter);
  EXPECT_EQ(Recipient(*forgotten, letter), v1::OUTCOME_OK);
  remembered->HangUp();
  forgotten->HangUp();
}

INSTANTIATE_TEST_SUITE_P(ByADay, WallClockSet, testing::Values(-kDay, kDay),
                         [](const auto& by) { return by.param < 0 ? "Back" : "Forward"; });

}  // namespace
}  // namespace restante
