// The index made again from the log: nothing is missing, and nothing comes back
// that was gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/faulty_files.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Rebuild : public testing::Test {
 protected:
  Rebuild() : store_(directory_.path / "data") {
    store_.options.segment_bytes = 100'000;
    store_.options.checkpoint_bytes = 80'000;
    store_.options.maintenance_interval = absl::Milliseconds(10);
  }

  fs::path Index() const { return fs::path(store_.options.data_dir) / "index"; }
  absl::Status OpenRebuilding() {
    store_.options.rebuild_index = true;
    absl::Status status = store_.Open();
    store_.options.rebuild_index = false;
    return status;
  }

  FaultyFiles files_;
  Directory directory_;
  SmallStore store_;
};

// With all that an envelope may hold.
stored::Entry EntryWithDsn(engine::TransactionId id) {
  stored::Entry entry;
  stored::Envelope& envelope = *entry.mutable_envelope();
  envelope.set_sender("sender@example.net");
  envelope.set_recipient("Alice+a@example.org");
  envelope.set_ret(2);
  envelope.set_envid(id.ToString());
  for (const uint32_t notify : {2, 3}) {
    stored::DsnRecipient& recipient = *envelope.add_dsn_recipients();
    recipient.set_address("Alice+a@example.org");
    recipient.add_notify(notify);
    recipient.set_orcpt("rfc822;alice+2Ba@example.com");
  }
  return entry;
}

