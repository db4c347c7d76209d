// Parameters for delivery status notifications: what is taken, and what of it is kept
// with each copy.
#include "server/mail/dsn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/strand.h"
#include "server/mail/dsn_recipients.h"
#include "server/mail/entries.h"
#include "server/mail/messages.h"
#include "server/mail/transaction.h"
#include "tests/mail/fixture.h"
#include "tests/mail/small_store.h"

namespace restante::mail {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// --- what is taken -------------------------------------------------------------------

TEST(DsnCheck, AnEnvidIsXtextOfAtMost100Octets) {
  const auto check = [](std::string envid) {
    v1::Begin begin;
    begin.set_envid(std::move(envid));
    return std::string(dsn::Check(begin).message());
  };
  for (const std::string& good :
       {std::string(), std::string("QQ314159"), std::string("+2B+3D+20;~!"), std::string(100, 'x')}) {
    EXPECT_EQ(check(good), "");
  }
  EXPECT_EQ(check(std::string(101, 'x')), "envid has 101 octets, at most 100 are taken");
  for (const char* bad :
       {"a b", "a=b", "a+", "a+2", "a+2b", "a+GG", "a+0D+0A", "a+7F", "a\tb", "j\xc3\xb6"}) {
    EXPECT_EQ(check(bad), "envid is not xtext of printable ASCII (RFC 3461, 4)") << bad;
  }
}

TEST(DsnCheck, AnOrcptIsATypeAndXtextOfAtMost500Octets) {
  const auto check = [](std::string orcpt) {
    v1::Recipient recipient;
    recipient.set_orcpt(std::move(orcpt));
    return std::string(dsn::Check(recipient).message());
  };
  for (const std::string& good :
       {std::string(), std::string("rfc822;Bob+2Btag@example.com"),
        absl::StrCat("x-own;", std::string(494, 'x')), std::string("a;b;c"),
        std::string("utf-8;j\\x{F6}rg@b.c"), std::string("UTF-8;j\xc3\xb6rg@b.c")}) {
    EXPECT_EQ(check(good), "");
  }
  EXPECT_EQ(check(absl::StrCat("x-own;", std::string(495, 'x'))),
            "orcpt has 501 octets, at most 500 are taken");
  for (const char* bad : {"a@b.c", ";a@b.c", "rfc822;", "rfc 822;a", "rfc_822;a", "rfc822;a b", "rfc822;a=b",
                          "rfc822;a+0A", "rfc822;j\xc3\xb6", "utf-8;j\xc2\x85"}) {
    EXPECT_EQ(check(bad), "orcpt is not addr-type;xtext (RFC 3461, 4.2)") << bad;
  }
}

TEST(DsnCheck, NotifyIsNeverAloneOrTheOthersOnceEach) {
  const auto check = [](std::vector<int> values) {
    v1::Recipient recipient;
    for (const int value : values) recipient.add_notify(static_cast<v1::Notify>(value));
    return std::string(dsn::Check(recipient).message());
  };
  for (const auto& good : std::vector<std::vector<int>>{{}, {1}, {2}, {4, 2, 3}}) EXPECT_EQ(check(good), "");
  EXPECT_EQ(check({2, 1}), "notify has 2 values, and NOTIFY_NEVER stands alone (RFC 3461, 4.1)");
  EXPECT_EQ(check({2, 3, 2}), "notify has NOTIFY_SUCCESS twice");
  EXPECT_EQ(check({1, 1}), "notify has NOTIFY_NEVER twice");
  for (const int none : {0, 5, -1, 1'000'000}) {
    EXPECT_EQ(check({none}), absl::StrCat("notify has ", none, ", which is no value of it"));
  }
}

TEST(DsnCheck, RetIsOneThatIsKnown) {
  v1::Begin begin;
  begin.set_ret(v1::RET_HDRS);
  EXPECT_TRUE(dsn::Check(begin).ok());
  begin.set_ret(static_cast<v1::Ret>(3));
  EXPECT_EQ(dsn::Check(begin).message(), "ret 3 is not known");
}

// --- what is kept ---------------------------------------------------------------------

class Sink : public TransactionSink {
 public:
  void Post(absl::AnyInvocable<void()> fn) override { strand_.Post(std::move(fn)); }
  void Send(v1::Answer answer) override { last = std::move(answer); }
  void Ended(uint64_t) override {}
  void OutcomeUnknown(absl::Status) override {}

  v1::Answer last;

