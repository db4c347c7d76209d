// What one store knows of what another has done: everything it answers with, at once.
#include <string>

#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

using engine::PartitionId;
using engine::ValueOf;

class RadosStale : public cluster::SharedClusterTest {
 protected:
  RadosStale() : stores_(conf_, namespace_), one_(stores_.Open()), other_(stores_.Open()) {}

  Stores stores_;
  Store &one_, &other_;
};

TEST_F(RadosStale, WhatChangesNothingIsDecidedOnWhatIsThereNow) {
  const uint64_t mailbox = one_.CreateMailboxAndDomain();
  const auto messages_seen_by = [&](Store& store) {
    uint64_t messages = 0;
    EXPECT_TRUE(store
                    .Update(PartitionId::Mailbox(mailbox), {},
                            [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                              messages = view.head->mailbox().used_messages();
                              return engine::NoChange{};
                            })
                    .ok());
    return messages;
  };
  for (uint64_t tx = 1; tx <= 5; ++tx) {
    EXPECT_EQ(messages_seen_by(other_), tx - 1);
    ASSERT_EQ(stores_.Deliver(one_, tx, 100, {mailbox}), "receipt");
  }
  EXPECT_EQ(messages_seen_by(one_), 5u);
  stores_.ExpectExact(other_);
}

TEST_F(RadosStale, AnErrorIsFoundedOnWhatIsThereNow) {
  const uint64_t mailbox = one_.CreateMailboxAndDomain();
  const auto rename_from = [&](Store& store, const std::string& from, const std::string& to) {
    return store.Update(PartitionId::Mailbox(mailbox), {},
                        [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                          if (view.head->mailbox().address() != from)
                            return absl::AbortedError("another name");
                          engine::Change change;
                          change.head = *view.head;
                          change.head.mutable_mailbox()->set_address(to);
                          return change;
                        });
  };
  std::string name = one_.HeadOf(mailbox).address();
  for (int i = 0; i < 4; ++i) {
    const std::string next = absl::StrCat("name", i, "@example.org");
    EXPECT_TRUE(rename_from(i % 2 == 0 ? one_ : other_, name, next).ok()) << i;
    name = next;
  }
  EXPECT_TRUE(absl::IsAborted(rename_from(one_, "name1@example.org", "name9@example.org")));
}

TEST_F(RadosStale, ARefusalIsFoundedOnWhatIsThereNow) {
  const uint64_t mailbox = one_.CreateMailboxAndDomain(ValueOf(100));
  for (uint64_t tx = 1; tx <= 6; ++tx) {
    Store& store = tx % 2 == 0 ? one_ : other_;
    ASSERT_EQ(stores_.Deliver(store, tx, 100, {mailbox}), "receipt") << tx;
    ASSERT_TRUE((tx % 2 == 0 ? other_ : one_).Expunge(mailbox, tx).ok());
    stores_.Forget(tx, mailbox);
  }
  stores_.ExpectExact(one_, {mailbox});
}

TEST_F(RadosStale, TheFirstDomainIsSoonKnownToAll) {
  EXPECT_FALSE(other_.engine().HasDomains());
  one_.CreateDomain();
  EXPECT_TRUE(Becomes([&] { return other_.engine().HasDomains(); }));
}

TEST_F(RadosStale, TheEventsOfAllAreToldByEach) {
  std::atomic<int> told = 0;
  other_.engine().OnEvents([&] { ++told; });
  const uint64_t mailbox = one_.CreateMailboxAndDomain(ValueOf(1000));
  ASSERT_EQ(stores_.Deliver(one_, 1, 850, {mailbox}), "receipt");
  ASSERT_EQ(stores_.Deliver(other_, 2, 60, {mailbox}), "receipt");
  EXPECT_TRUE(Becomes([&] { return told > 0; }));
  other_.engine().OnEvents(nullptr);
  for (Store* store : {&one_, &other_}) {
    const auto page = engine::Await<absl::StatusOr<engine::EventPage>>(
        [&](auto done) { store->engine().ReadEvents(0, 10, std::move(done)); });
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->events.size(), 2u);
    EXPECT_EQ(page->events[0].quota().percent(), 80u);
    EXPECT_EQ(page->events[1].quota().percent(), 90u);
    EXPECT_EQ(page->events[1].sequence(), 2u);
  }
}

}  // namespace
}  // namespace restante::rados
