#include "client/policy/socketmap_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace restante::policy {
namespace {

v1::Decision Decided(v1::Outcome outcome, std::string mailbox = "mailboxes/alice@example.org") {
  v1::Decision decision;
  decision.set_outcome(outcome);
  decision.set_mailbox(std::move(mailbox));
  return decision;
}

TEST(SocketmapAnswerTest, DomainsAndCatchAllsAreAskedForByNobodyOfTheirs) {
  const struct {
    SocketmapRequest request;
    std::string address;
  } cases[] = {
      {{"mailbox", "alice@example.org"}, "alice@example.org"},
      {{"mailbox", "\"a b\"@example.org"}, "\"a b\"@example.org"},
      {{"mailbox", "@example.org"}, "nobody@example.org"},
      {{"domain", "example.org"}, "nobody@example.org"},
  };
  for (const auto& c : cases) {
    absl::StatusOr<std::string> address = AddressToCheck(c.request, "nobody");
    ASSERT_TRUE(address.ok()) << c.request.key;
    EXPECT_EQ(*address, c.address);
  }
  for (const std::string& key : {std::string(), std::string("\xff@example.org"), std::string(1025, 'x')}) {
    EXPECT_TRUE(absl::IsNotFound(AddressToCheck({"mailbox", key}, "nobody").status())) << key;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(AddressToCheck({"virtual", "a@b"}, "nobody").status()));
}

TEST(SocketmapAnswerTest, AnAnswerOfEachMapForEveryOutcome) {
  const struct {
    v1::Outcome outcome;
    absl::string_view domain, mailbox;
  } cases[] = {
      {v1::OUTCOME_OK, "OK", "OK"},
      {v1::OUTCOME_MAILBOX_FULL, "OK", "OK"},
      {v1::OUTCOME_MAILBOX_FULL_PERMANENTLY, "OK", "OK"},
      {v1::OUTCOME_DOMAIN_FULL, "OK", "OK"},
      {v1::OUTCOME_EXCEEDS_MAILBOX_LIMIT, "OK", "OK"},
      {v1::OUTCOME_DISK_FULL, "OK", "OK"},
      {v1::OUTCOME_MAILBOX_ON_HOLD, "OK", "OK"},
      {v1::OUTCOME_TOO_MANY_DELIVERIES, "OK", "OK"},
      {v1::OUTCOME_NO_SUCH_MAILBOX, "OK", "NOTFOUND"},
      {v1::OUTCOME_MAILBOX_DISABLED, "OK", "NOTFOUND"},
      {v1::OUTCOME_FOREIGN_DOMAIN, "NOTFOUND", "NOTFOUND"},
      {v1::OUTCOME_INVALID_ADDRESS, "NOTFOUND", "NOTFOUND"},
      {v1::OUTCOME_NOT_CONFIGURED, "TEMP", "TEMP"},
      {v1::OUTCOME_UNAVAILABLE, "TEMP", "TEMP"},
      {v1::OUTCOME_UNSPECIFIED, "TEMP", "TEMP"},
      {v1::OUTCOME_MESSAGE_TOO_LARGE, "TEMP", "TEMP"},
      {static_cast<v1::Outcome>(v1::Outcome_MAX + 1), "TEMP", "TEMP"},
  };
  const auto expect = [](absl::string_view verdict, absl::string_view address, const std::string& answer) {
    if (verdict == "OK") {
      EXPECT_EQ(answer, absl::StrCat("OK ", address));
    } else if (verdict == "NOTFOUND") {
      EXPECT_EQ(answer, "NOTFOUND ");
    } else {
      EXPECT_THAT(answer, testing::StartsWith("TEMP "));
    }
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(v1::Outcome_Name(c.outcome));
    expect(c.domain, "example.org", SocketmapAnswer({"domain", "example.org"}, Decided(c.outcome)));
    // An alias, here.
    expect(c.mailbox, "alice@example.org",
           SocketmapAnswer({"mailbox", "info@example.org"}, Decided(c.outcome)));
  }
}

TEST(SocketmapAnswerTest, ErrorsAreTemporaryButForAMapThatIsNot) {
  const SocketmapRequest request = {"mailbox", "alice@example.org"};
  for (const absl::Status& why : {absl::UnavailableError("away"), absl::DeadlineExceededError("3000 ms")}) {
    EXPECT_THAT(SocketmapAnswer(request, why), testing::StartsWith("TEMP ")) << why;
  }
  EXPECT_EQ(SocketmapAnswer(request, absl::NotFoundError("no address")), "NOTFOUND ");
  const SocketmapRequest unknown = {"virtual", "a@b"};
  EXPECT_EQ(SocketmapAnswer(unknown, AddressToCheck(unknown, "nobody").status()),
            "PERM there is no map `virtual`, only domain and mailbox");
}

TEST(SocketmapAnswerTest, TheMailboxIsGivenAsAnAddress) {
  EXPECT_EQ(SocketmapAnswer({"mailbox", "@example.org"},
                            Decided(v1::OUTCOME_OK, "mailboxes/%22a%20b%22@example.org")),
            "OK \"a b\"@example.org");
  EXPECT_EQ(SocketmapAnswer({"mailbox", "x@example.org"}, Decided(v1::OUTCOME_OK, "mailboxes/50%@b%4")),
            "OK 50%@b%4");
}

}  // namespace
}  // namespace restante::policy
