#include "client/lib/preference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace restante::client_internal {
namespace {

std::string Preferred(const std::string& mailbox, const std::vector<std::string>& stores) {
  return *std::max_element(stores.begin(), stores.end(), [&](const std::string& a, const std::string& b) {
    const uint64_t key = MailboxKey(mailbox);
    return Weight(key, PreferenceKey(a)) < Weight(key, PreferenceKey(b));
  });
}

std::vector<std::string> Mailboxes() {
  std::vector<std::string> mailboxes;
  for (int i = 0; i < 1000; ++i) mailboxes.push_back(absl::StrCat("user", i, "@example.org"));
  return mailboxes;
}

const std::vector<std::string> kThree = {"10.0.0.1:8354", "10.0.0.2:8354", "10.0.0.3:8354"};

TEST(Preference, AThousandMailboxesAreSharedOutEvenly) {
  std::map<std::string, int> share;
  for (const std::string& mailbox : Mailboxes()) ++share[Preferred(mailbox, kThree)];
  // A fair draw is off by 15 (one standard deviation).
  for (const std::string& store : kThree) EXPECT_NEAR(share[store], 333, 60) << store;
}

TEST(Preference, TheLossOfOneStoreMovesItsShareOnlyAndToAllOthers) {
  const std::vector<std::string> two = {kThree[0], kThree[2]};
  std::map<std::string, int> moved;
  for (const std::string& mailbox : Mailboxes()) {
    const std::string before = Preferred(mailbox, kThree);
    const std::string after = Preferred(mailbox, two);
    if (before == kThree[1]) {
      ++moved[after];
    } else {
      EXPECT_EQ(after, before) << mailbox;
    }
  }
  EXPECT_GT(moved[two[0]], 100);
  EXPECT_GT(moved[two[1]], 100);
}

TEST(Preference, CaseAndTheFormOfANameMakeNoDifference) {
  const uint64_t key = MailboxKey("alice@example.org");
  EXPECT_EQ(MailboxKey("Alice@EXAMPLE.org"), key);
  EXPECT_EQ(MailboxKey("mailboxes/alice@example.org"), key);
  EXPECT_NE(MailboxKey("alice@example.com"), key);
}

// All clients have to agree, those of other machines and versions, too.
TEST(Preference, IsWhatItWas) {
  EXPECT_EQ(MailboxKey("alice@example.org"), 2693934050796303840u);
  EXPECT_EQ(Weight(MailboxKey("alice@example.org"), PreferenceKey("10.0.0.1:8354")), 8233538288753117605u);
}

}  // namespace
}  // namespace restante::client_internal
