// Names that another store has changed: what is kept for a while refuses nobody.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/strand.h"
#include "server/mail/deliveries.h"
#include "server/mail/directory.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "server/mail/transaction.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using mail::Address;
using stored::v1::MailboxHead;

const Address kAlice{"alice", "example.org"}, kBob{"bob", "example.org"};

// Whom a transaction sends its answers to.
class Sink : public mail::TransactionSink {
 public:
  void Post(absl::AnyInvocable<void()> fn) override { strand_.Post(std::move(fn)); }
  void Send(v1::Answer answer) override {
    absl::MutexLock lock(&mutex_);
    answers_.push_back(std::move(answer));
  }
  void Ended(uint64_t) override {}
  void OutcomeUnknown(absl::Status) override {}

  v1::Answer Await(size_t number) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&] { return answers_.size() > number; };
    mutex_.Await(absl::Condition(&there));
    return answers_[number];
  }

 private:
  Strand strand_;
  absl::Mutex mutex_;
  std::vector<v1::Answer> answers_;
};

// A store with what serves MTAs and operators.
struct Served {
  explicit Served(Store* store)
      : engine(&store->engine()),
        directory(engine, {}),
        deliveries(engine, &directory, {}, Clock::System()),
        provisioning(engine, {}, Clock::System()) {}

  template <typename T>
  static T Get(Task<T> task) {
    return engine::Await<T>([&](auto done) { Start(std::move(task), std::move(done)); });
  }
  v1::Outcome Check(const std::string& address) {
    return engine::Await<v1::Decision>(
               [&](auto done) { deliveries.Check(address, "sender@example.net", 100, std::move(done)); })
        .outcome();
  }
  // What a sender hears to his RCPT.
  v1::Outcome Rcpt(const std::string& address) {
    auto sink = std::make_shared<Sink>();
    auto transaction = std::make_shared<mail::Transaction>(&deliveries, sink, 1, "caller", "::1");
    v1::Event begin, recipient;
    begin.mutable_begin()->set_request_id(std::string(16, 'i'));
    recipient.mutable_recipient()->set_address(address);
    sink->Post([transaction, begin, recipient] {
      transaction->Handle(begin);
      transaction->Handle(recipient);
    });
    const v1::Outcome outcome = sink->Await(1).decision().outcome();
    sink->Post([transaction] { transaction->Abandon(); });
    return outcome;
  }
  // Where it leads as far as is known here.
  mail::Resolution Resolve(const std::string& address) {
    return *engine::Await<absl::StatusOr<mail::Resolution>>(
        [&](auto done) { directory.Resolve(address, mail::Age::kRecent, std::move(done)); });
  }
  absl::Status Make(const Address& address) {
    return Get(provisioning.CreateMailbox(address, {}, "")).status();
  }
  absl::Status Delete(const Address& address) { return Get(provisioning.DeleteMailbox(address, "", true)); }
  absl::Status Set(const Address& address, MailboxHead::State state) {
    mail::MailboxSettings settings;
    settings.state = state;
    return Get(provisioning.UpdateMailbox(address, settings, "")).status();
  }

  engine::Engine* const engine;
  mail::Directory directory;
  mail::Deliveries deliveries;
  mail::Provisioning provisioning;
};

class RadosDirectory : public cluster::SharedClusterTest {
 protected:
  RadosDirectory() : stores_(conf_, namespace_), one_(&stores_.Open()), other_(&stores_.Open()) {
    EXPECT_TRUE(Served::Get(one_.provisioning.CreateDomain("example.org", {}, "")).ok());
    EXPECT_TRUE(one_.Make(kAlice).ok());
    EXPECT_TRUE(Becomes([&] { return other_.Check("alice@example.org") == v1::OUTCOME_OK; }));
    // From now on it is known there.
    EXPECT_TRUE(Becomes([&] { return other_.Resolve("alice@example.org").recent; }));
  }

  Stores stores_;
  Served one_, other_;
};

TEST_F(RadosDirectory, ANewNameIsKnownToAllAtOnce) {
  EXPECT_EQ(other_.Check("bob@example.org"), v1::OUTCOME_NO_SUCH_MAILBOX);
  ASSERT_TRUE(one_.Make(kBob).ok());
  EXPECT_EQ(other_.Check("bob@example.org"), v1::OUTCOME_OK);
}

TEST_F(RadosDirectory, AMailboxThatIsMadeAgainElsewhereIsFound) {
  const uint64_t before = other_.Resolve("alice@example.org").mailbox;
  ASSERT_TRUE(one_.Delete(kAlice).ok());
  EXPECT_EQ(other_.Rcpt("alice@example.org"), v1::OUTCOME_NO_SUCH_MAILBOX);
  ASSERT_TRUE(one_.Make(kAlice).ok());
  EXPECT_EQ(other_.Rcpt("alice@example.org"), v1::OUTCOME_OK);
  const auto found = Served::Get(mail::FindMailbox(other_.engine, kAlice));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_NE(found->number, before);
}

TEST_F(RadosDirectory, NobodyIsRefusedForAStateThatHasEnded) {
  ASSERT_TRUE(one_.Set(kAlice, MailboxHead::HOLD).ok());
  EXPECT_TRUE(Becomes([&] { return other_.Check("alice@example.org") == v1::OUTCOME_MAILBOX_ON_HOLD; }));
  ASSERT_TRUE(one_.Set(kAlice, MailboxHead::ACTIVE).ok());
  EXPECT_EQ(other_.Check("alice@example.org"), v1::OUTCOME_OK);
}

TEST_F(RadosDirectory, AReaderOfARenamedMailboxGetsWhoHasTheAddressNow) {
  ASSERT_TRUE(Served::Get(one_.provisioning.RenameMailbox(kAlice, kBob, "", "")).ok());
  ASSERT_TRUE(Served::Get(one_.provisioning.DeleteAlias(kAlice, "")).ok());
  EXPECT_TRUE(absl::IsNotFound(Served::Get(mail::FindMailbox(other_.engine, kAlice)).status()));
  EXPECT_TRUE(Served::Get(mail::FindMailbox(other_.engine, kBob)).ok());
  ASSERT_TRUE(one_.Make(kAlice).ok());
  const auto alice = Served::Get(mail::FindMailbox(other_.engine, kAlice));
  ASSERT_TRUE(alice.ok()) << alice.status();
  EXPECT_EQ(alice->read.head->mailbox().address(), "alice@example.org");
}

TEST_F(RadosDirectory, AStoreSeesWhatItHasChangedItself) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(other_.Delete(kAlice).ok());
    EXPECT_EQ(other_.Check("alice@example.org"), v1::OUTCOME_NO_SUCH_MAILBOX);
    ASSERT_TRUE(other_.Make(kAlice).ok());
    EXPECT_EQ(other_.Check("alice@example.org"), v1::OUTCOME_OK);
  }
}

}  // namespace
}  // namespace restante::rados
