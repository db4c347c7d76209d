// Messages: listed, read, appended, expunged, added up.
#include <string>

#include "tests/mail/fixture.h"
#include "tests/mail/read_all.h"

namespace restante::mail {
namespace {

using absl::StatusCode;

class MessagesTest : public StoreTest {
 protected:
  MessagesTest() : StoreTest(100'000) {
    EXPECT_TRUE(Domain("example.org", {.max_bytes = ValueOf(50'000)}).ok());
    EXPECT_TRUE(Mailbox("alice@example.org", {.max_bytes = ValueOf(1000), .max_messages = ValueOf(5)}).ok());
    EXPECT_TRUE(Mailbox("bob@example.org").ok());
  }
  stored::MailboxHead Head(absl::string_view address) {
    return Get(provisioning_->GetMailbox(At(address)))->head.mailbox();
  }
  absl::StatusOr<EntrySums> Delete(absl::string_view address, std::vector<uint64_t> uids) {
    return Get(messages_->Delete({.mailbox = At(address), .folder = {}}, std::move(uids)));
  }
  // Puts wrong figures into a head.
  void Spoil(absl::string_view address, std::function<void(stored::MailboxHead&)> how) {
    const uint64_t number = Get(provisioning_->GetMailbox(At(address)))->number;
    memory_->Update(
        engine::PartitionId::Mailbox(number), {},
        [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
          engine::Change change;
          change.head = *view.head;
          how(*change.head.mutable_mailbox());
          return change;
        },
        [](absl::Status status) { EXPECT_TRUE(status.ok()); });
  }
};

TEST_F(MessagesTest, AnAppendedMessageIsReadBack) {
  const absl::StatusOr<MessageView> stored = Store("alice@example.org", "hello, world", "", 12345);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->entry.uid(), 1u);
  EXPECT_EQ(stored->entry.size(), 12u);
  EXPECT_EQ(stored->entry.arrival_us(), 12345);
  EXPECT_EQ(stored->folder, "INBOX");
  const auto got = Get(messages_->Get({.mailbox = At("alice@example.org"), .folder = "INBOX", .uid = 1}));
  ASSERT_TRUE(got.ok()) << got.status();
  const MessageRef ref = {At("alice@example.org"), "INBOX", 1};
  EXPECT_EQ(*Get(ReadAll(messages_.get(), ref)), "hello, world");
  EXPECT_EQ(*Get(ReadAll(messages_.get(), ref, 7, 3)), "wor");
  EXPECT_EQ(*Get(ReadAll(messages_.get(), ref, 7)), "world");
  EXPECT_EQ(*Get(ReadAll(messages_.get(), ref, 12)), "");
  EXPECT_EQ(Get(ReadAll(messages_.get(), ref, 13)).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(Head("alice@example.org").used_bytes(), 12u);
  EXPECT_EQ(memory_->Figures()["open_transactions"], 0u);
}

TEST_F(MessagesTest, WhatIsNotThereIsNotFound) {
  ASSERT_TRUE(Store("alice@example.org", "x").ok());
  EXPECT_EQ(Get(messages_->Get({At("alice@example.org"), "INBOX", 2})).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(Get(messages_->Get({At("alice@example.org"), "Sent", 1})).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Get(messages_->Get({At("carol@example.org"), "INBOX", 1})).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(Delete("carol@example.org", {1}).status().code(), StatusCode::kNotFound);
}

TEST_F(MessagesTest, ARepeatedAppendIsAnsweredFromItsReceipt) {
  const std::string id(16, 'i');
  ASSERT_TRUE(Store("alice@example.org", "hello", id).ok());
  const auto again = Store("alice@example.org", "hello", id);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->entry.uid(), 1u);
  EXPECT_EQ(Head("alice@example.org").used_messages(), 1u);
  // Another size, another mailbox: another message.
  EXPECT_EQ(Store("alice@example.org", "hello!", id).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Store("bob@example.org", "hello", id).status().code(), StatusCode::kInvalidArgument);
  // Also when it is gone, or mail is not taken any more.
  ASSERT_TRUE(Delete("alice@example.org", {1}).ok());
  ASSERT_TRUE(
      Get(provisioning_->UpdateMailbox(At("alice@example.org"), {.state = stored::MailboxHead::HOLD}, ""))
          .ok());
  const auto gone = Store("alice@example.org", "hello", id);
  ASSERT_TRUE(gone.ok()) << gone.status();
  EXPECT_EQ(gone->entry.uid(), 1u);
  EXPECT_EQ(Head("alice@example.org").used_messages(), 0u);
}

TEST_F(MessagesTest, AnAppendIsRefusedBeforeItsOctets) {
  const auto refuse = [&](absl::string_view address, uint64_t size) {
    Append append(messages_.get());
    AppendHeader header;
    header.parent.mailbox = At(address);
    header.size = size;
    return Get(append.Begin(std::move(header))).status();
  };
  EXPECT_THAT(std::string(refuse("alice@example.org", 1001).message()),
              testing::HasSubstr("mailboxes/alice@example.org: needs 1001 octets, 1000 left of 1000"));
  EXPECT_TRUE(refuse("alice@example.org", 1000).ok());
  EXPECT_EQ(refuse("bob@example.org", 50'001).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(refuse("bob@example.org", (1 << 20) + 1).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(refuse("nobody@example.org", 1).code(), StatusCode::kNotFound);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Store("alice@example.org", "x").ok());
  EXPECT_THAT(std::string(refuse("alice@example.org", 1).message()),
              testing::HasSubstr("needs 1 messages, 0 left of 5"));
  ASSERT_TRUE(
      Get(provisioning_->UpdateMailbox(At("bob@example.org"), {.state = stored::MailboxHead::DISABLED}, ""))
          .ok());
  EXPECT_THAT(std::string(refuse("bob@example.org", 1).message()), testing::HasSubstr("disabled"));
  EXPECT_EQ(memory_->Figures()["open_transactions"], 0u);
}

TEST_F(MessagesTest, AnAppendThatDoesNotKeepItsWordStoresNothing) {
  const auto begin = [&](Append& append, std::optional<uint32_t> crc) {
    AppendHeader header;
    header.parent.mailbox = At("alice@example.org");
    header.size = 9;
    header.crc32c = crc;
    ASSERT_TRUE(Get(append.Begin(std::move(header))).ok());
  };
  {
    Append append(messages_.get());
    begin(append, std::nullopt);
    EXPECT_TRUE(Get(append.Write("12345")).ok());
    EXPECT_EQ(Get(append.Write("67890")).code(), StatusCode::kInvalidArgument);
  }
  {
    Append append(messages_.get());
    begin(append, std::nullopt);
    EXPECT_TRUE(Get(append.Write("12345678")).ok());
    EXPECT_EQ(Get(append.Finish()).status().code(), StatusCode::kInvalidArgument);
  }
  {
    Append append(messages_.get());
    begin(append, 0xe3069284);
    EXPECT_TRUE(Get(append.Write("123456789")).ok());
    EXPECT_EQ(Get(append.Finish()).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Head("alice@example.org").used_messages(), 0u);
  EXPECT_EQ(memory_->Figures()["open_transactions"], 0u);
  EXPECT_EQ(memory_->Figures()["body_bytes"], 0u);
  {
    // CRC32C of "123456789" (RFC 3720, B.4 polynomial).
    Append append(messages_.get());
    begin(append, 0xe3069283);
    EXPECT_TRUE(Get(append.Write("123456789")).ok());
    EXPECT_TRUE(Get(append.Finish()).ok());
  }
}

TEST_F(MessagesTest, ExpungingGivesRoomBackAtOnce) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Store("alice@example.org", std::string(100 + i, 'x')).ok());
  const uint64_t modseq = Head("alice@example.org").highest_modseq();
  const auto erased = Delete("alice@example.org", {2, 4, 4, 99});
  ASSERT_TRUE(erased.ok());
  EXPECT_EQ(erased->messages, 2u);
  EXPECT_EQ(erased->bytes, 204u);
  EXPECT_EQ(Head("alice@example.org").used_bytes(), 306u);
  EXPECT_EQ(Head("alice@example.org").used_messages(), 3u);
  EXPECT_EQ(Head("alice@example.org").highest_modseq(), modseq + 1);
  EXPECT_EQ(Delete("alice@example.org", {2})->messages, 0u);
  EXPECT_EQ(Head("alice@example.org").highest_modseq(), modseq + 1);
  // UIDs are not used again.
  EXPECT_EQ(Store("alice@example.org", "x")->entry.uid(), 6u);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(MessagesTest, ListsAreInPagesByUid) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(Store("bob@example.org", "x", "", 1000 - i).ok());
  const ParentRef bob{At("bob@example.org"), "INBOX"};
  std::vector<uint64_t> uids;
  uint64_t after = 0;
  do {
    const auto page = Get(messages_->List(bob, after, 3, std::nullopt));
    ASSERT_TRUE(page.ok());
    for (const auto& item : page->items) uids.push_back(item.entry.uid());
    after = page->next;
    // What is before a page does not move it.
    if (after == 3) {
      ASSERT_TRUE(Delete("bob@example.org", {1, 4}).ok());
    }
  } while (after != 0);
  EXPECT_THAT(uids, testing::ElementsAre(1, 2, 3, 5, 6, 7));
  const auto old = Get(messages_->List(bob, 0, 100, 996));
  ASSERT_EQ(old->items.size(), 2u);
  EXPECT_EQ(old->items[0].entry.uid(), 6u);
  EXPECT_EQ(Get(messages_->List({bob.mailbox, "Sent"}, 0, 3, std::nullopt)).status().code(),
            StatusCode::kNotFound);
  EXPECT_TRUE(Get(messages_->List(bob, UINT64_MAX, 3, std::nullopt))->items.empty());
}

TEST_F(MessagesTest, RecalculationFindsWhatIsWrongAndSetsItRight) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Store("bob@example.org", "hello").ok());
  EXPECT_FALSE(Get(messages_->Recalculate(At("bob@example.org")))->corrected);
  Spoil("bob@example.org", [](stored::MailboxHead& head) { head.set_used_bytes(999); });
  EXPECT_THAT(Problems(),
              testing::Contains(testing::HasSubstr(
                  "mailboxes/bob@example.org: counts 999 octets in 3 messages, holds 15 octets in 3")));
  const auto audit = Get(messages_->Recalculate(At("bob@example.org")));
  ASSERT_TRUE(audit.ok());
  EXPECT_TRUE(audit->corrected);
  EXPECT_EQ(audit->recorded.bytes, 999u);
  EXPECT_EQ(audit->actual.bytes, 15u);
  EXPECT_EQ(Head("bob@example.org").used_bytes(), 15u);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(MessagesTest, RecalculationIsExactWhileMailComesAndGoes) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Store("bob@example.org", "hello").ok());
  int changes = 0;
  engine_->after_scan = [&] {
    if (++changes > 8) return;
    if (changes % 3 == 2) {
      ASSERT_TRUE(Delete("bob@example.org", {static_cast<uint64_t>(changes)}).ok());
    } else {
      ASSERT_TRUE(Store("bob@example.org", "meanwhile").ok());
    }
  };
  const auto audit = Get(messages_->Recalculate(At("bob@example.org")));
  EXPECT_GT(changes, 3);
  ASSERT_TRUE(audit.ok()) << audit.status();
  EXPECT_FALSE(audit->corrected);
  EXPECT_EQ(audit->recorded, audit->actual);
}

TEST_F(MessagesTest, RecalculationTakesMessagesThatComeWithoutBeginningAgain) {
  ASSERT_TRUE(Store("bob@example.org", "hello").ok());
  int scans = 0;
  engine_->after_scan = [&] {
    ++scans;
    ASSERT_TRUE(Store("bob@example.org", "meanwhile").ok());
  };
  const auto audit = Get(messages_->Recalculate(At("bob@example.org")));
  ASSERT_TRUE(audit.ok());
  EXPECT_EQ(scans, 2);
  EXPECT_EQ(audit->actual.messages, 3u);
  EXPECT_FALSE(audit->corrected);
}

TEST_F(MessagesTest, RecalculationOfAMailboxThatNeverRestsEnds) {
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Store("bob@example.org", "x").ok());
  uint64_t uid = 0;
  engine_->after_scan = [&] { ASSERT_TRUE(Delete("bob@example.org", {++uid}).ok()); };
  EXPECT_EQ(Get(messages_->Recalculate(At("bob@example.org"))).status().code(), StatusCode::kUnavailable);
  engine_->after_scan = nullptr;
  EXPECT_FALSE(Get(messages_->Recalculate(At("bob@example.org")))->corrected);
}

TEST_F(MessagesTest, VerifyFindsImpossibleUids) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Store("bob@example.org", "x").ok());
  Spoil("bob@example.org", [](stored::MailboxHead& head) {
    head.set_uid_next(3);
    head.set_highest_modseq(1);
  });
  const std::vector<std::string> problems = Problems();
  EXPECT_THAT(problems, testing::Contains(testing::HasSubstr("messages/3: the next UID is 3")));
  EXPECT_THAT(problems, testing::Contains(testing::HasSubstr("messages/2: has MODSEQ 2, the highest is 1")));
}

TEST_F(MessagesTest, VerifyFindsAMailboxThatTheDirectoryDoesNotName) {
  ASSERT_TRUE(Store("bob@example.org", "x").ok());
  memory_->Update(
      engine::PartitionId::Directory(), {},
      [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        engine::Change change;
        change.head = *view.head;
        change.erased.push_back(AddressKey(At("bob@example.org")));
        return change;
      },
      [](absl::Status status) { EXPECT_TRUE(status.ok()); });
  EXPECT_THAT(Problems(),
              testing::Contains(testing::HasSubstr("mailboxes/bob@example.org: the directory does not")));
  // A start does not touch it: it holds mail.
  ASSERT_TRUE(Recover().ok());
  EXPECT_EQ(memory_->Figures()["bodies"], 1u);
}

TEST_F(MessagesTest, VerifySetsNumbersRightOnlyWhenItIsTold) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Store("bob@example.org", "text").ok());
  ASSERT_TRUE(Store("alice@example.org", "x").ok());
  EXPECT_THAT(Problems(), testing::IsEmpty());
  Spoil("bob@example.org", [](stored::MailboxHead& head) {
    head.set_used_bytes(7);
    head.set_uid_next(3);
    head.set_highest_modseq(1);
  });
  memory_->Update(
      engine::PartitionId::Directory(), {"d/example.org"},
      [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        stored::DirectoryDomain domain;
        EXPECT_TRUE(domain.ParseFromString(view.values.at("d/example.org")));
        domain.set_addresses(9);
        engine::Change change;
        change.head = *view.head;
        change.puts.emplace_back("d/example.org", domain.SerializeAsString());
        return change;
      },
      [](absl::Status status) { EXPECT_TRUE(status.ok()); });
  const auto told = {testing::HasSubstr("counts 7 octets in 3 messages, holds 12 octets in 3 messages"),
                     testing::HasSubstr("messages/3: the next UID is 3"),
                     testing::HasSubstr("counts 9 addresses, has 2")};
  for (int i = 0; i < 2; ++i) {
    const std::vector<std::string> problems = Problems();
    for (const auto& text : told) EXPECT_THAT(problems, testing::Contains(text));
    EXPECT_THAT(problems, testing::Each(testing::Not(testing::HasSubstr("set right"))));
  }
  EXPECT_EQ(Head("bob@example.org").used_bytes(), 7u);
  uint64_t repaired = 0;
  const std::vector<std::string> problems = Problems(&repaired);
  for (const auto& text : told) EXPECT_THAT(problems, testing::Contains(text));
  EXPECT_THAT(problems, testing::Each(testing::EndsWith("; set right")));
  EXPECT_EQ(repaired, problems.size());
  EXPECT_EQ(Head("bob@example.org").used_bytes(), 12u);
  EXPECT_THAT(Problems(), testing::IsEmpty());
  EXPECT_EQ(Store("bob@example.org", "next")->entry.uid(), 4u);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(MessagesTest, VerifyTellsWhatItCannotSetRight) {
  ASSERT_TRUE(Store("bob@example.org", "x").ok());
  memory_->Update(
      engine::PartitionId::Directory(), {},
      [](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        engine::Change change;
        change.head = *view.head;
        change.erased.push_back(AddressKey(At("bob@example.org")));
        return change;
      },
      [](absl::Status status) { EXPECT_TRUE(status.ok()); });
  uint64_t repaired = 0;
  EXPECT_THAT(Problems(&repaired),
              testing::Contains(testing::AllOf(testing::HasSubstr("the directory does not name it"),
                                               testing::EndsWith("; not set right"))));
}

TEST_F(MessagesTest, VerifyStopsWhenItIsTold) {
  int reports = 0;
  const absl::Status status = Get(Verify(engine_.get(), [&](VerifyProgress) { return ++reports < 1; }));
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_EQ(reports, 1);
}

}  // namespace
}  // namespace restante::mail
