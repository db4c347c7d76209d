// Changes of addresses that are killed between any two steps.
#include <functional>
#include <string>

#include "tests/mail/fixture.h"

namespace restante::mail {
namespace {

using absl::StatusCode;

const std::string kId1(16, '1');
const std::string kId2(16, '2');

// A store of its own for each kill.
class StoreAtStep : public StoreTest {
 public:
  using StoreTest::Alias;
  using StoreTest::Domain;
  using StoreTest::engine_;
  using StoreTest::Mailbox;
  using StoreTest::memory_;
  using StoreTest::Partitions;
  using StoreTest::Problems;
  using StoreTest::provisioning_;
  using StoreTest::Recover;
  using StoreTest::Store;

 private:
  void TestBody() override {}
};

// Runs `act` on fresh stores, killed at its first change, its second, ..., until
// it is not hit any more. After each kill the store is started again (or not),
// `act` is repeated, the store is started again, and `check` looks at it.
void AtEveryStep(const std::function<void(StoreAtStep&)>& prepare,
                 const std::function<absl::Status(StoreAtStep&)>& act,
                 const std::function<void(StoreAtStep&)>& check, int at_least) {
  for (bool restart : {true, false}) {
    int kills = 0;
    for (int step = 0;; ++step) {
      SCOPED_TRACE(testing::Message() << "killed at change " << step << (restart ? ", restarted" : ""));
      StoreAtStep run;
      prepare(run);
      run.engine_->KillAt(step);
      const absl::Status status = act(run);
      const bool killed = run.engine_->dead();
      run.engine_->Revive();
      if (!killed) {
        EXPECT_TRUE(status.ok()) << status;
        check(run);
        break;
      }
      ++kills;
      EXPECT_EQ(status.code(), StatusCode::kUnavailable);
      if (restart) {
        EXPECT_TRUE(run.Recover().ok());
        EXPECT_THAT(run.Problems(), testing::IsEmpty());
      }
      const absl::Status repeated = act(run);
      // The start, or an earlier step, may have finished a deletion.
      EXPECT_TRUE(repeated.ok() || absl::IsNotFound(repeated)) << repeated;
      EXPECT_TRUE(run.Recover().ok());
      check(run);
      EXPECT_THAT(run.Problems(), testing::IsEmpty());
    }
    EXPECT_GE(kills, at_least);
  }
}

class CrashTest : public StoreTest {};

TEST_F(CrashTest, CreatingADomainIsFinishedByRepetition) {
  AtEveryStep([](StoreAtStep&) {}, [](StoreAtStep& s) { return s.Domain("example.org", {}, kId1); },
              [](StoreAtStep& s) {
                EXPECT_TRUE(Get(s.provisioning_->GetDomain("example.org")).ok());
                EXPECT_EQ(s.Partitions(engine::PartitionId::Kind::kDomain), 1u);
              },
              2);
}

TEST_F(CrashTest, CreatingAMailboxIsFinishedByRepetition) {
  AtEveryStep([](StoreAtStep& s) { ASSERT_TRUE(s.Domain("example.org").ok()); },
              [](StoreAtStep& s) { return s.Mailbox("alice@example.org", {}, kId1); },
              [](StoreAtStep& s) {
                EXPECT_TRUE(Get(s.provisioning_->GetMailbox(At("alice@example.org"))).ok());
                EXPECT_EQ(s.Partitions(engine::PartitionId::Kind::kMailbox), 1u);
              },
              3);
}

TEST_F(CrashTest, DeletingADomainIsFinishedByRestartOrRepetition) {
  AtEveryStep([](StoreAtStep& s) { ASSERT_TRUE(s.Domain("example.org").ok()); },
              [](StoreAtStep& s) { return Get(s.provisioning_->DeleteDomain("example.org", "")); },
              [](StoreAtStep& s) { EXPECT_EQ(s.Partitions(engine::PartitionId::Kind::kDomain), 0u); }, 2);
}

TEST_F(CrashTest, DeletingAMailboxIsFinishedByRestart) {
  AtEveryStep(
      [](StoreAtStep& s) {
        ASSERT_TRUE(s.Domain("example.org").ok());
        ASSERT_TRUE(s.Mailbox("alice@example.org").ok());
        ASSERT_TRUE(s.Alias("info@example.org", "alice@example.org").ok());
        for (int i = 0; i < 1100; ++i) ASSERT_TRUE(s.Store("alice@example.org", "x").ok());
      },
      [](StoreAtStep& s) { return Get(s.provisioning_->DeleteMailbox(At("alice@example.org"), "", true)); },
      [](StoreAtStep& s) {
        EXPECT_EQ(s.Partitions(engine::PartitionId::Kind::kMailbox), 0u);
        EXPECT_EQ(s.memory_->Figures()["body_bytes"], 0u);
        EXPECT_TRUE(Get(s.provisioning_->DeleteDomain("example.org", "")).ok());
      },
      6);
}

TEST_F(CrashTest, RenamingIsFinishedByRestartOrRepetition) {
  AtEveryStep(
      [](StoreAtStep& s) {
        ASSERT_TRUE(s.Domain("example.org").ok());
        ASSERT_TRUE(s.Domain("example.net").ok());
        ASSERT_TRUE(s.Mailbox("alice@example.org").ok());
        ASSERT_TRUE(s.Store("alice@example.org", "hello").ok());
      },
      [](StoreAtStep& s) {
        return Get(s.provisioning_->RenameMailbox(At("alice@example.org"), At("ann@example.net"), kId1, ""))
            .status();
      },
      [](StoreAtStep& s) {
        auto mailbox = Get(s.provisioning_->GetMailbox(At("ann@example.net")));
        ASSERT_TRUE(mailbox.ok()) << mailbox.status();
        EXPECT_EQ(mailbox->head.mailbox().address(), "ann@example.net");
        EXPECT_EQ(mailbox->head.mailbox().used_bytes(), 5u);
        EXPECT_EQ(Get(s.provisioning_->GetAlias(At("alice@example.org")))->mailbox, At("ann@example.net"));
      },
      3);
}

TEST_F(CrashTest, ARenameThatLostItsAddressIsGivenUp) {
  ASSERT_TRUE(Domain("example.org").ok());
  ASSERT_TRUE(Mailbox("alice@example.org").ok());
  engine_->KillAt(1);
  EXPECT_FALSE(
      Get(provisioning_->RenameMailbox(At("alice@example.org"), At("ann@example.org"), kId1, "")).ok());
  engine_->Revive();
  ASSERT_TRUE(Mailbox("ann@example.org").ok());
  // Another name is free as soon as the first one is known to be lost.
  auto renamed = Get(provisioning_->RenameMailbox(At("alice@example.org"), At("eve@example.org"), kId2, ""));
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_EQ(renamed->head.mailbox().address(), "eve@example.org");
  EXPECT_THAT(Problems(), testing::IsEmpty());
}

}  // namespace
}  // namespace restante::mail
