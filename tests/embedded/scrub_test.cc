// Every flipped bit is found, named, and costs nothing but what it is in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/record.h"
#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/damage.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using engine::Damage;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::UnorderedElementsAre;

// Where the records of a segment lie, read as they were written.
struct Layout {
  struct Record {
    uint64_t begin = 0, end = 0;
    RecordHeader header;
  };
  std::vector<Record> records;

  explicit Layout(const std::string& log) {
    for (uint64_t at = 0; at < log.size();) {
      const uint32_t store = GetFixed32(log, at + 40);
      const auto header = DecodeHeader(absl::string_view(log).substr(at), store);
      if (!header.ok()) std::abort();
      records.push_back({at, at + header->stored_bytes(), *header});
      at += header->stored_bytes();
    }
  }
  const Record& Of(uint64_t octet) const {
    for (const Record& record : records) {
      if (octet < record.end) return record;
    }
    std::abort();
  }
};

TEST(Scrub, FindsNothingInAWholeStore) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store.Deliver(absl::StrCat("message ", i)).ok());
  ASSERT_TRUE(store.Expunge(7).ok());
  ASSERT_TRUE(store.Deliver(Noise(5 << 20, 1)).ok());
  const std::vector<Damage> damages = Scrub(store);
  EXPECT_THAT(damages, IsEmpty()) << Text(damages);
  EXPECT_EQ(store.Figure("scrubs"), 1u);
  EXPECT_EQ(store.Figure("scrub_running"), 0u);
  EXPECT_GT(store.Figure("scrub_bytes"), 5u << 20);
}

TEST(Scrub, FindsAFlippedBitInEveryOctetOfASegmentAndNamesWhatIsLost) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  std::map<uint64_t, uint64_t> uid_of;  // By body.
  for (const std::string& text : {std::string("small"), std::string(700, 'x'), Noise(300, 2)}) {
    ASSERT_TRUE(store.Deliver(text).ok());
  }
  ASSERT_TRUE(store.Expunge(1).ok());
  ASSERT_TRUE(store.Deliver("the last").ok());
  store.AwaitIndexed();
  for (const stored::Entry& entry : store.Entries()) uid_of[entry.body()] = entry.uid();
  const std::string log = ReadFile(store.Segment());
  const Layout layout(log);
  size_t lost = 0, harmless = 0;
  for (uint64_t at = 0; at < log.size(); ++at) {
    const Flip flip(store.Segment(), at, static_cast<uint8_t>(1 << at % 8));
    const std::vector<Damage> damages = Scrub(store);
    ASSERT_THAT(damages, SizeIs(1)) << "octet " << at << Text(damages);
    const Damage& damage = damages[0];
    const Layout::Record& record = layout.Of(at);
    ASSERT_EQ(damage.file, store.Segment());
    ASSERT_GE(damage.offset, record.begin) << "octet " << at << Text(damages);
    ASSERT_LE(damage.offset, at) << Text(damages);
    const auto uid = uid_of.find(record.header.id);
    if (record.header.kind == RecordKind::kBody && uid != uid_of.end()) {
      ++lost;
      ASSERT_THAT(damage.messages, ElementsAre(std::pair(store.mailbox, uid->second))) << Text(damages);
    } else {
      ++harmless;
      ASSERT_THAT(damage.messages, IsEmpty()) << "octet " << at << Text(damages);
      ASSERT_THAT(damage.problem, HasSubstr("no message")) << Text(damages);
    }
  }
  EXPECT_GT(lost, 400u);
  EXPECT_GT(harmless, 1000u);
  EXPECT_THAT(Scrub(store), IsEmpty());
}

