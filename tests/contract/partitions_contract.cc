// Partitions: updates, reads, scans, listing.
#include <atomic>
#include <set>
#include <thread>

#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

TEST_P(EngineContract, TheDirectoryIsAlwaysThere) {
  const ReadResult directory = Read(PartitionId::Directory());
  ASSERT_TRUE(directory.head.has_value());
  EXPECT_TRUE(directory.head->has_directory());
  ASSERT_TRUE(Put(PartitionId::Directory(), {{"d/example.org", "1"}}).ok());
  EXPECT_EQ(Read(PartitionId::Directory(), {"d/example.org"}).values.at("d/example.org"), "1");
}

TEST_P(EngineContract, APartitionThatIsNotThereHasNoHeadAndIsNoError) {
  const uint64_t number = engine_->NewNumber();
  for (const PartitionId partition : {PartitionId::Mailbox(number), PartitionId::Domain(number)}) {
    const ReadResult result = Read(partition, {"key"});
    EXPECT_FALSE(result.head.has_value());
    EXPECT_TRUE(result.values.empty());
    EXPECT_TRUE(Scan(partition, "", "", 10).items.empty());
  }
}

TEST_P(EngineContract, AChangeIsReadBackWhole) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  ASSERT_TRUE(Put(PartitionId::Mailbox(mailbox), {{"a", "1"}, {"b", ""}}).ok());
  ASSERT_TRUE(ChangeMailbox(mailbox, [](stored::MailboxHead* head) { head->set_address("new@x"); }).ok());
  const ReadResult result = Read(PartitionId::Mailbox(mailbox), {"a", "b", "c"});
  EXPECT_EQ(result.head->mailbox().address(), "new@x");
  EXPECT_EQ(result.values, (Values{{"a", "1"}, {"b", ""}}));
}

TEST_P(EngineContract, AReadOfWhatMayBeOldSeesWhatThisStoreHasChanged) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  const auto recent = [&](PartitionId partition, std::vector<std::string> keys) {
    const auto read = Await<absl::StatusOr<ReadResult>>(
        [&](auto done) { engine_->ReadRecent(partition, std::move(keys), std::move(done)); });
    EXPECT_TRUE(read.ok()) << read.status();
    return read.ok() ? *read : ReadResult();
  };
  for (const std::string value : {"1", "2", ""}) {
    for (const PartitionId partition : {PartitionId::Directory(), PartitionId::Mailbox(mailbox)}) {
      ASSERT_TRUE(Put(partition, {{"a", value}}).ok());
      for (int i = 0; i < 3; ++i) EXPECT_EQ(recent(partition, {"a", "z"}).values, (Values{{"a", value}}));
      for (int i = 0; i < 3; ++i) EXPECT_EQ(recent(partition, {"a"}).values, (Values{{"a", value}}));
    }
    ASSERT_TRUE(ChangeMailbox(mailbox, [&](stored::MailboxHead* head) { head->set_address(value); }).ok());
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(recent(PartitionId::Mailbox(mailbox), {}).head->mailbox().address(), value);
    }
  }
  EXPECT_TRUE(recent(PartitionId::Directory(), {}).head->has_directory());
  EXPECT_FALSE(recent(PartitionId::Mailbox(engine_->NewNumber()), {"a"}).head.has_value());
  EXPECT_FALSE(recent(PartitionId::Domain(engine_->NewNumber()), {}).head.has_value());
}

TEST_P(EngineContract, AnUpdateSeesHeadAndTheKeysThatItAskedFor) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  ASSERT_TRUE(Put(PartitionId::Mailbox(mailbox), {{"a", "1"}, {"b", "2"}}).ok());
  Values seen;
  std::string address;
  EXPECT_TRUE(
      Update(PartitionId::Mailbox(mailbox), {"a", "z"}, [&](const View& view) -> absl::StatusOr<Verdict> {
        seen = view.values;
        address = view.head->mailbox().address();
        return NoChange{};
      }).ok());
  EXPECT_EQ(seen, (Values{{"a", "1"}}));
  EXPECT_EQ(address, HeadOf(mailbox).address());
}

TEST_P(EngineContract, AnUpdateMayAskForMoreKeys) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  ASSERT_TRUE(Put(PartitionId::Mailbox(mailbox), {{"a", "b"}, {"b", "c"}, {"c", "end"}}).ok());
  // Follows the values as names of keys.
  std::string last;
  EXPECT_TRUE(Update(PartitionId::Mailbox(mailbox), {"a"}, [&](const View& view) -> absl::StatusOr<Verdict> {
                std::string key = "a";
                for (auto it = view.values.find(key); it != view.values.end(); it = view.values.find(key)) {
                  key = it->second;
                }
                if (key != "end") return NeedKeys{{key}};
                last = absl::StrCat(view.values.size());
                Change change;
                change.head = *view.head;
                change.puts = {{"followed", last}};
                change.erased = {"a"};
                return change;
              }).ok());
  const ReadResult result = Read(PartitionId::Mailbox(mailbox), {"followed", "a", "b"});
  EXPECT_EQ(result.values, (Values{{"followed", "3"}, {"b", "c"}}));
}

