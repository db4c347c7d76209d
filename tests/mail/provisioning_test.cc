// How addresses come and go.
#include <string>

#include "tests/mail/fixture.h"

namespace restante::mail {
namespace {

using absl::StatusCode;

const std::string kId1(16, '1');
const std::string kId2(16, '2');

using ProvisioningTest = StoreTest;

TEST_F(ProvisioningTest, RepeatedCreatesGetTheFirstResultByTheirRequestId) {
  ASSERT_TRUE(Domain("example.org", {}, kId1).ok());
  EXPECT_TRUE(Domain("example.org", {}, kId1).ok());
  EXPECT_EQ(Domain("example.org", {}, kId2).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Domain("example.org").code(), StatusCode::kAlreadyExists);
  ASSERT_TRUE(Mailbox("alice@example.org", {}, kId1).ok());
  EXPECT_TRUE(Mailbox("alice@example.org", {}, kId1).ok());
  EXPECT_EQ(Mailbox("alice@example.org", {}, kId2).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Mailbox("alice@example.org").code(), StatusCode::kAlreadyExists);
  ASSERT_TRUE(Alias("info@example.org", "alice@example.org", kId1).ok());
  EXPECT_TRUE(Alias("info@example.org", "alice@example.org", kId1).ok());
  EXPECT_EQ(Alias("info@example.org", "alice@example.org", kId2).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Alias("info@example.org", "alice@example.org").code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Mailbox("info@example.org", {}, kId1).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Alias("alice@example.org", "alice@example.org", kId1).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Partitions(engine::PartitionId::Kind::kMailbox), 1u);
  EXPECT_EQ(Partitions(engine::PartitionId::Kind::kDomain), 1u);
}

TEST_F(ProvisioningTest, NothingIsMadeInADomainThatIsNotHosted) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  EXPECT_EQ(Mailbox("a@example.net").code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Alias("a@example.net", "alice@example.org").code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Alias("a@example.org", "b@example.org").code(), StatusCode::kNotFound);
  EXPECT_EQ(Domain("example.net", {.catch_all = "b@example.org"}).code(), StatusCode::kNotFound);
  EXPECT_EQ(
      Get(provisioning_->RenameMailbox(At("alice@example.org"), At("a@example.net"), "", "")).status().code(),
      StatusCode::kFailedPrecondition);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(ProvisioningTest, ADomainGoesOnlyWhenItsLastAddressIsGone) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Domain("example.net").ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  ASSERT_TRUE(Alias("alice@example.net", "alice@example.org").ok());
  EXPECT_EQ(Get(provisioning_->DeleteDomain("example.org", "")).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Get(provisioning_->DeleteDomain("example.net", "")).code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Get(provisioning_->DeleteMailbox(At("alice@example.org"), "", false)).ok());
  EXPECT_EQ(Get(provisioning_->GetAlias(At("alice@example.net"))).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(Get(provisioning_->DeleteDomain("example.org", "")).ok());
  EXPECT_TRUE(Get(provisioning_->DeleteDomain("example.net", "")).ok());
  EXPECT_EQ(Get(provisioning_->DeleteDomain("example.net", "")).code(), StatusCode::kNotFound);
  EXPECT_EQ(Partitions(engine::PartitionId::Kind::kDomain), 0u);
}

TEST_F(ProvisioningTest, AMailboxMadeDuringTheDeletionOfItsDomainKeepsTheDomain) {
  ASSERT_TRUE(Domain("example.org").ok());
  // The deletion has been announced and not decided when the mailbox comes.
  engine_->KillAt(1);
  EXPECT_EQ(Get(provisioning_->DeleteDomain("example.org", "")).code(), StatusCode::kUnavailable);
  engine_->Revive();
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  ASSERT_TRUE(Recover().ok());
  EXPECT_TRUE(Get(provisioning_->GetMailbox(At("alice@example.org"))).ok());
  EXPECT_TRUE(Get(provisioning_->UpdateDomain("example.org", {.over_quota = 1}, "")).ok());
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(ProvisioningTest, AMailboxWhoseDomainGoesDuringItsCreationIsNotMade) {
  ASSERT_TRUE(Domain("example.org").ok());
  // Its partition is there when the domain goes; the directory refuses its name.
  engine_->before_update = [&](engine::PartitionId partition) {
    if (partition.kind != engine::PartitionId::Kind::kMailbox) return;
    engine_->before_update = nullptr;
    EXPECT_TRUE(Get(provisioning_->DeleteDomain("example.org", "")).ok());
  };
  EXPECT_EQ(Mailbox("alice@example.org").code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine_->before_update, nullptr);
  EXPECT_EQ(Partitions(engine::PartitionId::Kind::kMailbox), 0u);
  EXPECT_EQ(Partitions(engine::PartitionId::Kind::kDomain), 0u);
}

TEST_F(ProvisioningTest, OfTwoCreationsOfOneAddressOneWins) {
  ASSERT_TRUE(Domain("example.org").ok());
  engine_->before_update = [&](engine::PartitionId partition) {
    if (partition.kind != engine::PartitionId::Kind::kMailbox) return;
    engine_->before_update = nullptr;
    EXPECT_TRUE(Mailbox("alice@example.org", {}, kId2).ok());
  };
  EXPECT_EQ(Mailbox("alice@example.org", {}, kId1).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(engine_->before_update, nullptr);
  EXPECT_EQ(Partitions(engine::PartitionId::Kind::kMailbox), 1u);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(ProvisioningTest, EtagsGuardChanges) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  ASSERT_TRUE(Alias("info@example.org", "alice@example.org").ok());
  const std::string domain = Get(provisioning_->GetDomain("example.org"))->etag;
  const std::string mailbox = Get(provisioning_->GetMailbox(At("alice@example.org")))->etag;
  const std::string alias = Get(provisioning_->GetAlias(At("info@example.org")))->etag;
  ASSERT_TRUE(Get(provisioning_->UpdateDomain("example.org", {.over_quota = 1}, domain)).ok());
  ASSERT_TRUE(
      Get(provisioning_->UpdateMailbox(At("alice@example.org"), {.max_bytes = ValueOf(5)}, mailbox)).ok());
  ASSERT_TRUE(Get(provisioning_->UpdateAlias(At("info@example.org"), At("alice@example.org"), alias)).ok());
  EXPECT_EQ(Get(provisioning_->UpdateDomain("example.org", {}, domain)).status().code(),
            StatusCode::kAborted);
  EXPECT_EQ(Get(provisioning_->DeleteDomain("example.org", domain)).code(), StatusCode::kAborted);
  EXPECT_EQ(Get(provisioning_->UpdateMailbox(At("alice@example.org"), {}, mailbox)).status().code(),
            StatusCode::kAborted);
  EXPECT_EQ(Get(provisioning_->DeleteMailbox(At("alice@example.org"), mailbox, true)).code(),
            StatusCode::kAborted);
  EXPECT_EQ(Get(provisioning_->RenameMailbox(At("alice@example.org"), At("b@example.org"), "", mailbox))
                .status()
                .code(),
            StatusCode::kAborted);
  EXPECT_EQ(
      Get(provisioning_->UpdateAlias(At("info@example.org"), At("alice@example.org"), alias)).status().code(),
      StatusCode::kAborted);
  EXPECT_EQ(Get(provisioning_->DeleteAlias(At("info@example.org"), alias)).code(), StatusCode::kAborted);
  // Mail is no change of settings.
  const std::string now = Get(provisioning_->GetMailbox(At("alice@example.org")))->etag;
  ASSERT_TRUE(Store("alice@example.org", "hello").ok());
  EXPECT_EQ(Get(provisioning_->GetMailbox(At("alice@example.org")))->etag, now);
}

TEST_F(ProvisioningTest, LimitsAreInherited) {
  ASSERT_TRUE(Domain("example.org", {.default_bytes = ValueOf(1000)}).ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  ASSERT_TRUE(Mailbox("bob@example.org", {.max_bytes = ValueOf(7), .max_messages = ValueOf(0)}).ok());
  EXPECT_EQ(Get(provisioning_->GetMailbox(At("alice@example.org")))->effective_bytes, 1000u);
  EXPECT_EQ(Get(provisioning_->GetMailbox(At("alice@example.org")))->effective_messages, quota::kUnlimited);
  EXPECT_EQ(Get(provisioning_->GetMailbox(At("bob@example.org")))->effective_bytes, 7u);
  EXPECT_EQ(Get(provisioning_->GetMailbox(At("bob@example.org")))->effective_messages, 0u);
}

TEST_F(ProvisioningTest, UidValidityAscendsAndIsNeverUsedAgain) {
  ASSERT_TRUE(Domain("example.org").ok());
  uint32_t last = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(Mailbox("alice@example.org").ok());
    const uint32_t now =
        Get(provisioning_->GetMailbox(At("alice@example.org")))->head.mailbox().folders(0).uid_validity();
    EXPECT_GT(now, last);
    last = now;
    ASSERT_TRUE(Get(provisioning_->DeleteMailbox(At("alice@example.org"), "", false)).ok());
  }
}

TEST_F(ProvisioningTest, ARenamedMailboxKeepsItsMailAndItsOldAddressAsAlias) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Domain("example.net").ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  ASSERT_TRUE(Mailbox("bob@example.org").ok());
  ASSERT_TRUE(Store("alice@example.org", "hello").ok());
  EXPECT_EQ(Get(provisioning_->RenameMailbox(At("alice@example.org"), At("bob@example.org"), "", ""))
                .status()
                .code(),
            StatusCode::kAlreadyExists);
  auto renamed = Get(provisioning_->RenameMailbox(At("alice@example.org"), At("ann@example.net"), kId1, ""));
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_EQ(renamed->head.mailbox().address(), "ann@example.net");
  EXPECT_EQ(renamed->head.mailbox().used_bytes(), 5u);
  EXPECT_EQ(Get(provisioning_->GetAlias(At("alice@example.org")))->mailbox, At("ann@example.net"));
  EXPECT_EQ(Get(provisioning_->GetDomain("example.net"))->used_bytes, 5u);
  EXPECT_EQ(Get(provisioning_->GetDomain("example.org"))->used_bytes, 0u);
  // Repeated; and another request.
  EXPECT_TRUE(
      Get(provisioning_->RenameMailbox(At("alice@example.org"), At("ann@example.net"), kId1, "")).ok());
  EXPECT_EQ(Get(provisioning_->RenameMailbox(At("alice@example.org"), At("ann@example.net"), kId2, ""))
                .status()
                .code(),
            StatusCode::kNotFound);
  EXPECT_EQ(Get(provisioning_->DeleteDomain("example.org", "")).code(), StatusCode::kFailedPrecondition);
  // And back.
  EXPECT_TRUE(Get(provisioning_->RenameMailbox(At("ann@example.net"), At("alice@example.org"), "", "")).ok());
  EXPECT_EQ(Get(provisioning_->GetAlias(At("ann@example.net")))->mailbox, At("alice@example.org"));
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(ProvisioningTest, AMailboxWithMailGoesOnlyByForceAndWithItsAliases) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  ASSERT_TRUE(Alias("info@example.org", "alice@example.org").ok());
  for (int i = 0; i < 2500; ++i) ASSERT_TRUE(Store("alice@example.org", "x").ok());
  const absl::Status refused = Get(provisioning_->DeleteMailbox(At("alice@example.org"), "", false));
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("2500 messages of 2500 octets"));
  EXPECT_TRUE(Get(provisioning_->DeleteMailbox(At("alice@example.org"), "", true)).ok());
  EXPECT_EQ(Get(provisioning_->GetMailbox(At("alice@example.org"))).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Get(provisioning_->GetAlias(At("info@example.org"))).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(memory_->Figures()["body_bytes"], 0u);
  EXPECT_EQ(Partitions(engine::PartitionId::Kind::kMailbox), 0u);
  EXPECT_TRUE(Get(provisioning_->DeleteDomain("example.org", "")).ok());
}

TEST_F(ProvisioningTest, ADeliveryUnderWayEndsWithItsMailbox) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  Append append(messages_.get());
  AppendHeader header;
  header.parent.mailbox = At("alice@example.org");
  header.size = 5;
  ASSERT_TRUE(Get(append.Begin(std::move(header))).ok());
  ASSERT_TRUE(Get(append.Write("hello")).ok());
  ASSERT_TRUE(Get(provisioning_->DeleteMailbox(At("alice@example.org"), "", false)).ok());
  EXPECT_EQ(Get(append.Finish()).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(memory_->Figures()["body_bytes"], 0u);
  EXPECT_EQ(memory_->Figures()["open_transactions"], 0u);
}

TEST_F(ProvisioningTest, PagesGoOnWhereTheyStoppedWhateverHappensBetween) {
  ASSERT_TRUE(Domain("a.org").ok());
  ASSERT_TRUE(Domain("b.org").ok());
  for (int i = 10; i < 20; ++i) {
    ASSERT_TRUE(Mailbox("m" + std::to_string(i) + "@a.org").ok());
    ASSERT_TRUE(Alias("k" + std::to_string(i) + "@a.org", "m10@a.org").ok());
  }
  ASSERT_TRUE(Mailbox("z@b.org").ok());
  auto first = Get(provisioning_->ListMailboxes("", "", 3));
  ASSERT_EQ(first->items.size(), 3u);
  EXPECT_EQ(first->items[2].head.mailbox().address(), "m12@a.org");
  ASSERT_TRUE(Get(provisioning_->DeleteMailbox(At("m12@a.org"), "", false)).ok());
  ASSERT_TRUE(Get(provisioning_->DeleteMailbox(At("m13@a.org"), "", false)).ok());
  ASSERT_TRUE(Mailbox("m11a@a.org").ok());
  auto second = Get(provisioning_->ListMailboxes("", first->next, 3));
  EXPECT_EQ(second->items[0].head.mailbox().address(), "m14@a.org");
  std::vector<std::string> all;
  std::string next = second->next;
  while (!next.empty()) {
    auto page = Get(provisioning_->ListMailboxes("", next, 3));
    for (auto& item : page->items) all.push_back(item.head.mailbox().address());
    next = page->next;
  }
  EXPECT_THAT(all, testing::ElementsAre("m17@a.org", "m18@a.org", "m19@a.org", "z@b.org"));
  EXPECT_EQ(Get(provisioning_->ListMailboxes("b.org", "", 10))->items.size(), 1u);
  EXPECT_EQ(Get(provisioning_->ListAliases("a.org", "", 100))->items.size(), 10u);
  EXPECT_EQ(Get(provisioning_->ListAliases("b.org", "", 100))->items.size(), 0u);
  EXPECT_EQ(Get(provisioning_->ListDomains("a.org", 10))->items.size(), 1u);
  // A page that ends with the list says so.
  EXPECT_EQ(Get(provisioning_->ListDomains("", 2))->next, "");
  EXPECT_EQ(Get(provisioning_->ListMailboxes("b.org", "", 1))->next, "");
}

}  // namespace
}  // namespace restante::mail