TEST(Scrub, FindsAFlippedBitInABodyFile) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver("small").ok());
  ASSERT_TRUE(store.Deliver(Noise(5 << 20, 1)).ok());
  const uint64_t body = store.Entries()[1].body();
  const fs::path path = directory.path / "data" / "bodies" / BodyFileName(body);
  const uint64_t size = fs::file_size(path);
  const uint64_t table = size - kHeaderBytes - 8 * 20;
  // Each octet of table and header, and some of the text.
  std::vector<uint64_t> places = {0, 1, 262'143, 262'144, table - 1};
  for (uint64_t at = table; at < size; ++at) places.push_back(at);
  for (const uint64_t at : places) {
    const Flip flip(path, at);
    const std::vector<Damage> damages = Scrub(store);
    ASSERT_THAT(damages, SizeIs(1)) << "octet " << at << Text(damages);
    EXPECT_EQ(damages[0].file, path);
    EXPECT_LE(damages[0].offset, at);
    EXPECT_LT(at - damages[0].offset, at < table ? 262'144u : 8u * 20u) << Text(damages);
    EXPECT_THAT(damages[0].messages, ElementsAre(std::pair(store.mailbox, uint64_t{2})));
  }
}

TEST(Scrub, OneDamagedRecordNeverHidesTheNext) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(store.Deliver(absl::StrCat("message ", i)).ok());
  const std::string log = ReadFile(store.Segment());
  std::vector<std::unique_ptr<Flip>> flips;
  size_t flipped = 0;
  for (const Layout::Record& record : Layout(log).records) {
    flips.push_back(std::make_unique<Flip>(store.Segment(), record.begin));
    ++flipped;
  }
  const std::vector<Damage> damages = Scrub(store);
  std::vector<uint64_t> uids;
  for (const Damage& damage : damages) {
    for (const auto& [mailbox, uid] : damage.messages) uids.push_back(uid);
  }
  EXPECT_THAT(uids, UnorderedElementsAre(1, 2, 3, 4, 5, 6)) << Text(damages);
  // Without a body between them, two groups cannot be told apart.
  EXPECT_GE(damages.size(), flipped - 2) << Text(damages);
}

TEST(Scrub, NamesEachMessageThatHasTheDamagedText) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  ASSERT_TRUE(store.Deliver("twice").ok());
  ASSERT_TRUE(store.Deliver("other").ok());
  const stored::Entry entry = store.Entries()[0];
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                store.engine->Update(
                    engine::PartitionId::Mailbox(store.mailbox), {},
                    [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                      engine::Change change;
                      change.head = *view.head;
                      stored::Entry copy = entry;
                      copy.set_uid(change.head.mailbox().uid_next());
                      change.head.mutable_mailbox()->set_uid_next(copy.uid() + 1);
                      change.puts.emplace_back(engine::EntryKey(copy.uid()), copy.SerializeAsString());
                      change.added_bodies.push_back(engine::BodyId{entry.body()});
                      return change;
                    },
                    std::move(done));
              }).ok());
  const std::string log = ReadFile(store.Segment());
  const Flip flip(store.Segment(), log.find("twice"));
  const std::vector<Damage> damages = Scrub(store);
  ASSERT_THAT(damages, SizeIs(1)) << Text(damages);
  EXPECT_THAT(damages[0].messages,
              ElementsAre(std::pair(store.mailbox, uint64_t{1}), std::pair(store.mailbox, uint64_t{3})));
}

TEST(Scrub, FindsAFlippedBitInTheFileThatNamesTheStore) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  const fs::path path = directory.path / "data" / "FORMAT";
  const std::string content = ReadFile(path);
  for (uint64_t at = 0; at < content.size(); ++at) {
    const Flip flip(path, at, 1);
    const std::vector<Damage> damages = Scrub(store);
    ASSERT_THAT(damages, SizeIs(1)) << "octet " << at;
    EXPECT_EQ(damages[0].file, path);
    EXPECT_THAT(damages[0].problem, HasSubstr(content.substr(0, content.find('\n'))));
  }
}

