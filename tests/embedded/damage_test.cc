// What damage costs: the message that it is in, and nothing else.
#include "tests/embedded/damage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/engine/embedded/index_files.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/record.h"
#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/simulated_disk.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = SimulatedDisk::Kind;

// Which of the store's messages cannot be read; the others are as they were.
std::vector<uint64_t> Lost(SmallStore& store, const std::map<uint64_t, std::string>& texts) {
  std::vector<uint64_t> lost;
  for (const stored::Entry& entry : store.Entries()) {
    const absl::StatusOr<std::string> text = store.TextOf(entry);
    if (text.ok()) {
      const auto it = texts.find(entry.uid());
      EXPECT_TRUE(it == texts.end() || *text == it->second) << "UID " << entry.uid();
    } else {
      EXPECT_TRUE(absl::IsDataLoss(text.status())) << text.status();
      lost.push_back(entry.uid());
    }
  }
  return lost;
}

TEST(Damage, InAnyOctetOfAMessageCostsThatMessageAlone) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  const std::map<uint64_t, std::string> texts = {
      {1, "before"}, {2, absl::StrCat("in the middle", std::string(400, 'x'))}, {3, "behind"}};
  size_t begin = 0, end = 0;
  for (const auto& [uid, text] : texts) {
    if (uid == 2) begin = fs::file_size(store.Segment());
    ASSERT_TRUE(store.Deliver(text).ok());
    if (uid != 2) continue;
    const std::string record = ReadFile(store.Segment()).substr(begin);
    end = begin + DecodeHeader(record, GetFixed32(record, 40))->stored_bytes();
  }
  ASSERT_GT(end, begin + kHeaderBytes);
  for (size_t at = begin; at < end; ++at) {
    const Flip flip(store.Segment(), at, static_cast<uint8_t>(1 << at % 8));
    ASSERT_THAT(Lost(store, texts), ElementsAre(2)) << "octet " << at;
  }
  {
    // Mail goes on, and the damaged message can be deleted.
    const Flip flip(store.Segment(), end - 1);
    ASSERT_TRUE(store.Deliver("more").ok());
    EXPECT_EQ(store.Entries().size(), 4u);
    ASSERT_TRUE(store.Expunge(2).ok());
    EXPECT_THAT(Lost(store, texts), IsEmpty());
  }
  EXPECT_THAT(store.Problems(), IsEmpty());
}

TEST(Damage, InOneMessageOfAGroupLeavesTheOthersOfIt) {
  SimulatedDisk disk;
  SmallStore store("/data");
  store.options.files = &disk;
  ASSERT_TRUE(store.Open().ok());
  // While the first is being synced, the others gather for the next group.
  const auto held = disk.Inject({.kind = Kind::kSync, .path_contains = ".log", .held = true});
  std::vector<std::thread> threads;
  threads.emplace_back([&] { EXPECT_TRUE(store.Deliver("first").ok()); });
  disk.AwaitStruck(held);
  const uint64_t groups = store.Figure("groups");
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&, i] { EXPECT_TRUE(store.Deliver(absl::StrCat("gathered ", i)).ok()); });
  }
  store.AwaitFigure("commits", [](uint64_t commits) { return commits == 6; });
  disk.Release(held);
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(store.Figure("groups"), groups + 2);
  // The record of some message in the middle of them.
  const std::string path = "/data/segments/" + SegmentName(1);
  std::string log(*disk.SizeOf(path), '\0');
  {
    const auto file = disk.Open(path, Files::Mode::kRead);
    ASSERT_TRUE((*file)->ReadAt(0, log.size(), log.data()).ok());
  }
  const auto wrong = disk.Inject({.kind = Kind::kRead,
                                  .path_contains = "/segments/",
                                  .times = -1,
                                  .flips_octet = log.find("gathered 3")});
  std::vector<std::string> readable;
  for (const stored::Entry& entry : store.Entries()) {
    const auto text = store.TextOf(entry);
    if (text.ok()) readable.push_back(*text);
  }
  EXPECT_GT(disk.Struck(wrong), 0);
  EXPECT_THAT(readable,
              testing::UnorderedElementsAre("first", "gathered 0", "gathered 1", "gathered 2", "gathered 4"));
}