TEST_P(EngineContract, AnErrorOfTheFunctionIsTheResultAndChangesNothing) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  const absl::Status status =
      Update(PartitionId::Mailbox(mailbox), {},
             [](const View&) -> absl::StatusOr<Verdict> { return absl::AbortedError("the etag differs"); });
  EXPECT_EQ(status, absl::AbortedError("the etag differs"));
  const uint64_t number = engine_->NewNumber();
  EXPECT_TRUE(Update(PartitionId::Mailbox(number), {}, [](const View& view) -> absl::StatusOr<Verdict> {
                EXPECT_EQ(view.head, nullptr);
                return NoChange{};
              }).ok());
  EXPECT_FALSE(Read(PartitionId::Mailbox(number)).head.has_value());
}

TEST_P(EngineContract, ErasingAPartitionTakesHeadAndKeysAndNoOther) {
  const uint64_t domain = CreateDomain();
  const uint64_t mailbox = CreateMailbox(domain), other = CreateMailbox(domain);
  for (const uint64_t m : {mailbox, other}) ASSERT_TRUE(Put(PartitionId::Mailbox(m), {{"k", "v"}}).ok());
  ASSERT_TRUE(ErasePartition(PartitionId::Mailbox(mailbox)).ok());
  const ReadResult gone = Read(PartitionId::Mailbox(mailbox), {"k"});
  EXPECT_FALSE(gone.head.has_value());
  EXPECT_TRUE(gone.values.empty());
  EXPECT_TRUE(Scan(PartitionId::Mailbox(mailbox), "", "", 10).items.empty());
  EXPECT_EQ(Read(PartitionId::Mailbox(other), {"k"}).values.size(), 1u);
  EXPECT_EQ(Read(PartitionId::Domain(domain)).mailboxes, 1u);
  EXPECT_EQ(Check(mailbox, 1), "NOT_FOUND");
  EXPECT_EQ(ErasePartition(PartitionId::Mailbox(mailbox)).code(), absl::StatusCode::kNotFound);
}

TEST_P(EngineContract, APartitionThatHoldsEntriesIsNotErased) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  Deliver("text", {mailbox});
  EXPECT_EQ(ErasePartition(PartitionId::Mailbox(mailbox)).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(EntriesOf(mailbox).size(), 1u);
  EXPECT_EQ(TextOf(EntriesOf(mailbox)[0]), "text");
  ExpectExact({mailbox});
}

TEST_P(EngineContract, PartitionsDoNotSeeEachOthersKeys) {
  const uint64_t number = engine_->NewNumber();
  ASSERT_TRUE(Put(PartitionId::Mailbox(number), {{"k", "mailbox"}}).ok());
  ASSERT_TRUE(Put(PartitionId::Domain(number), {{"k", "domain"}}).ok());
  ASSERT_TRUE(Put(PartitionId::Mailbox(number + 1), {{"k", "next"}}).ok());
  ASSERT_TRUE(Put(PartitionId::Mailbox(number + 256), {{"k", "far"}}).ok());
  EXPECT_EQ(Read(PartitionId::Mailbox(number), {"k"}).values.at("k"), "mailbox");
  EXPECT_EQ(Read(PartitionId::Domain(number), {"k"}).values.at("k"), "domain");
  const ScanPage page = Scan(PartitionId::Mailbox(number), "", "", 10);
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_FALSE(page.more);
}

TEST_P(EngineContract, UpdatesOfOnePartitionHappenOneAfterAnother) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        EXPECT_TRUE(ChangeMailbox(mailbox, [](stored::MailboxHead* head) {
                      head->set_highest_modseq(head->highest_modseq() + 1);
                    }).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(HeadOf(mailbox).highest_modseq(), 200u);
}

TEST_P(EngineContract, AnUpdateSeesThoseThatWereCalledBefore) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  std::atomic<int> done_count = 0;
  absl::Notification all;
  for (int i = 0; i < 20; ++i) {
    engine_->Update(
        PartitionId::Mailbox(mailbox), {"log"},
        [i](const View& view) -> absl::StatusOr<Verdict> {
          Change change;
          change.head = *view.head;
          const auto it = view.values.find("log");
          change.puts = {{"log", absl::StrCat(it == view.values.end() ? "" : it->second, i, " ")}};
          return change;
        },
        [&](const absl::Status& status) {
          EXPECT_TRUE(status.ok()) << status;
          if (++done_count == 20) all.Notify();
        });
  }
  AwaitOrDie(all);
  EXPECT_EQ(Read(PartitionId::Mailbox(mailbox), {"log"}).values.at("log"),
            "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ");
}

