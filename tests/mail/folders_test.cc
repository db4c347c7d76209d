// What comes with an appended message: folders, flags, envelope; and past which rules.
#include "server/mail/folders.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/mail/fixture.h"

namespace restante::mail {
namespace {

using absl::StatusCode;

class FoldersTest : public StoreTest {
 protected:
  FoldersTest() {
    EXPECT_TRUE(Domain("example.org", {.max_bytes = ValueOf(1000)}).ok());
    EXPECT_TRUE(Mailbox("alice@example.org", {.max_messages = ValueOf(2000)}).ok());
  }
  absl::StatusOr<MessageView> Put(std::string folder, std::string text,
                                  std::function<void(AppendHeader&)> with = nullptr) {
    AppendHeader header;
    header.parent.mailbox = At("alice@example.org");
    if (!folder.empty()) header.parent.folder = std::move(folder);
    header.size = text.size();
    if (with) with(header);
    Append append(messages_.get());
    absl::StatusOr<std::optional<MessageView>> begun = Get(append.Begin(std::move(header)));
    if (!begun.ok()) return begun.status();
    if (*begun) return **begun;
    RETURN_IF_ERROR(Get(append.Write(std::move(text))));
    return Get(append.Finish());
  }
  stored::MailboxHead Head() {
    return Get(provisioning_->GetMailbox(At("alice@example.org")))->head.mailbox();
  }
};

TEST_F(FoldersTest, AFolderComesIntoBeingWithItsFirstMessageAndKeepsItsNumbers) {
  const uint32_t inbox = Head().folders(0).uid_validity();
  ASSERT_TRUE(Put("Sent", "1").ok());
  ASSERT_TRUE(Put("", "2").ok());
  ASSERT_TRUE(Put("Sent", "3").ok());
  ASSERT_TRUE(Put("Sent/2026", "4").ok());
  const stored::MailboxHead head = Head();
  ASSERT_EQ(head.folders_size(), 3);
  std::set<uint32_t> validities, ids;
  for (const stored::Folder& folder : head.folders()) {
    validities.insert(folder.uid_validity());
    ids.insert(folder.id());
  }
  EXPECT_EQ(validities.size(), 3u);
  EXPECT_EQ(*validities.begin(), inbox) << "others come from the counter of the store, later";
  EXPECT_EQ(ids, (std::set<uint32_t>{0, 1, 2}));
  const auto page = Get(messages_->List({At("alice@example.org"), "Sent"}, 0, 10, std::nullopt));
  ASSERT_EQ(page->items.size(), 2u);
  EXPECT_EQ(page->items[0].entry.uid(), 1u);
  EXPECT_EQ(page->items[1].entry.uid(), 3u);
  EXPECT_EQ(
      Get(messages_->List({At("alice@example.org"), std::nullopt}, 0, 10, std::nullopt))->items[3].folder,
      "Sent/2026");
  // Messages are found in their folder only.
  EXPECT_TRUE(Get(messages_->Get({At("alice@example.org"), "Sent", 3})).ok());
  EXPECT_EQ(Get(messages_->Get({At("alice@example.org"), "INBOX", 3})).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(Get(messages_->Delete({At("alice@example.org"), "Sent"}, {1, 2}))->messages, 1u);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(FoldersTest, AnAppendThatIsGivenUpMakesNoFolder) {
  {
    Append append(messages_.get());
    AppendHeader header;
    header.parent = {At("alice@example.org"), "Sent"};
    header.size = 10;
    ASSERT_TRUE(Get(append.Begin(std::move(header))).ok());
    ASSERT_TRUE(Get(append.Write("12345")).ok());
  }
  EXPECT_EQ(Put("Drafts", std::string(1001, 'x')).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Head().folders_size(), 1);
}

TEST_F(FoldersTest, AMailboxHasAThousandFoldersAndNotOneMore) {
  for (int i = 1; i < kMaxFolders; ++i) ASSERT_TRUE(Put(absl::StrCat("f", i), "").ok()) << i;
  const absl::Status refused = Put("another", "").status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              testing::HasSubstr("mailboxes/alice@example.org: has 1000 folders, at most 1000 are allowed"));
  EXPECT_TRUE(Put("f999", "").ok());
  EXPECT_EQ(Head().used_messages(), 1000u);
}

TEST_F(FoldersTest, TwoWhoMakeTheSameFolderMakeOne) {
  Append first(messages_.get()), second(messages_.get());
  for (Append* append : {&first, &second}) {
    AppendHeader header;
    header.parent = {At("alice@example.org"), "Sent"};
    header.size = 1;
    ASSERT_TRUE(Get(append->Begin(std::move(header))).ok());
    ASSERT_TRUE(Get(append->Write("x")).ok());
  }
  ASSERT_TRUE(Get(first.Finish()).ok());
  EXPECT_EQ(Get(second.Finish())->folder, "Sent");
  EXPECT_EQ(Head().folders_size(), 2);
}

TEST_F(FoldersTest, AFolderThatACrashLeftHalfMadeIsMadeAnew) {
  // The UIDVALIDITY is taken, and the head does not name the folder yet.
  engine_->KillAt(1);
  EXPECT_EQ(Put("Sent", "x").status().code(), StatusCode::kUnavailable);
  engine_->Revive();
  ASSERT_TRUE(Put("Sent", "x").ok());
  EXPECT_EQ(Head().folders_size(), 2);
  EXPECT_EQ(Head().used_messages(), 1u);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(FoldersTest, IgnoringTheQuotaIsChargedAsExempt) {
  ASSERT_TRUE(Put("", std::string(900, 'x')).ok());
  EXPECT_EQ(Put("", std::string(200, 'x')).status().code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Put("", std::string(200, 'x'), [](auto& header) { header.ignore_quota = true; }).ok());
  const stored::MailboxHead head = Head();
  EXPECT_EQ(head.used_bytes(), 1100u);
  EXPECT_EQ(head.exempt_bytes(), 200u);
  EXPECT_EQ(head.exempt_messages(), 1u);
  EXPECT_EQ(Put("", "x").status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(FoldersTest, OnHoldTakesWhatIsMovedThereAndNothingElse) {
  ASSERT_TRUE(
      Get(provisioning_->UpdateMailbox(At("alice@example.org"), {.state = stored::MailboxHead::HOLD}, ""))
          .ok());
  const auto moved = [](auto& header) { header.while_on_hold = true; };
  EXPECT_EQ(Put("", "x").status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Put("", "x", moved).ok());
  ASSERT_TRUE(
      Get(provisioning_->UpdateMailbox(At("alice@example.org"), {.state = stored::MailboxHead::DISABLED}, ""))
          .ok());
  EXPECT_EQ(Put("", "x", moved).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(FoldersTest, ARepeatedAppendIsAnsweredWhateverFolderAndFlagsItNames) {
  const auto repeated = [](auto& header) { header.request_id = std::string(16, 'i'); };
  ASSERT_TRUE(Put("Sent", "x", repeated).ok());
  const auto again = Put("Drafts", "x", [&](auto& header) {
    repeated(header);
    header.flags = 1;
  });
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->folder, "Sent");
  EXPECT_EQ(again->entry.flags(), 0u);
  EXPECT_EQ(Head().folders_size(), 2);
}

TEST_F(FoldersTest, VerifyNamesMessagesByTheirFoldersAndFindsFoldersThatAreNot) {
  ASSERT_TRUE(Put("Sent", "x").ok());
  ASSERT_TRUE(Put("Drafts", "x").ok());
  const uint64_t number = Get(provisioning_->GetMailbox(At("alice@example.org")))->number;
  memory_->Update(
      engine::PartitionId::Mailbox(number), {},
      [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        engine::Change change;
        change.head = *view.head;
        change.head.mutable_mailbox()->mutable_folders()->RemoveLast();
        change.head.mutable_mailbox()->set_uid_next(1);
        return change;
      },
      [](absl::Status status) { EXPECT_TRUE(status.ok()); });
  const std::vector<std::string> problems = Problems();
  EXPECT_THAT(problems, testing::Contains(testing::HasSubstr("folders/Sent/messages/1: the next UID is 1")));
  EXPECT_THAT(problems,
              testing::Contains(testing::HasSubstr("messages/2: is of folder 2, which is not there")));
}

TEST_F(FoldersTest, TheRequestIdStaysWithTheMessageWhenTheReceiptIsGone) {
  const std::string id(16, 'i');
  const auto with_id = [&](auto& header) { header.request_id = id; };
  ASSERT_TRUE(Put("", "x", with_id).ok());
  clock_.Advance(absl::ToInt64Microseconds(absl::Hours(25)));
  EXPECT_EQ(Get(messages_->Get({At("alice@example.org"), "INBOX", 1}))->entry.request_id(), id);
  ASSERT_TRUE(Put("", "x", with_id).ok());
  EXPECT_EQ(Head().used_messages(), 2u) << "the receipt was still there";
}

}  // namespace
}  // namespace restante::mail