TEST(Damage, WhatTheDiskCannotReadIsLostToo) {
  SimulatedDisk disk;
  SmallStore store("/data");
  store.options.files = &disk;
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver("small").ok());
  ASSERT_TRUE(store.Deliver(Noise(300'000, 1)).ok());
  for (const stored::Entry& entry : store.Entries()) {
    const auto broken = disk.Inject({.kind = Kind::kRead,
                                     .path_contains = "/segments/",
                                     .status = absl::InternalError("input/output error")});
    const auto text = store.TextOf(entry);
    EXPECT_EQ(disk.Struck(broken), 1);
    EXPECT_TRUE(absl::IsDataLoss(text.status())) << text.status();
    EXPECT_TRUE(store.TextOf(entry).ok());
  }
}

// A store whose index has a table, of which one block with entries is damaged. (So
// many entries that, wherever blocks begin, some have nothing else.)
class DamagedIndex : public testing::Test {
 protected:
  // A small disk, so that LevelDB soon has something to compact.
  DamagedIndex() : store_("/data") {
    disk_.SetCapacity(64 << 20);
    store_.options.files = &disk_;
    store_.options.compaction_bytes_per_second = 0;
  }

  void SetUp() override {
    ASSERT_TRUE(store_.Open().ok());
    for (int i = 0; i < kMessages; ++i) Deliver();
    ASSERT_TRUE(store_.Open().ok());  // What was in LevelDB's memory is in a table.
    // So that it does not begin to merge them when it is opened.
    const absl::Status compacted = Compact();
    ASSERT_TRUE(compacted.ok()) << compacted;
  }
  absl::Status Compact() {
    return Await<absl::Status>([&](auto done) {
      store_.engine->Compact([](const engine::UpkeepProgress&) { return true; }, std::move(done));
    });
  }
  void Deliver() {
    const std::string text = absl::StrCat("message ", texts_.size() + 1);
    const absl::StatusOr<stored::Receipt> receipt = store_.Deliver(text);
    ASSERT_TRUE(receipt.ok()) << receipt.status();
    texts_[receipt->recipients(0).uid()] = text;
  }
  void DamageEntries() {
    // Then no table comes or goes, and no block is in memory.
    store_.engine.reset();
    ASSERT_NO_FATAL_FAILURE(InjectDamage());
    const absl::Status opened = store_.Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  void InjectDamage() {
    // (Not the first ones: LevelDB looks at them when what stands before them is read.)
    const std::string first =
        PartitionKey(engine::PartitionId::Mailbox(store_.mailbox), engine::EntryKey(100));
    const std::string last =
        PartitionKey(engine::PartitionId::Mailbox(store_.mailbox), engine::EntryKey(kMessages));
    const std::vector<std::string> names = *disk_.List("/data/index");
    for (const std::string& name : names) {
      if (!absl::EndsWith(name, ".ldb")) continue;
      const std::string path = JoinPath("/data/index", name);
      std::string table = *ReadWholeFile(disk_, path);
      for (uint64_t at = 0; at < table.size(); at += 64) {
        table[at] = static_cast<char>(table[at] ^ 1);
        const std::vector<IndexDamage> damages =
            CheckIndexTable(table, {"", "z"}, [](absl::string_view, std::optional<absl::string_view>) {});
        table[at] = static_cast<char>(table[at] ^ 1);
        if (damages.size() == 1 && damages[0].keys && damages[0].keys->from >= first &&
            damages[0].keys->to <= last) {
          fault_ = disk_.Inject({.kind = Kind::kRead, .path_contains = path, .times = -1, .flips_octet = at});
          return;
        }
      }
    }
    FAIL() << "no block has nothing but entries";
  }
  absl::StatusOr<std::optional<stored::Entry>> Entry(uint64_t uid) {
    const std::string key = engine::EntryKey(uid);
    const auto read = Await<absl::StatusOr<engine::ReadResult>>([&](auto done) {
      store_.engine->Read(engine::PartitionId::Mailbox(store_.mailbox), {key}, std::move(done));
    });
    if (!read.ok()) return read.status();
    const auto it = read->values.find(key);
    if (it == read->values.end()) return std::nullopt;
    stored::Entry entry;
    EXPECT_TRUE(entry.ParseFromString(it->second));
    return entry;
  }

  static constexpr int kMessages = 400;

  SimulatedDisk disk_;
  SmallStore store_;
  std::map<uint64_t, std::string> texts_;
  SimulatedDisk::FaultId fault_ = 0;
};

TEST_F(DamagedIndex, HidesTheMessagesInItAndNothingElse) {
  ASSERT_NO_FATAL_FAILURE(DamageEntries());
  std::set<uint64_t> named;
  for (const engine::Damage& damage : Scrub(store_)) {
    for (const auto& [mailbox, uid] : damage.messages) named.insert(uid);
  }
  std::set<uint64_t> hidden;
  for (const auto& [uid, text] : texts_) {
    const auto entry = Entry(uid);
    if (!entry.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(entry.status())) << entry.status();
      EXPECT_TRUE(absl::IsDataLoss(store_.Expunge(uid)));
      hidden.insert(uid);
      continue;
    }
    ASSERT_TRUE(entry->has_value()) << uid;
    EXPECT_EQ(store_.TextOf(**entry).value_or("lost"), text);
  }
  EXPECT_GT(disk_.Struck(fault_), 0);
  EXPECT_EQ(hidden, named);
  EXPECT_GT(hidden.size(), 5u);
  EXPECT_LT(hidden.size(), 100u);
  Deliver();
}

TEST_F(DamagedIndex, KeepsASegmentWhoseKeysItHides) {
  for (uint64_t uid = 1; uid <= 30; ++uid) ASSERT_TRUE(store_.Expunge(uid).ok());
  std::erase_if(texts_, [](const auto& text) { return text.first <= 30; });
  ASSERT_NO_FATAL_FAILURE(DamageEntries());
  const absl::Status compacted = Compact();
  EXPECT_TRUE(compacted.ok()) << compacted;
  EXPECT_GT(disk_.Struck(fault_), 0);
  EXPECT_TRUE(disk_.SizeOf("/data/segments/" + SegmentName(1)).ok());
  disk_.Heal();
  store_.options.rebuild_index = true;
  const absl::Status opened = store_.Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(store_.Entries().size(), texts_.size());
  EXPECT_THAT(Lost(store_, texts_), IsEmpty());
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(DamagedIndex, IsLeftAsItIsWhenLevelDbMeetsItAndIsMadeAgainFromTheLog) {
  store_.options.checkpoint_bytes = 50'000;  // So that something is put into it soon.
  ASSERT_NO_FATAL_FAILURE(DamageEntries());
  Compact().IgnoreError();
  while (store_.Figure("index_damaged") == 0) Deliver();
  EXPECT_GT(disk_.Struck(fault_), 0);
  // Memory and the log have what comes from now on.
  for (int i = 0; i < 20; ++i) Deliver();
  EXPECT_EQ(store_.Figure("index_reopened"), 0u);
  size_t readable = 0;
  for (const auto& [uid, text] : texts_) {
    const auto entry = Entry(uid);
    EXPECT_TRUE(entry.ok() || absl::IsDataLoss(entry.status())) << entry.status();
    if (!entry.ok()) continue;
    ASSERT_TRUE(entry->has_value()) << uid;
    EXPECT_EQ(store_.TextOf(**entry).value_or("lost"), text);
    ++readable;
  }
  EXPECT_GT(readable, texts_.size() - 100);
  disk_.Heal();
  store_.options.rebuild_index = true;
  const absl::Status opened = store_.Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(store_.Figure("index_damaged"), 0u);
  EXPECT_EQ(store_.Entries().size(), texts_.size());
  EXPECT_THAT(Lost(store_, texts_), IsEmpty());
  EXPECT_THAT(store_.Problems(), IsEmpty());
  EXPECT_THAT(Scrub(store_), IsEmpty());
}

}  // namespace
}  // namespace restante::embedded
