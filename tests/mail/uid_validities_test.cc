// UIDVALIDITYs after a restore.
#include "server/mail/uid_validities.h"

#include <map>
#include <set>
#include <string>

#include "tests/mail/fixture.h"

namespace restante::mail {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kBackup = 1'700'000'000 * kSecond;

class UidValidities : public StoreTest {
 protected:
  UidValidities() {
    EXPECT_TRUE(Domain("example.org").ok());
    for (const char* address : {"alice@example.org", "bob@example.org", "carol@example.org"}) {
      EXPECT_TRUE(Mailbox(address).ok());
    }
    EXPECT_TRUE(Store("alice@example.org", "text").ok());
    // A second folder.
    EXPECT_TRUE(Change("alice@example.org", [](stored::MailboxHead& head) {
                  stored::Folder& folder = *head.add_folders();
                  folder.set_name("Archive");
                  folder.set_id(1);
                  folder.set_uid_validity(4);
                }).ok());
    EXPECT_TRUE(SetNext(5).ok());
  }

  absl::Status Change(absl::string_view address, std::function<void(stored::MailboxHead&)> change_head) {
    absl::Status status = absl::UnknownError("not called");
    memory_->Update(
        engine::PartitionId::Mailbox(Get(FindMailbox(memory_.get(), At(address)))->number), {},
        [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
          engine::Change change;
          change.head = *view.head;
          change_head(*change.head.mutable_mailbox());
          return change;
        },
        [&](absl::Status s) { status = std::move(s); });
    return status;
  }

  // By mailbox number and folder id.
  std::map<std::pair<uint64_t, uint32_t>, uint32_t> All() {
    std::map<std::pair<uint64_t, uint32_t>, uint32_t> all;
    memory_->ListPartitions(engine::PartitionId::Kind::kMailbox, 0, 1000, [&](auto found) {
      for (const auto& [number, head] : *found) {
        for (const stored::Folder& folder : head.mailbox().folders()) {
          all[{number, folder.id()}] = folder.uid_validity();
        }
      }
    });
    return all;
  }
  uint32_t Next() {
    uint32_t next = 0;
    memory_->Read(engine::PartitionId::Directory(), {},
                  [&](auto read) { next = read->head->directory().uid_validity_next(); });
    return next;
  }
  absl::Status SetNext(uint32_t next) {
    absl::Status status = absl::UnknownError("not called");
    memory_->Update(
        engine::PartitionId::Directory(), {},
        [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
          engine::Change change;
          change.head = *view.head;
          change.head.mutable_directory()->set_uid_validity_next(next);
          return change;
        },
        [&](absl::Status s) { status = std::move(s); });
    return status;
  }
  absl::StatusOr<uint64_t> Renew(int64_t restore_us) {
    return Get(RenewUidValidities(engine_.get(), kBackup, restore_us));
  }
};

TEST_F(UidValidities, EveryFolderGetsANewOneAndNoTwoTheSame) {
  const auto before = All();
  const auto renewed = Renew(kBackup + 3600 * kSecond);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(*renewed, 4u);
  const auto after = All();
  ASSERT_EQ(after.size(), before.size());
  std::set<uint32_t> given;
  for (const auto& [folder, value] : after) {
    EXPECT_GT(value, before.at(folder));
    EXPECT_GE(value, 1'700'003'600u) << "above all that was given since the backup";
    EXPECT_LT(value, Next());
    given.insert(value);
  }
  EXPECT_EQ(given.size(), after.size());
  // What is made later is above them.
  ASSERT_TRUE(Mailbox("dave@example.org").ok());
  for (const auto& [folder, value] : All()) given.insert(value);
  EXPECT_EQ(given.size(), 5u);
  EXPECT_EQ(*given.rbegin(), Next() - 1);
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

TEST_F(UidValidities, AreAboveAllThatTheLostTimeLineGave) {
  // It had run ahead of the clock, as after a restore of many mailboxes.
  const uint32_t ahead = 1'800'000'000;
  ASSERT_TRUE(SetNext(ahead).ok());
  ASSERT_TRUE(Renew(kBackup + 1000 * kSecond).ok());
  for (const auto& [folder, value] : All()) EXPECT_GE(value, ahead + 1000 + 1'000'000);
}

TEST_F(UidValidities, OfTwoRestoresOfOneBackupAreDifferent) {
  for (const uint32_t next : {5u, 1'800'000'000u}) {
    ASSERT_TRUE(SetNext(next).ok());
    ASSERT_TRUE(Renew(kBackup + 1000 * kSecond).ok());
    const auto first = All();
    // The same backup once more, five seconds later.
    ASSERT_TRUE(SetNext(next).ok());
    ASSERT_TRUE(Renew(kBackup + 1005 * kSecond).ok());
    for (const auto& [folder, value] : All()) EXPECT_GT(value, first.at(folder));
  }
}

TEST_F(UidValidities, DoNotNeedAClockThatIsRight) {
  for (const int64_t restore_us : {int64_t{0}, int64_t{-5}, kBackup - 86'400 * kSecond}) {
    const uint32_t next = Next();
    ASSERT_TRUE(Renew(restore_us).ok());
    for (const auto& [folder, value] : All()) EXPECT_GE(value, next);
  }
}

TEST_F(UidValidities, ThatDoNotSufficeAreAnErrorAndNothingIsChanged) {
  ASSERT_TRUE(SetNext(UINT32_MAX - 100).ok());
  const auto before = All();
  EXPECT_EQ(Renew(kBackup).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(All(), before);
  EXPECT_EQ(Next(), UINT32_MAX - 100);
}

TEST_F(UidValidities, InterruptedAnywhereTheyStayDifferent) {
  for (int at = 0;; ++at) {
    engine_->KillAt(at);
    const auto renewed = Renew(kBackup + at * kSecond);
    engine_->Revive();
    std::set<uint32_t> given;
    for (const auto& [folder, value] : All()) {
      given.insert(value);
      EXPECT_LT(value, Next());
    }
    EXPECT_EQ(given.size(), 4u) << "killed at change " << at;
    if (renewed.ok()) {
      EXPECT_EQ(at, 4) << "the directory, and three mailboxes";
      break;
    }
  }
}

}  // namespace
}  // namespace restante::mail
