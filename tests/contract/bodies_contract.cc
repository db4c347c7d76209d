// Bodies: ranges, sizes, references.
#include "tests/contract/engine_contract.h"

namespace restante::engine {
namespace {

TEST_P(EngineContract, ABodyIsReadBackOctetForOctet) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  std::string every;
  for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
  std::string paragraphs;
  while (paragraphs.size() < 700'000) paragraphs += "All work and no play makes Jack a dull boy.\r\n";
  const std::vector<std::string> texts = {"",
                                          "x",
                                          every,
                                          std::string(1000, '\0'),
                                          Noise(4096, 1),
                                          Noise(256 * 1024, 2),
                                          Noise(256 * 1024 + 1, 3),
                                          paragraphs,
                                          Noise(5'000'011, 4),
                                          paragraphs + Noise(4'500'000, 5)};
  for (const std::string& text : texts) Deliver(text, {mailbox});
  const auto entries = EntriesOf(mailbox);
  ASSERT_EQ(entries.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(entries[i].size(), texts[i].size());
    EXPECT_TRUE(TextOf(entries[i]) == texts[i]) << "text " << i << " of " << texts[i].size() << " bytes";
  }
  ExpectExact({mailbox});
}

TEST_P(EngineContract, AnyRangeOfABodyIsReadAndCutAtItsEnd) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  const std::string small = "0123456789";
  const std::string large = Noise(5'000'000, 1);
  Deliver(small, {mailbox});
  Deliver(large, {mailbox});
  struct Range {
    uint64_t offset, length;
  };
  const uint64_t mib = 1024 * 1024, block = 256 * 1024;
  const Range ranges[] = {{0, 0},
                          {0, 1},
                          {3, 4},
                          {9, 1},
                          {9, 2},
                          {10, 1},
                          {11, 5},
                          {0, mib},
                          {block - 1, 2},
                          {block, block},
                          {mib - 5, mib},
                          {4'999'999, 1},
                          {4'999'990, 20},
                          {5'000'000, mib},
                          {UINT64_MAX, mib},
                          {UINT64_MAX - 1, 1}};
  const auto entries = EntriesOf(mailbox);
  ASSERT_EQ(entries.size(), 2u);
  for (const std::string* text : {&small, &large}) {
    const uint64_t body = entries[text == &large].body();
    for (const Range& range : ranges) {
      const auto read = ReadBody(body, range.offset, range.length);
      ASSERT_TRUE(read.ok()) << read.status() << " at " << range.offset << " of " << text->size();
      const std::string expected = text->substr(std::min<uint64_t>(range.offset, text->size()), range.length);
      EXPECT_TRUE(*read == expected) << range.offset << "+" << range.length << " of " << text->size();
    }
  }
}

TEST_P(EngineContract, AStagedBodyKnowsItsSizeAndChecksum) {
  const auto body = Stage("123456789");
  EXPECT_EQ(body->size(), 9u);
  EXPECT_EQ(body->crc32c(), 0xe3069283u);
  const auto empty = Stage("");
  EXPECT_EQ(empty->size(), 0u);
  EXPECT_EQ(empty->crc32c(), 0u);
}

TEST_P(EngineContract, ABodyThatNobodyHasIsNotFound) {
  EXPECT_EQ(ReadBody(987'654'321, 0, 10).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(EngineContract, BodiesThatAreNotCommittedLeaveNothing) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  for (const size_t size : {size_t{10}, size_t{5'000'000}}) {
    Stage(Noise(size, 1)).reset();
    std::unique_ptr<BodyWriter> writer = engine_->NewBody(size);
    EXPECT_TRUE(
        Await<absl::Status>([&](auto done) { writer->Append(Noise(size, 2), std::move(done)); }).ok());
    writer.reset();
    MakeReady(1, size, {mailbox});
    CommitRequest request = CommitOf(1, Noise(size, 3), {mailbox});
    engine_->Close(Id(1));
    EXPECT_FALSE(Commit(std::move(request)).ok());
  }
  ExpectExact({mailbox});
}

TEST_P(EngineContract, AWriterMayGoWhileAnAppendIsRunning) {
  for (int i = 0; i < 20; ++i) {
    absl::Notification appended;
    std::unique_ptr<BodyWriter> writer = engine_->NewBody(std::nullopt);
    writer->Append(Noise(300'000, i), [&](const absl::Status&) { appended.Notify(); });
    writer.reset();
    AwaitOrDie(appended);
  }
  ExpectExact({});
}

TEST_P(EngineContract, ACopyHoldsTheBodyAsTheFirstDoes) {
  const uint64_t domain = CreateDomain();
  const uint64_t from = CreateMailbox(domain), to = CreateMailbox(domain);
  Deliver("shared text", {from});
  const stored::Entry entry = EntriesOf(from)[0];
  ASSERT_TRUE(Copy(entry, to).ok());
  ASSERT_TRUE(Copy(entry, from).ok());
  ExpectExact({from, to});
  EXPECT_EQ(Read(PartitionId::Domain(domain)).used_bytes, 33u) << "a copy is charged";
  ASSERT_TRUE(Expunge(from, 1).ok());
  ASSERT_TRUE(Expunge(from, 2).ok());
  EXPECT_EQ(TextOf(EntriesOf(to)[0]), "shared text");
  ASSERT_TRUE(Expunge(to, 1).ok());
  ExpectGone(entry.body());
  // Nobody can copy what has gone meanwhile.
  EXPECT_EQ(Copy(entry, to).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(EntriesOf(to).empty());
  EXPECT_EQ(HeadOf(to).used_bytes(), 0u);
  ExpectExact({from, to});
}

TEST_P(EngineContract, AReferenceMayGoAndComeInOneChange) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  Deliver("moved text", {mailbox});
  const stored::Entry entry = EntriesOf(mailbox)[0];
  // A move inside the mailbox: another UID, the same body.
  ASSERT_TRUE(Update(PartitionId::Mailbox(mailbox), {}, [&](const View& view) -> absl::StatusOr<Verdict> {
                Change change;
                change.head = *view.head;
                stored::Entry moved = entry;
                moved.set_uid(2);
                change.head.mutable_mailbox()->set_uid_next(3);
                change.erased = {EntryKey(1)};
                change.puts = {{EntryKey(2), moved.SerializeAsString()}};
                change.released_bodies = {BodyId{entry.body()}};
                change.added_bodies = {BodyId{entry.body()}};
                return change;
              }).ok());
  ASSERT_EQ(EntriesOf(mailbox).size(), 1u);
  EXPECT_EQ(TextOf(EntriesOf(mailbox)[0]), "moved text");
  ExpectExact({mailbox});
}

TEST_P(EngineContract, VerifyNamesEntriesAndBodiesThatDoNotFitTogether) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  Deliver("text", {mailbox});
  const stored::Entry entry = EntriesOf(mailbox)[0];
  EXPECT_EQ(Verify(), std::vector<std::string>());
  // A second entry that did not count its reference.
  stored::Entry false_entry = entry;
  false_entry.set_uid(7);
  ASSERT_TRUE(Put(PartitionId::Mailbox(mailbox), {{EntryKey(7), false_entry.SerializeAsString()}}).ok());
  EXPECT_FALSE(Verify().empty());
  // And one of a body that is not there.
  false_entry.set_body(987'654'321);
  ASSERT_TRUE(Put(PartitionId::Mailbox(mailbox), {{EntryKey(7), false_entry.SerializeAsString()}}).ok());
  const auto problems = Verify();
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("987654321"), std::string::npos) << problems[0];
}

TEST_P(EngineContract, RepairSetsReferencesRightAndNothingElse) {
  const uint64_t mailbox = CreateMailboxAndDomain();
  Deliver("first", {mailbox});
  Deliver("second", {mailbox});
  stored::Entry entry = EntriesOf(mailbox)[0];
  // An entry that did not count its reference, one of a body that is not there, and
  // a body that no entry holds any more.
  entry.set_uid(7);
  stored::Entry lost = entry;
  lost.set_uid(8);
  lost.set_body(987'654'321);
  ASSERT_TRUE(Put(PartitionId::Mailbox(mailbox),
                  {{EntryKey(7), entry.SerializeAsString()}, {EntryKey(8), lost.SerializeAsString()}})
                  .ok());
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                engine_->Update(
                    PartitionId::Mailbox(mailbox), {},
                    [](const View& view) -> absl::StatusOr<Verdict> {
                      Change change;
                      change.head = *view.head;
                      change.erased = {EntryKey(2)};
                      return change;
                    },
                    std::move(done));
              }).ok());
  ASSERT_EQ(Verify().size(), 3u);
  const auto repairs = Await<absl::StatusOr<Repairs>>(
      [&](auto done) { engine_->RepairBodies([](uint64_t) {}, std::move(done)); });
  ASSERT_TRUE(repairs.ok()) << repairs.status();
  EXPECT_EQ(repairs->problems.size(), 3u);
  EXPECT_EQ(repairs->repaired, 2u);
  ASSERT_EQ(Verify().size(), 1u);
  EXPECT_NE(Verify()[0].find("987654321"), std::string::npos);
  // Counted now, it stays while one of the two is held.
  ASSERT_TRUE(Expunge(mailbox, 1).ok());
  EXPECT_EQ(TextOf(EntriesOf(mailbox)[0]), "first");
  ASSERT_TRUE(Expunge(mailbox, 7).ok());
  EXPECT_EQ(Verify().size(), 1u);
}

TEST_P(EngineContract, ExpungingGivesRoomBackAtOnce) {
  const uint64_t mailbox = CreateMailboxAndDomain(ValueOf(100), ValueOf(1));
  for (uint64_t uid = 1; uid <= 20; ++uid) {
    EXPECT_EQ(Deliver(Noise(100, uid), {mailbox}).recipients(0).uid(), uid);
    EXPECT_NE(Check(mailbox, 1), "granted 1");
    ASSERT_TRUE(Expunge(mailbox, uid).ok());
    EXPECT_EQ(Expunge(mailbox, uid).code(), absl::StatusCode::kNotFound);
  }
  ExpectExact({mailbox});
}

}  // namespace
}  // namespace restante::engine