TEST(Scrub, NamesWhatWasInFilesThatAreGone) {
  Directory directory;
  SmallStore store(directory.path / "data");
  store.options.segment_bytes = 20'000;
  store.options.compaction_bytes_per_second = 0;
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(store.Deliver(Noise(9'000, i)).ok());
  ASSERT_TRUE(store.Deliver(Noise(5 << 20, 1)).ok());
  const uint64_t body = store.Entries()[6].body();
  const Layout layout(ReadFile(store.Segment(1)));
  std::vector<std::pair<uint64_t, uint64_t>> in_segment;
  for (const stored::Entry& entry : store.Entries()) {
    for (const Layout::Record& record : layout.records) {
      if (record.header.kind == RecordKind::kBody && record.header.id == entry.body()) {
        in_segment.emplace_back(store.mailbox, entry.uid());
      }
    }
  }
  ASSERT_GE(in_segment.size(), 2u);
  ASSERT_LT(in_segment.size(), 6u);
  fs::remove(store.Segment(1));
  fs::remove(directory.path / "data" / "bodies" / BodyFileName(body));
  std::vector<std::pair<uint64_t, uint64_t>> named;
  const std::vector<Damage> damages = Scrub(store);
  for (const Damage& damage : damages) {
    EXPECT_THAT(damage.problem, HasSubstr("No such file"));
    named.insert(named.end(), damage.messages.begin(), damage.messages.end());
  }
  in_segment.emplace_back(store.mailbox, 7);
  EXPECT_THAT(named, testing::UnorderedElementsAreArray(in_segment)) << Text(damages);
}

// Files of the index, by name.
std::vector<fs::path> IndexFiles(const SmallStore& store) {
  std::vector<fs::path> paths;
  for (const auto& file : fs::directory_iterator(fs::path(store.options.data_dir) / "index")) {
    // (One that goes meanwhile has none any more.)
    std::error_code gone;
    if (file.is_regular_file(gone) && file.file_size(gone) > 0 && !gone) paths.push_back(file.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The messages whose entry or location LevelDB itself does not give.
std::set<uint64_t> LostIn(const fs::path& index, const std::map<uint64_t, uint64_t>& body_of,
                          uint64_t mailbox) {
  Index leveldb(Files::Posix(), index);
  // (It is refused if the damage is in what a start looks at, but open.)
  leveldb.Open(/*create=*/false).IgnoreError();
  const auto snapshot = leveldb.Snapshot(0);
  std::set<uint64_t> lost;
  for (const auto& [uid, body] : body_of) {
    for (const std::string& key :
         {PartitionKey(engine::PartitionId::Mailbox(mailbox), engine::EntryKey(uid)), BodyKey(body)}) {
      const auto value = snapshot->Get(key);
      if (!value.ok() || !*value) lost.insert(uid);
    }
  }
  return lost;
}

TEST(Scrub, FindsAFlippedBitInEveryOctetOfTheIndex) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store.Deliver("in a table").ok());
  ASSERT_TRUE(store.Open().ok());
  std::set<std::string> kinds;
  size_t octets = 0;
  // (A scrub leaves its result, which may be written one day.)
  std::map<fs::path, uint64_t> sizes;
  for (const fs::path& path : IndexFiles(store)) sizes[path] = fs::file_size(path);
  for (const auto& [path, size] : sizes) {
    kinds.insert(path.filename() == "CURRENT"                          ? "CURRENT"
                 : path.filename().string().substr(0, 8) == "MANIFEST" ? "MANIFEST"
                                                                       : path.extension().string());
    for (uint64_t at = 0; at < size; ++at, ++octets) {
      const Flip flip(path, at, static_cast<uint8_t>(1 << at % 8));
      const std::vector<Damage> damages = Scrub(store);
      // LevelDB merges a table that was read often, and removes it.
      if (damages.empty() && !fs::exists(path)) break;
      ASSERT_THAT(damages, Not(IsEmpty())) << path << " octet " << at;
      ASSERT_EQ(damages[0].file, path) << Text(damages);
      ASSERT_LE(damages[0].offset, at) << Text(damages);
    }
  }
  EXPECT_THAT(kinds, UnorderedElementsAre("CURRENT", "MANIFEST", ".ldb"));
  EXPECT_GT(octets, 2000u);
  EXPECT_THAT(Scrub(store), IsEmpty());
}

TEST(Scrub, FindsEveryFlippedBitInTheFooterOfATable) {
  // What the rest of a table has, a checksum, a footer has not; and where its numbers
  // end depends on how long they are.
  for (const int messages : {1, 5, 20, 60}) {
    Directory directory;
    SmallStore store(directory.path / "data");
    ASSERT_TRUE(store.Open().ok());
    for (int i = 0; i < messages; ++i) ASSERT_TRUE(store.Deliver("in a table").ok());
    ASSERT_TRUE(store.Open().ok());
    store.AwaitIndexed();
    size_t tables = 0;
    for (const fs::path& path : IndexFiles(store)) {
      if (path.extension() != ".ldb") continue;
      ++tables;
      const uint64_t size = fs::file_size(path);
      for (uint64_t bit = (size - 48) * 8; bit < size * 8; ++bit) {
        Directory scratch;
        SmallStore damaged(scratch.path / "data");
        store.CopyTo(scratch.path / "data");
        const fs::path copy = scratch.path / "data" / "index" / path.filename();
        ASSERT_TRUE(damaged.Open().ok());
        const Flip flip(copy, bit / 8, static_cast<uint8_t>(1 << bit % 8));
        const std::vector<Damage> damages = Scrub(damaged);
        ASSERT_THAT(damages, Not(IsEmpty()))
            << messages << " messages, octet " << bit / 8 << ", bit " << bit % 8;
        ASSERT_EQ(damages[0].file, copy) << Text(damages);
      }
    }
    EXPECT_GE(tables, 1u);
  }
}

TEST(Scrub, NamesTheMessagesThatAreLostWithABlockOfTheIndex) {
  Directory directory;
  SmallStore store(directory.path / "data");
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(store.Deliver(absl::StrCat("message ", i)).ok());
  // One table of all that, so that LevelDB has no reason to move anything; then
  // another with some of it a second time, and some expunged.
  ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                store.engine->Compact([](engine::UpkeepProgress) { return true; }, std::move(done));
              }).ok());
  for (uint64_t uid = 20; uid < 50; ++uid) ASSERT_TRUE(store.Expunge(uid).ok());
  ASSERT_TRUE(store.Open().ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(store.Deliver("new").ok());
  std::map<uint64_t, uint64_t> body_of;
  for (const stored::Entry& entry : store.Entries()) body_of[entry.uid()] = entry.body();
  store.Close();
  size_t some = 0;
  for (const fs::path& path : IndexFiles(store)) {
    if (path.extension() != ".ldb") continue;
    const uint64_t size = fs::file_size(path);
    for (uint64_t at = 0; at < size;) {
      Directory scratch;
      SmallStore damaged(scratch.path / "data");
      damaged.options.compaction_bytes_per_second = 0;
      store.CopyTo(scratch.path / "data");
      ASSERT_TRUE(damaged.Open().ok());
      const Flip flip(scratch.path / "data" / "index" / path.filename(), at);
      fs::copy(scratch.path / "data" / "index", scratch.path / "index");
      const std::set<uint64_t> lost = LostIn(scratch.path / "index", body_of, store.mailbox);
      std::set<uint64_t> named;
      const auto tables = IndexFiles(damaged);
      const std::vector<Damage> damages = Scrub(damaged);
      // LevelDB may have made other tables of them meanwhile, of what it had read before.
      if (IndexFiles(damaged) != tables) continue;
      ASSERT_THAT(damages, Not(IsEmpty())) << path << " octet " << at;
      for (const Damage& damage : damages) {
        EXPECT_EQ(fs::path(damage.file).filename(), path.filename());
        for (const auto& [mailbox, uid] : damage.messages) named.insert(uid);
      }
      ASSERT_EQ(named, lost) << path << " octet " << at << Text(damages);
      at += 211;
      some += !named.empty() && named.size() < body_of.size();
    }
  }
  EXPECT_GT(some, 10u);
}

}  // namespace
}  // namespace restante::embedded
