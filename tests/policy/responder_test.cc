// Both protocols without sockets, with a store that does as told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/policy/netstring.h"
#include "client/policy/policy_responder.h"
#include "client/policy/socketmap_responder.h"
#include "tests/smtp/fake_store.h"

namespace restante::policy {
namespace {

using smtp::FakeStore;
using testing::ElementsAre;
using testing::IsEmpty;

std::string Rcpt(const std::string& recipient, const std::string& more = "") {
  return absl::StrCat(
      "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\nrecipient=", recipient,
      "\n", more, "\n");
}

class ResponderTest : public testing::Test {
 protected:
  ResponderTest() {
    host_.store = &store_;
    host_.nobody = "nobody";
    host_.on_refusal = [this](const Refusal& refusal) { refusals_.push_back(refusal); };
    host_.on_unavailable = [this](const absl::Status& why) { unavailable_.push_back(why); };
  }

  // What is answered to the request that `octets` are; nothing if the store has
  // not answered.
  std::optional<std::string> Ask(Responder* responder, const std::string& octets) {
    absl::StatusOr<size_t> used = responder->Consume(octets);
    EXPECT_TRUE(used.ok()) << used.status();
    EXPECT_TRUE(responder->complete());
    auto reply = std::make_shared<std::optional<std::string>>();
    responder->Answer([reply](std::string text) { *reply = std::move(text); });
    EXPECT_FALSE(responder->complete());
    store_.Drain();
    return *reply;
  }
  std::string Policy(const std::string& octets) { return Ask(&policy_, octets).value_or("nothing"); }
  std::string Map(const std::string& text) { return Ask(&socketmap_, ToNetstring(text)).value_or("nothing"); }

