#include "client/policy/policy_decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace restante::policy {
namespace {

PolicyRequest At(std::string state, std::string recipient, std::optional<uint64_t> size = std::nullopt) {
  PolicyRequest request;
  request.protocol_state = std::move(state);
  request.recipient = std::move(recipient);
  request.sender = "me@example.net";
  request.size = size;
  return request;
}

v1::Decision Decided(v1::Outcome outcome) {
  v1::Decision decision;
  decision.set_outcome(outcome);
  return decision;
}

v1::Capacity Disk(uint64_t available, bool full = false) {
  v1::Capacity capacity;
  capacity.set_limit_bytes(1000);
  capacity.set_available_bytes(available);
  capacity.set_full(full);
  capacity.mutable_time()->set_seconds(1);
  return capacity;
}

TEST(PolicyDecisionTest, WhatIsAskedFollowsFromStateAndRecipient) {
  const struct {
    PolicyRequest request;
    PolicyQuestion question;
  } cases[] = {
      {At("RCPT", "alice@example.org"), PolicyQuestion::kRecipient},
      {At("RCPT", "postmaster"), PolicyQuestion::kRecipient},
      {At("RCPT", ""), PolicyQuestion::kNothing},
      {At("END-OF-MESSAGE", "alice@example.org"), PolicyQuestion::kRecipient},
      {At("END-OF-MESSAGE", ""), PolicyQuestion::kDisk},
      {At("CONNECT", ""), PolicyQuestion::kNothing},
      {At("EHLO", ""), PolicyQuestion::kNothing},
      {At("MAIL", ""), PolicyQuestion::kNothing},
      {At("DATA", ""), PolicyQuestion::kNothing},
      {At("DATA", "alice@example.org"), PolicyQuestion::kNothing},
      {At("VRFY", "alice@example.org"), PolicyQuestion::kNothing},
      {At("ETRN", ""), PolicyQuestion::kNothing},
      {At("", "alice@example.org"), PolicyQuestion::kNothing},
      {At("rcpt", "alice@example.org"), PolicyQuestion::kNothing},
      {At("RCPT", "j\xc3\xb6rg@example.org"), PolicyQuestion::kRecipient},
      {At("RCPT", "j\xf6rg@example.org"), PolicyQuestion::kNothing},
      {At("RCPT", std::string(1013, 'x') + "@example.org"), PolicyQuestion::kNothing},
      {At("END-OF-MESSAGE", "j\xf6rg@example.org"), PolicyQuestion::kNothing},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(QuestionOf(c.request), c.question) << c.request.protocol_state << " " << c.request.recipient;
  }
}

TEST(PolicyDecisionTest, TheQuestionHoldsWhatIsKnown) {
  v1::CheckRecipientRequest check = ToCheckRecipient(At("RCPT", "alice@example.org", 7));
  EXPECT_EQ(check.address(), "alice@example.org");
  EXPECT_EQ(check.sender(), "me@example.net");
  EXPECT_EQ(check.size(), 7u);
  PolicyRequest unknown = At("RCPT", "alice@example.org");
  unknown.sender = "m\xf6@example.net";
  check = ToCheckRecipient(unknown);
  EXPECT_FALSE(check.has_size());
  EXPECT_EQ(check.sender(), "") << "the API takes UTF-8 only";
}

// Every outcome that there is, and one of a newer store.
TEST(PolicyDecisionTest, ARefusalOrDunnoForEveryOutcome) {
  const struct {
    v1::Outcome outcome;
    const char* action;
  } cases[] = {
      {v1::OUTCOME_UNSPECIFIED, "DUNNO"},
      {v1::OUTCOME_OK, "DUNNO"},
      {v1::OUTCOME_MAILBOX_FULL, "452 4.2.2 Mailbox full"},
      {v1::OUTCOME_MAILBOX_FULL_PERMANENTLY, "552 5.2.2 Mailbox full"},
      {v1::OUTCOME_DOMAIN_FULL, "452 4.3.1 The domain's storage is full"},
      {v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT, "552 5.2.3 Message larger than the whole mailbox"},
      {v1::OUTCOME_DISK_FULL, "452 4.3.1 Insufficient system storage"},
      {v1::OUTCOME_MESSAGE_TOO_LARGE, "552 5.3.4 Message too large for this system"},
      {v1::OUTCOME_NO_SUCH_MAILBOX, "DUNNO"},
      {v1::OUTCOME_FOREIGN_DOMAIN, "DUNNO"},
      {v1::OUTCOME_MAILBOX_DISABLED, "DUNNO"},
      {v1::OUTCOME_MAILBOX_ON_HOLD, "450 4.2.1 Mailbox on hold"},
      {v1::OUTCOME_NOT_CONFIGURED, "DUNNO"},
      {v1::OUTCOME_TOO_MANY_RECIPIENTS, "DUNNO"},
      {v1::OUTCOME_TOO_MANY_DELIVERIES, "DUNNO"},
      {v1::OUTCOME_CLIENT_LIMIT, "DUNNO"},
      {v1::OUTCOME_NO_RECIPIENTS, "DUNNO"},
      {v1::OUTCOME_UNAVAILABLE, "DUNNO"},
      {v1::OUTCOME_CONTENT_MISMATCH, "DUNNO"},
      {v1::OUTCOME_WRITE_ERROR, "DUNNO"},
      {v1::OUTCOME_READ_ONLY, "DUNNO"},
      {v1::OUTCOME_INVALID_ADDRESS, "DUNNO"},
      {v1::OUTCOME_INVALID_EVENT, "DUNNO"},
      {v1::OUTCOME_REQUEST_ID_IN_USE, "DUNNO"},
      {v1::OUTCOME_REQUEST_ID_ABORTED, "DUNNO"},
      {v1::OUTCOME_CREDIT_EXCEEDED, "DUNNO"},
      {v1::OUTCOME_TIMED_OUT, "DUNNO"},
      {v1::OUTCOME_DRAINING, "DUNNO"},
      {static_cast<v1::Outcome>(v1::Outcome_MAX + 1), "DUNNO"},
  };
  EXPECT_EQ(std::size(cases), static_cast<size_t>(v1::Outcome_MAX) + 2);
  for (const auto& c : cases) {
    EXPECT_EQ(ActionFor(Decided(c.outcome), WhenUnavailable::kDunno), c.action)
        << v1::Outcome_Name(c.outcome);
    const std::string tempfail = ActionFor(Decided(c.outcome), WhenUnavailable::kTempfail);
    EXPECT_EQ(tempfail, c.outcome == v1::OUTCOME_UNAVAILABLE ? "451 4.3.0 Temporary failure, try again later"
                                                             : c.action);
  }
}

TEST(PolicyDecisionTest, AStoreThatDoesNotAnswerIsDunnoUnlessToldOtherwise) {
  for (const absl::Status& why : {absl::UnavailableError("away"), absl::DeadlineExceededError("3000 ms"),
                                  absl::InternalError("odd"), absl::PermissionDeniedError("no")}) {
    EXPECT_EQ(ActionFor(why, WhenUnavailable::kDunno), "DUNNO") << why;
    EXPECT_EQ(ActionFor(why, WhenUnavailable::kTempfail), "451 4.3.0 Temporary failure, try again later");
  }
}

TEST(PolicyDecisionTest, TheDiskDecidesBySizeAndWatermarkAndOnceItWasHeardOf) {
  const struct {
    v1::Capacity capacity;
    std::optional<uint64_t> size;
    v1::Outcome outcome;
  } cases[] = {
      {v1::Capacity(), 1, v1::OUTCOME_UNAVAILABLE},
      {Disk(100), std::nullopt, v1::OUTCOME_OK},
      {Disk(100), 100, v1::OUTCOME_OK},
      {Disk(100), 101, v1::OUTCOME_DISK_FULL},
      {Disk(0), std::nullopt, v1::OUTCOME_DISK_FULL},
      {Disk(100, /*full=*/true), 1, v1::OUTCOME_DISK_FULL},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(DecideByDisk(c.capacity, c.size).outcome(), c.outcome) << c.capacity.ShortDebugString();
  }
  const v1::Shortage shortage = DecideByDisk(Disk(100), 101).shortage();
  EXPECT_EQ(shortage.scope(), v1::Shortage::DISK);
  EXPECT_EQ(shortage.limit(), 1000u);
  EXPECT_EQ(shortage.needed(), 101u);
}

}  // namespace
}  // namespace restante::policy