 private:
  Strand strand_;
};

v1::Recipient To(std::string address, std::vector<v1::Notify> notify = {}, std::string orcpt = "") {
  v1::Recipient recipient;
  recipient.set_address(std::move(address));
  for (const v1::Notify n : notify) recipient.add_notify(n);
  recipient.set_orcpt(std::move(orcpt));
  return recipient;
}

// A delivery's Begin with RET and ENVID.
v1::Begin From(std::string envid = "QQ314159", char request = 'a') {
  v1::Begin begin;
  begin.set_request_id(std::string(16, request));
  begin.set_sender("sender@elsewhere.example");
  begin.set_ret(v1::RET_HDRS);
  begin.set_envid(std::move(envid));
  return begin;
}

class DsnTest : public testing::Test, protected SmallStore {
 protected:
  // The answers to each, up to one that refuses the transaction.
  std::vector<v1::Answer> Deliver(v1::Begin begin, const std::vector<v1::Recipient>& recipients) {
    auto sink = std::make_shared<Sink>();
    auto transaction = std::make_shared<Transaction>(deliveries_.get(), sink, 1, "caller", "::1");
    std::vector<v1::Event> events;
    *events.emplace_back().mutable_begin() = std::move(begin);
    for (const v1::Recipient& recipient : recipients) *events.emplace_back().mutable_recipient() = recipient;
    events.emplace_back().mutable_data();
    events.emplace_back().set_chunk("hello");
    events.emplace_back().mutable_commit()->set_size(5);
    std::vector<v1::Answer> answers;
    for (v1::Event& event : events) {
      const bool answered = !event.has_chunk();
      sink->Post([&] { transaction->Handle(std::move(event)); });
      if (answered) answers.push_back(sink->last);
      if (sink->last.has_refused()) break;
    }
    return answers;
  }

  std::vector<stored::Envelope> Envelopes(uint64_t mailbox) {
    std::vector<stored::Envelope> envelopes;
    engine_->Scan(engine::PartitionId::Mailbox(mailbox), kEntriesFrom, kEntriesTo, 100, [&](auto page) {
      for (const auto& [key, value] : page->items) envelopes.push_back(ParseEntry(value)->envelope());
    });
    return envelopes;
  }

  // `address notify,notify orcpt` of each.
  std::vector<std::string> RecipientsOf(const stored::Envelope& envelope) {
    std::vector<std::string> lines;
    for (const stored::DsnRecipient& r : envelope.dsn_recipients()) {
      lines.push_back(absl::StrCat(r.address(), " ", absl::StrJoin(r.notify(), ","), " ", r.orcpt()));
    }
    return lines;
  }