TEST_F(Rebuild, ALongHistoryComesBackWhole) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  ASSERT_TRUE(store_.Open().ok());
  std::vector<engine::TransactionId> transactions, tombstones;
  for (int i = 0; i < 400; ++i) {
    const engine::TransactionId id = store_.NewTransaction();
    ASSERT_TRUE(store_.DeliverAs(id, Noise(random() % 8'000, seed + i), EntryWithDsn(id)).ok());
    transactions.push_back(id);
    if (i % 3 == 0) {
      ASSERT_TRUE(store_.Touch().ok());
    }
    if (i % 50 == 0) {
      tombstones.push_back(store_.NewTransaction());
      ASSERT_FALSE(store_.Settle(tombstones.back())->committed());
    }
    if (i % 97 == 0) {
      ASSERT_TRUE(store_.Open().ok());
    }
    if (i % 2 == 1) {
      const std::vector<stored::Entry> entries = store_.Entries();
      ASSERT_TRUE(store_.Expunge(entries[random() % entries.size()].uid()).ok());
    }
  }
  ASSERT_TRUE(store_.Deliver(Noise(5'000'000, 1)).ok());
  // The log has gaps: emptied in this life of the store, or in one before.
  store_.AwaitFigure("segments", [&](uint64_t segments) { return segments < store_.Figure("segment"); });
  std::vector<std::string> entries;
  for (const stored::Entry& entry : store_.Entries()) entries.push_back(entry.SerializeAsString());
  const std::vector<std::string> texts = store_.Texts();
  const auto head = [&] {
    return Await<absl::StatusOr<engine::ReadResult>>([&](auto done) {
      store_.engine->Read(engine::PartitionId::Mailbox(store_.mailbox), {}, std::move(done));
    });
  };
  const std::string before = head()->head->SerializeAsString();
  const uint64_t next_number = store_.engine->NewNumber();
  store_.Close();

  for (const bool lost : {true, false}) {
    if (lost) fs::remove_all(Index());
    const absl::Status opened = OpenRebuilding();
    ASSERT_TRUE(opened.ok()) << opened;
    std::vector<std::string> again;
    for (const stored::Entry& entry : store_.Entries()) again.push_back(entry.SerializeAsString());
    EXPECT_TRUE(again == entries);
    EXPECT_TRUE(store_.Texts() == texts);
    EXPECT_EQ(head()->head->SerializeAsString(), before);
    EXPECT_GE(store_.engine->NewNumber(), next_number) << "no number may be given twice";
    EXPECT_THAT(store_.Problems(), IsEmpty());
    for (const engine::TransactionId& id : transactions) EXPECT_TRUE(store_.Settle(id)->committed());
    for (const engine::TransactionId& id : tombstones) EXPECT_FALSE(store_.Settle(id)->committed());
  }
  // And life goes on.
  ASSERT_TRUE(store_.Deliver("after").ok());
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(store_.Texts().back(), "after");
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(Rebuild, WithoutTheOptionALostIndexIsNamedAndNothingIsChanged) {
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("kept").ok());
  store_.Close();
  fs::remove_all(Index());
  const absl::Status opened = store_.Open();
  EXPECT_EQ(opened.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(opened.message()), HasSubstr("--rebuild-index"));
  EXPECT_FALSE(fs::exists(Index()));
  ASSERT_TRUE(OpenRebuilding().ok());
  EXPECT_THAT(store_.Texts(), ElementsAre("kept"));
}

TEST_F(Rebuild, ASegmentThatIsLostIsNoticedAndTheIndexIsLeftAlone) {
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(store_.Deliver(Noise(8'000, i)).ok());
  store_.Close();
  ASSERT_TRUE(fs::exists(store_.Segment(4)));
  // (The newest that is lost takes its messages with it, and who could tell?)
  for (uint64_t segment = 1; fs::exists(store_.Segment(segment + 1)); ++segment) {
    const fs::path aside = directory_.path / "aside";
    fs::rename(store_.Segment(segment), aside);
    const absl::Status opened = OpenRebuilding();
    EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss) << segment;
    EXPECT_THAT(std::string(opened.message()), HasSubstr(SegmentName(segment)));
    EXPECT_TRUE(fs::exists(Index() / "CURRENT"));
    fs::rename(aside, store_.Segment(segment));
  }
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(store_.Texts().size(), 60u);
}

TEST_F(Rebuild, ASegmentThatCompactionRemovedIsNotMissed) {
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(store_.Deliver(Noise(8'000, i)).ok());
  ASSERT_TRUE(fs::exists(store_.Segment(4)));
  // One in the middle: its predecessor has nobody left that says where it ends.
  for (int uid = 14; uid <= 24; ++uid) ASSERT_TRUE(store_.Expunge(uid).ok());
  store_.AwaitFigure("compacted_segments", [](uint64_t segments) { return segments > 0; });
  const std::vector<std::string> texts = store_.Texts();
  store_.Close();
  EXPECT_TRUE(fs::exists(store_.Segment(1)));
  EXPECT_FALSE(fs::exists(store_.Segment(2)));
  fs::remove_all(Index());
  const absl::Status opened = OpenRebuilding();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_TRUE(store_.Texts() == texts);
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

// Its removal may fail, or wait for a backup. What it says may be known to be void
// only from segments that were emptied after it.
TEST_F(Rebuild, ASegmentThatWasLetGoAndIsStillThereBringsNothingBack) {
  store_.options.compaction_bytes_per_second = 0;
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(8'000, i)).ok());
  const fs::path aside = directory_.path / "aside";
  fs::copy(store_.Segment(1), aside);
  for (int uid = 1; uid <= 30; ++uid) ASSERT_TRUE(store_.Expunge(uid).ok());
  ASSERT_TRUE(store_.Deliver("kept").ok());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                  store_.engine->Compact([](engine::UpkeepProgress) { return true; }, std::move(done));
                }).ok());
    for (int i = 0; i < 30; ++i) {
      const auto receipt = store_.Deliver(Noise(8'000, 100 + i));
      ASSERT_TRUE(receipt.ok());
      ASSERT_TRUE(store_.Expunge(receipt->recipients(0).uid()).ok());
    }
  }
  ASSERT_FALSE(fs::exists(store_.Segment(1)));
  store_.Close();
  fs::rename(aside, store_.Segment(1));
  const absl::Status opened = OpenRebuilding();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_THAT(store_.Texts(), ElementsAre("kept"));
  EXPECT_THAT(store_.Problems(), IsEmpty());
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_FALSE(fs::exists(store_.Segment(1))) << "the next start removes it";
}

TEST_F(Rebuild, WhatWasCutOffDoesNotComeBackEvenWhenItsSuccessorIsGone) {
  store_.options.files = &files_;
  store_.options.compaction_bytes_per_second = 0;
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(store_.Deliver("first").ok());
  // Whole and valid in segment 1, but void: segment 2 says so.
  files_.Fail({.operation = FaultyFiles::Operation::kSync,
               .path_contains = "/segments/",
               .status = absl::InternalError("input/output error")});
  ASSERT_FALSE(store_.Deliver("void").ok());
  ASSERT_EQ(files_.failed(), 1);
  ASSERT_TRUE(fs::exists(store_.Segment(2)));
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(store_.Deliver(Noise(8'000, i)).ok());
  for (int uid = 2; uid <= 30; ++uid) ASSERT_TRUE(store_.Expunge(uid).ok());
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                store_.engine->Compact([](engine::UpkeepProgress) { return true; }, std::move(done));
              }).ok());
  ASSERT_FALSE(fs::exists(store_.Segment(2)));
  const std::vector<std::string> texts = store_.Texts();
  store_.Close();
  fs::remove_all(Index());
  const absl::Status opened = OpenRebuilding();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_TRUE(store_.Texts() == texts);
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(Rebuild, ADamagedBodyDoesNotHideWhatComesBehindIt) {
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(8'000, i)).ok());
  store_.Close();
  fs::remove_all(Index());
  // Once its text, once its header.
  const std::string log = ReadFile(store_.Segment(1));
  const size_t text = log.find(Noise(8'000, 3).substr(0, 50));
  ASSERT_NE(text, std::string::npos);
  for (const size_t at : {text + 10, text - 20}) {
    std::string damaged = log;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    WriteFile(store_.Segment(1), damaged);
    const absl::Status opened = OpenRebuilding();
    ASSERT_TRUE(opened.ok()) << opened;
    int lost = 0;
    for (const stored::Entry& entry : store_.Entries()) {
      if (store_.TextOf(entry).ok()) continue;
      EXPECT_EQ(entry.uid(), 4u);
      ++lost;
    }
    EXPECT_EQ(lost, 1);
    EXPECT_EQ(store_.Entries().size(), 30u);
    store_.Close();
  }
}

TEST_F(Rebuild, ADamagedGroupIsRefusedAndNamed) {
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(8'000, i)).ok());
  store_.Close();
  std::string log = ReadFile(store_.Segment(1));
  const size_t text = log.find(Noise(8'000, 3).substr(0, 50));
  ASSERT_NE(text, std::string::npos);
  const size_t group = log.find("RSTR", text);
  log[group + 60] = static_cast<char>(log[group + 60] ^ 4);
  WriteFile(store_.Segment(1), log);
  const absl::Status opened = OpenRebuilding();
  EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(opened.message()), HasSubstr(store_.Segment(1).string()));
  EXPECT_TRUE(fs::exists(Index() / "CURRENT")) << "the index is still good for what it has";
}

TEST_F(Rebuild, OneThatWasInterruptedIsNoIndex) {
  ASSERT_TRUE(store_.Open().ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(store_.Deliver(Noise(8'000, i)).ok());
  store_.Close();
  store_.options.files = &files_;
  files_.Fail({.operation = FaultyFiles::Operation::kSync,
               .path_contains = "/index/",
               .status = absl::InternalError("input/output error"),
               .after = 3,
               .times = -1});
  ASSERT_FALSE(OpenRebuilding().ok());
  ASSERT_GT(files_.failed(), 0);
  files_.Heal();
  const absl::Status opened = store_.Open();
  EXPECT_FALSE(opened.ok());
  EXPECT_THAT(std::string(opened.message()), HasSubstr("--rebuild-index"));
  ASSERT_TRUE(OpenRebuilding().ok());
  EXPECT_EQ(store_.Texts().size(), 30u);
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

}  // namespace
}  // namespace restante::embedded