  FakeStore store_;
  Host host_;
  std::vector<Refusal> refusals_;
  std::vector<absl::Status> unavailable_;
  PolicyResponder policy_{&host_};
  SocketmapResponder socketmap_{&host_};
};

TEST_F(ResponderTest, AFullMailboxIsRefusedAndTheRefusalTold) {
  store_.recipients["full@example.org"] = v1::OUTCOME_MAILBOX_FULL;
  EXPECT_EQ(Policy(Rcpt("alice@example.org")), "action=DUNNO\n\n");
  EXPECT_THAT(refusals_, IsEmpty());
  EXPECT_EQ(Policy(Rcpt("full@example.org", "size=77\n")), "action=452 4.2.2 Mailbox full\n\n");
  ASSERT_EQ(refusals_.size(), 1u);
  EXPECT_EQ(refusals_[0].request.client_address, "192.0.2.1");
  EXPECT_EQ(refusals_[0].decision.outcome(), v1::OUTCOME_MAILBOX_FULL);
  EXPECT_EQ(refusals_[0].action, "452 4.2.2 Mailbox full");
  ASSERT_EQ(store_.checks.size(), 2u);
  EXPECT_FALSE(store_.checks[0].has_size());
  EXPECT_EQ(store_.checks[1].size(), 77u);
}

TEST_F(ResponderTest, TheStoreIsNotAskedWhereNothingIsToBeDecided) {
  EXPECT_EQ(Policy("request=smtpd_access_policy\nprotocol_state=DATA\nrecipient=alice@example.org\n\n"),
            "action=DUNNO\n\n");
  EXPECT_EQ(Map("mailbox "), "9:NOTFOUND ,");
  EXPECT_EQ(Map("virtual a@b"), ToNetstring("PERM there is no map `virtual`, only domain and mailbox"));
  EXPECT_THAT(store_.checks, IsEmpty());
}

TEST_F(ResponderTest, EndOfMessageForSeveralIsJudgedByTheDisk) {
  const std::string end =
      "request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nrecipient=\nsize=500\n\n";
  store_.capacity_answer.mutable_time()->set_seconds(1);
  store_.capacity_answer.set_available_bytes(500);
  EXPECT_EQ(Policy(end), "action=DUNNO\n\n");
  store_.capacity_answer.set_available_bytes(499);
  EXPECT_EQ(Policy(end), "action=452 4.3.1 Insufficient system storage\n\n");
  EXPECT_EQ(refusals_.size(), 1u);
  store_.away = true;
  EXPECT_EQ(Policy(end), "action=DUNNO\n\n") << "what was known of the disk may be long over";
  EXPECT_EQ(unavailable_.size(), 1u);
  EXPECT_THAT(store_.checks, IsEmpty());
}

TEST_F(ResponderTest, AStoreThatIsAwayIsDunnoAndTemp) {
  store_.away = true;
  EXPECT_EQ(Policy(Rcpt("alice@example.org")), "action=DUNNO\n\n");
  EXPECT_EQ(Map("mailbox alice@example.org"), ToNetstring("TEMP the store does not answer"));
  EXPECT_EQ(unavailable_.size(), 2u);
  EXPECT_THAT(refusals_, IsEmpty());
  host_.when_unavailable = WhenUnavailable::kTempfail;
  EXPECT_EQ(Policy(Rcpt("alice@example.org")), "action=451 4.3.0 Temporary failure, try again later\n\n");
  ASSERT_EQ(refusals_.size(), 1u);
  EXPECT_EQ(refusals_[0].decision.outcome(), v1::OUTCOME_UNSPECIFIED);
}

TEST_F(ResponderTest, AStoreThatCannotAnswerNowCountsAsAway) {
  store_.recipients["alice@example.org"] = v1::OUTCOME_UNAVAILABLE;
  EXPECT_EQ(Policy(Rcpt("alice@example.org")), "action=DUNNO\n\n");
  EXPECT_EQ(unavailable_.size(), 1u);
}

TEST_F(ResponderTest, MapsAreAnsweredFromTheStore) {
  store_.recipients = {{"nobody@example.org", v1::OUTCOME_NO_SUCH_MAILBOX},
                       {"bob@example.org", v1::OUTCOME_NO_SUCH_MAILBOX},
                       {"full@example.org", v1::OUTCOME_MAILBOX_FULL},
                       {"nobody@example.com", v1::OUTCOME_FOREIGN_DOMAIN}};
  EXPECT_EQ(Map("domain example.org"), ToNetstring("OK example.org"));
  EXPECT_EQ(Map("domain example.com"), ToNetstring("NOTFOUND "));
  EXPECT_EQ(Map("mailbox alice@example.org"), ToNetstring("OK alice@example.org"));
  EXPECT_EQ(Map("mailbox full@example.org"), ToNetstring("OK full@example.org"));
  EXPECT_EQ(Map("mailbox bob@example.org"), ToNetstring("NOTFOUND "));
  EXPECT_EQ(Map("mailbox @example.org"), ToNetstring("NOTFOUND "));
  EXPECT_EQ(Map("mailbox @elsewhere.example"), ToNetstring("OK nobody@elsewhere.example"));
}

TEST_F(ResponderTest, ANetstringThatNamesNoMapIsAnError) {
  EXPECT_TRUE(absl::IsInvalidArgument(socketmap_.Consume("7:mailbox,").status()));
}

TEST_F(ResponderTest, NothingIsConsumedBeforeTheAnswer) {
  const std::string two = Rcpt("alice@example.org") + Rcpt("bob@example.org");
  EXPECT_EQ(*policy_.Consume(two), Rcpt("alice@example.org").size());
  EXPECT_EQ(*policy_.Consume(two), 0u);
  ASSERT_EQ(*socketmap_.Consume("9:mailbox a,9:mailbox b,"), 12u);
  EXPECT_EQ(*socketmap_.Consume("9:mailbox b,"), 0u);
}

TEST_F(ResponderTest, AnAnswerMayComeAfterItsConnectionIsGone) {
  store_.recipients["full@example.org"] = v1::OUTCOME_MAILBOX_FULL;
  store_.hold_at = {FakeStore::Step::kCheck};
  {
    PolicyResponder gone(&host_);
    EXPECT_EQ(Ask(&gone, Rcpt("full@example.org")), std::nullopt);
  }
  store_.Release();
  store_.Drain();
  EXPECT_EQ(refusals_.size(), 1u);
}

}  // namespace
}  // namespace restante::policy