  const uint64_t alice_ = MakeMailbox("alice", 1'000'000);
  const uint64_t bob_ = MakeMailbox("bob", 1'000'000);
};

TEST_F(DsnTest, EachCopyKeepsWhatConcernsItsOwnRecipients) {
  MakeAlias("info", alice_);
  const auto answers = Deliver(
      From(), {To("Info@example.org", {v1::NOTIFY_DELAY, v1::NOTIFY_SUCCESS}, "rfc822;all@elsewhere.example"),
               To("bob@example.org", {v1::NOTIFY_NEVER}), To("alice@example.org"),
               To("alice+a@example.org", {}, "rfc822;alice+2Ba@example.org")});
  ASSERT_TRUE(answers.back().receipts().committed()) << answers.back().DebugString();
  const auto alices = Envelopes(alice_), bobs = Envelopes(bob_);
  ASSERT_EQ(alices.size(), 1u);
  ASSERT_EQ(bobs.size(), 1u);
  for (const stored::Envelope& envelope : {alices[0], bobs[0]}) {
    EXPECT_EQ(envelope.ret(), static_cast<uint32_t>(v1::RET_HDRS));
    EXPECT_EQ(envelope.envid(), "QQ314159");
  }
  EXPECT_EQ(alices[0].recipient(), "Info@example.org");
  EXPECT_THAT(RecipientsOf(alices[0]), ElementsAre("Info@example.org 4,2 rfc822;all@elsewhere.example",
                                                   "alice+a@example.org  rfc822;alice+2Ba@example.org"));
  EXPECT_THAT(RecipientsOf(bobs[0]), ElementsAre("bob@example.org 1 "));
}

TEST_F(DsnTest, NothingIsKeptOfWhatWasNotSaid) {
  v1::Begin begin = From("");
  begin.clear_ret();
  Deliver(std::move(begin), {To("alice@example.org")});
  const auto envelopes = Envelopes(alice_);
  ASSERT_EQ(envelopes.size(), 1u);
  stored::Envelope plain;
  plain.set_sender("sender@elsewhere.example");
  plain.set_recipient("alice@example.org");
  EXPECT_EQ(envelopes[0].SerializeAsString(), plain.SerializeAsString());
}

TEST_F(DsnTest, ARecipientWhoIsGivenTwiceWithTheSameCountsOnce) {
  const v1::Recipient alice = To("alice@example.org", {v1::NOTIFY_FAILURE}, "rfc822;a");
  Deliver(From(), {alice, alice, To("alice@example.org", {v1::NOTIFY_FAILURE}, "rfc822;b")});
  EXPECT_THAT(RecipientsOf(Envelopes(alice_).at(0)),
              ElementsAre("alice@example.org 3 rfc822;a", "alice@example.org 3 rfc822;b"));
}

TEST_F(DsnTest, Of101OneHasToComeAgainAndNobodyElse) {
  std::vector<v1::Recipient> recipients;
  for (size_t i = 0; i <= kMaxDsnRecipients; ++i) {
    recipients.push_back(To(absl::StrCat("alice+", i, "@example.org"), {v1::NOTIFY_SUCCESS}));
  }
  recipients.push_back(To("alice@example.org"));
  recipients.push_back(recipients.front());
  recipients.push_back(To("bob@example.org", {v1::NOTIFY_SUCCESS}));
  const auto answers = Deliver(From(), recipients);
  for (size_t i = 0; i < recipients.size(); ++i) {
    EXPECT_EQ(answers[1 + i].decision().outcome(),
              i == kMaxDsnRecipients ? v1::OUTCOME_TOO_MANY_RECIPIENTS : v1::OUTCOME_OK)
        << i;
  }
  EXPECT_EQ(answers.back().receipts().receipts_size(), static_cast<int>(recipients.size()) - 1);
  EXPECT_EQ(Envelopes(alice_).at(0).dsn_recipients_size(), static_cast<int>(kMaxDsnRecipients));
  // As the first time, though what was said about notifications is not looked at.
  for (v1::Recipient& recipient : recipients) recipient.clear_notify();
  const auto again = Deliver(From("other"), recipients);
  ASSERT_EQ(again.size(), answers.size());
  for (size_t i = 1; i < answers.size(); ++i) {
    EXPECT_EQ(again[i].SerializeAsString(), answers[i].SerializeAsString()) << i;
  }
  EXPECT_EQ(Envelopes(alice_).size(), 1u);
}

TEST_F(DsnTest, WhatCannotBeMeantFailsTheTransactionAndIsNamed) {
  const auto refusal = [&](v1::Begin begin, const v1::Recipient& recipient) {
    const auto answers = Deliver(std::move(begin), {To("bob@example.org"), recipient});
    EXPECT_EQ(answers.back().refused().outcome(), v1::OUTCOME_INVALID_EVENT);
    return answers.back().refused().detail();
  };
  const v1::Recipient alice = To("alice@example.org");
  EXPECT_EQ(refusal(From(std::string(101, 'x')), alice), "envid has 101 octets, at most 100 are taken");
  EXPECT_EQ(refusal(From(), To("alice@example.org", {}, std::string(501, 'x'))),
            "orcpt has 501 octets, at most 500 are taken");
  EXPECT_EQ(refusal(From(), To("alice@example.org", {v1::NOTIFY_NEVER, v1::NOTIFY_DELAY})),
            "notify has 2 values, and NOTIFY_NEVER stands alone (RFC 3461, 4.1)");
  v1::Begin begin = From();
  begin.set_ret(static_cast<v1::Ret>(7));
  EXPECT_EQ(refusal(begin, alice), "ret 7 is not known");
  EXPECT_THAT(Envelopes(alice_), IsEmpty());
  EXPECT_EQ(ReservedIn(bob_), 0u);
}

TEST_F(DsnTest, APageOfMessagesEndsWhereItHasGrownLarge) {
  // 100 recipients with all that they may bring.
  std::vector<v1::Recipient> recipients;
  for (size_t i = 0; i < kMaxDsnRecipients; ++i) {
    recipients.push_back(To(absl::StrCat("alice+", i, std::string(50, 'x'), "@example.org"),
                            {v1::NOTIFY_NEVER}, absl::StrCat("rfc822;", std::string(493, 'x'))));
  }
  constexpr size_t kMessages = 30;
  for (size_t i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(Deliver(From("x", static_cast<char>('A' + i)), recipients).back().receipts().committed());
  }
  mail::Messages messages(engine_.get(), 1 << 20, &clock_);
  std::vector<size_t> pages;
  size_t seen = 0;
  uint64_t after = 0;
  do {
    const auto page = Get(messages.List({At("alice@example.org"), std::nullopt}, after, 1000, std::nullopt));
    ASSERT_TRUE(page.ok()) << page.status();
    size_t octets = 0;
    for (const MessageView& view : page->items) {
      EXPECT_EQ(view.entry.uid(), ++seen);
      octets += view.entry.ByteSizeLong();
    }
    EXPECT_LT(octets, 1'300'000u);
    pages.push_back(page->items.size());
    after = page->next;
  } while (after != 0);
  EXPECT_EQ(seen, kMessages);
  EXPECT_GT(pages.size(), 1u) << "no page was large";
}

}  // namespace
}  // namespace restante::mail