TEST_P(EngineContract, AScanGivesKeysInOrderPageByPage) {
  const PartitionId partition = PartitionId::Mailbox(CreateMailboxAndDomain());
  std::vector<std::pair<std::string, std::string>> values;
  std::set<std::string> keys;
  for (const char first : {'\x00', 'a', 'm', '\x7f', '\x80', '\xff'}) {
    for (const char second : {'\x00', 'a', '\xff'}) {
      const std::string key = {first, second};
      keys.insert(key);
      values.emplace_back(key, absl::StrCat("value of ", key));
    }
  }
  ASSERT_TRUE(Put(partition, values).ok());
  std::vector<std::string> seen;
  std::string from;
  for (int pages = 1;; ++pages) {
    const ScanPage page = Scan(partition, from, "", 6);
    for (const auto& [key, value] : page.items) {
      EXPECT_EQ(value, absl::StrCat("value of ", key));
      seen.push_back(key);
    }
    EXPECT_EQ(page.more, pages < 3);
    if (!page.more) break;
    ASSERT_EQ(page.items.size(), 6u);
    from = seen.back() + '\0';
  }
  EXPECT_EQ(seen, std::vector<std::string>(keys.begin(), keys.end()));
}

TEST_P(EngineContract, AScanEndsBeforeItsEnd) {
  const PartitionId partition = PartitionId::Mailbox(CreateMailboxAndDomain());
  ASSERT_TRUE(Put(partition, {{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}).ok());
  const ScanPage page = Scan(partition, "b", "d", 10);
  ASSERT_EQ(page.items.size(), 2u);
  EXPECT_EQ(page.items[0].first, "b");
  EXPECT_EQ(page.items[1].first, "c");
  EXPECT_FALSE(page.more);
  EXPECT_FALSE(Scan(partition, "b", "d", 2).more) << "d lies beyond the end";
  EXPECT_TRUE(Scan(partition, "b", "d", 1).more);
  EXPECT_TRUE(Scan(partition, "d", "b", 10).items.empty());
}

TEST_P(EngineContract, PartitionsAreListedByKindInOrder) {
  auto list = [&](PartitionId::Kind kind, uint64_t after, size_t limit) {
    auto found = Await<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>>(
        [&](auto done) { engine_->ListPartitions(kind, after, limit, std::move(done)); });
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<uint64_t> numbers;
    for (const auto& [number, head] : *found) {
      EXPECT_EQ(head.has_mailbox(), kind == PartitionId::Kind::kMailbox);
      numbers.push_back(number);
    }
    return numbers;
  };
  const uint64_t domain = CreateDomain();
  std::vector<uint64_t> mailboxes;
  for (int i = 0; i < 5; ++i) mailboxes.push_back(CreateMailbox(domain));
  ASSERT_TRUE(ErasePartition(PartitionId::Mailbox(mailboxes[2])).ok());
  EXPECT_EQ(list(PartitionId::Kind::kMailbox, 0, 2), (std::vector<uint64_t>{mailboxes[0], mailboxes[1]}));
  EXPECT_EQ(list(PartitionId::Kind::kMailbox, mailboxes[1], 9),
            (std::vector<uint64_t>{mailboxes[3], mailboxes[4]}));
  EXPECT_EQ(list(PartitionId::Kind::kMailbox, mailboxes[4], 9), std::vector<uint64_t>());
  EXPECT_EQ(list(PartitionId::Kind::kDomain, 0, 9), std::vector<uint64_t>{domain});
}

TEST_P(EngineContract, NumbersAreNeverGivenTwice) {
  std::vector<std::vector<uint64_t>> given(8);
  std::vector<std::thread> threads;
  for (auto& numbers : given) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) numbers.push_back(engine_->NewNumber());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<uint64_t> all;
  for (const auto& numbers : given) all.insert(numbers.begin(), numbers.end());
  EXPECT_EQ(all.size(), 4000u);
  EXPECT_EQ(all.count(0), 0u) << "0 is the directory's";
}

TEST_P(EngineContract, AStoreWithoutDomainsSaysSo) {
  EXPECT_FALSE(engine_->HasDomains());
  const uint64_t domain = CreateDomain();
  EXPECT_TRUE(engine_->HasDomains());
  ASSERT_TRUE(ErasePartition(PartitionId::Domain(domain)).ok());
  EXPECT_FALSE(engine_->HasDomains());
}

TEST_P(EngineContract, ADomainSumsItsMailboxes) {
  const uint64_t domain = CreateDomain(), other = CreateDomain();
  const uint64_t first = CreateMailbox(domain), second = CreateMailbox(domain);
  Deliver("12345", {first, second});
  Deliver("678", {second});
  ReadResult sums = Read(PartitionId::Domain(domain));
  EXPECT_EQ(sums.used_bytes, 13u);
  EXPECT_EQ(sums.used_messages, 3u);
  EXPECT_EQ(sums.mailboxes, 2u);
  ASSERT_TRUE(ChangeMailbox(second, [&](stored::MailboxHead* head) { head->set_domain(other); }).ok());
  EXPECT_EQ(Read(PartitionId::Domain(domain)).used_bytes, 5u);
  EXPECT_EQ(Read(PartitionId::Domain(other)).used_bytes, 8u);
  ASSERT_TRUE(Expunge(second, 1).ok());
  EXPECT_EQ(Read(PartitionId::Domain(other)).used_bytes, 3u);
  EXPECT_EQ(Read(PartitionId::Domain(other)).used_messages, 1u);
}

}  // namespace
}  // namespace restante::engine
