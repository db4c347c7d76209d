// Numbers that are wrong on disk: told, left alone, and set right by command.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/engine/embedded/index.h"
#include "server/engine/embedded/index_keys.h"
#include "server/engine/embedded/segment_reader.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Repair : public testing::Test {
 protected:
  Repair() : store_(directory_.path / "data") {}

  void SetUp() override {
    ASSERT_TRUE(store_.Open().ok());
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(store_.Deliver(absl::StrCat("message ", i)).ok());
    ASSERT_TRUE(store_.Deliver(Noise(5 << 20, 1)).ok());
  }
  // Changes a value of the index behind the store's back.
  template <typename Message>
  void Spoil(const std::string& key, absl::FunctionRef<void(Message&)> how) {
    store_.Close();
    {
      Index index(Files::Posix(), directory_.path / "data" / "index");
      ASSERT_TRUE(index.Open(/*create=*/false).ok());
      const auto value = index.Snapshot(0)->Get(key);
      ASSERT_TRUE(value.ok() && value->has_value());
      const auto split = SplitGroup(**value);
      Message message;
      ASSERT_TRUE(split &&
                  message.ParseFromArray(split->value.data(), static_cast<int>(split->value.size())));
      how(message);
      ASSERT_TRUE(index.PutUnlogged(key, WithGroup(split->group, message.SerializeAsString())).ok());
      ASSERT_TRUE(index.WriteCheckpoint(*index.ReadCheckpoint()).ok());
    }
    ASSERT_TRUE(store_.Open().ok());
  }
  engine::Repairs RepairAll() {
    auto repairs = Await<absl::StatusOr<engine::Repairs>>(
        [&](auto done) { store_.engine->RepairBodies([](uint64_t) {}, std::move(done)); });
    EXPECT_TRUE(repairs.ok()) << repairs.status();
    return repairs.ok() ? *std::move(repairs) : engine::Repairs();
  }

  Directory directory_;
  SmallStore store_;
};

TEST_F(Repair, OfAWholeStoreChangesNothing) {
  const uint64_t groups = store_.Figure("groups");
  const engine::Repairs repairs = RepairAll();
  EXPECT_THAT(repairs.problems, IsEmpty());
  EXPECT_EQ(store_.Figure("groups"), groups);
}

TEST_F(Repair, SetsReferencesAndFiguresAndFilesRightAndTheyStayRight) {
  const std::vector<std::string> texts = store_.Texts();
  const uint64_t body = store_.Entries()[2].body();
  Spoil<stored::BodyLocation>(BodyKey(body),
                              [](stored::BodyLocation& location) { location.set_references(3); });
  Spoil<stored::SegmentFigures>(SegmentKey(1), [](stored::SegmentFigures& figures) {
    figures.set_live_bodies(9);
    figures.set_live_bytes(1);
  });
  const fs::path stray = directory_.path / "data" / "bodies" / BodyFileName(987'654);
  WriteFile(stray, "nobody's");
  for (int i = 0; i < 2; ++i) {
    const std::vector<std::string> problems = store_.Problems();
    EXPECT_THAT(problems, SizeIs(3));
    EXPECT_THAT(problems,
                Contains(HasSubstr(absl::StrCat("body ", body, ": 3 references counted, 1 entries"))));
    EXPECT_THAT(problems, Contains(HasSubstr("segment 1: figures say 9 bodies of 1 bytes, 5 of")));
    EXPECT_THAT(problems, Contains(HasSubstr(stray.string())));
    EXPECT_TRUE(fs::exists(stray));
  }
  const engine::Repairs repairs = RepairAll();
  EXPECT_THAT(repairs.problems, AllOf(SizeIs(3), Each(EndsWith(engine::kSetRight))));
  EXPECT_EQ(repairs.repaired, 3u);
  EXPECT_FALSE(fs::exists(stray));
  EXPECT_THAT(store_.Problems(), IsEmpty());
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_THAT(store_.Problems(), IsEmpty());
  EXPECT_EQ(store_.Texts(), texts);
  ASSERT_TRUE(store_.Expunge(3).ok());
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(Repair, LetsABodyGoThatNobodyHolds) {
  const uint64_t small = store_.Entries()[0].body(), large = store_.Entries()[5].body();
  for (const uint64_t uid : {1, 6}) {
    ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                  store_.engine->Update(
                      engine::PartitionId::Mailbox(store_.mailbox), {engine::EntryKey(uid)},
                      [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                        stored::Entry entry;
                        EXPECT_TRUE(entry.ParseFromString(view.values.at(engine::EntryKey(uid))));
                        engine::Change change;
                        change.head = *view.head;
                        stored::MailboxHead& head = *change.head.mutable_mailbox();
                        head.set_used_bytes(head.used_bytes() - entry.size());
                        head.set_used_messages(head.used_messages() - 1);
                        change.erased = {engine::EntryKey(uid)};
                        return change;
                      },
                      std::move(done));
                }).ok());
  }
  const fs::path file = directory_.path / "data" / "bodies" / BodyFileName(large);
  ASSERT_TRUE(fs::exists(file));
  EXPECT_THAT(store_.Problems(), SizeIs(2));
  EXPECT_EQ(RepairAll().repaired, 2u);
  EXPECT_THAT(store_.Problems(), IsEmpty());
  store_.AwaitFigure("groups", [&](uint64_t) { return !fs::exists(file); });
  for (const uint64_t body : {small, large}) {
    const auto read = Await<absl::StatusOr<std::string>>(
        [&](auto done) { store_.engine->ReadBody(engine::BodyId{body}, 0, 1, std::move(done)); });
    EXPECT_TRUE(absl::IsNotFound(read.status())) << read.status();
  }
}

TEST_F(Repair, WhileMailFlowsLeavesExactNumbers) {
  std::vector<uint64_t> bodies;
  for (const stored::Entry& entry : store_.Entries()) bodies.push_back(entry.body());
  for (size_t i = 0; i < 4; ++i) {
    Spoil<stored::BodyLocation>(BodyKey(bodies[i]),
                                [](stored::BodyLocation& location) { location.set_references(5); });
  }
  Spoil<stored::SegmentFigures>(SegmentKey(1),
                                [](stored::SegmentFigures& figures) { figures.set_live_bodies(500); });
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> delivered{0};
  std::thread mail([&] {
    while (!stop) {
      const auto receipt = store_.Deliver("more");
      ASSERT_TRUE(receipt.ok()) << receipt.status();
      const bool expunge = ++delivered % 2 == 0;
      ASSERT_TRUE(!expunge || store_.Expunge(receipt->recipients(0).uid()).ok());
    }
  });
  while (delivered < 20) std::this_thread::yield();
  EXPECT_EQ(RepairAll().repaired, 5u);
  EXPECT_THAT(RepairAll().problems, IsEmpty());
  stop = true;
  mail.join();
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

}  // namespace
}  // namespace restante::embedded
