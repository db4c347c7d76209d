// Writes that fail: nothing acknowledged is lost, nothing refused is stored, and
// nobody is told what is not known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/embedded/faulty_files.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::IsEmpty;
using Operation = FaultyFiles::Operation;

class Fault : public testing::Test {
 protected:
  Fault() : store_(directory_.path / "data") {
    store_.options.files = &files_;
    store_.options.maintenance_interval = absl::Milliseconds(20);
  }
  void SetUp() override { ASSERT_TRUE(store_.Open().ok()); }

  FaultyFiles files_;
  Directory directory_;
  SmallStore store_;
};

const absl::Status kBroken = absl::InternalError("input/output error");
const absl::Status kFull = absl::ResourceExhaustedError("no space left on device");

TEST_F(Fault, AGroupWhoseAppendFailsIsRefusedAndTheLogGoesOn) {
  ASSERT_TRUE(store_.Deliver("first").ok());
  files_.Fail({.operation = Operation::kAppend, .path_contains = "/segments/", .status = kBroken});
  EXPECT_EQ(store_.Deliver("lost").status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(files_.failed(), 1);
  ASSERT_TRUE(store_.Deliver("second").ok());
  for (int times = 0; times < 2; ++times) {
    EXPECT_THAT(store_.Texts(), ElementsAre("first", "second"));
    EXPECT_THAT(store_.Problems(), IsEmpty());
    EXPECT_EQ(store_.Figure("open_transactions"), 0u);
    ASSERT_TRUE(store_.Open().ok());
  }
}

TEST_F(Fault, AGroupWhoseSyncFailsIsCutOffByTheNextSegment) {
  ASSERT_TRUE(store_.Deliver("first").ok());
  // All of it is in the file, and valid; only the sync said no.
  files_.Fail({.operation = Operation::kSync, .path_contains = "/segments/", .status = kBroken});
  const engine::TransactionId lost = store_.NewTransaction();
  EXPECT_EQ(store_.DeliverAs(lost, "lost").status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(files_.failed(), 1);
  ASSERT_TRUE(store_.Deliver("second").ok());
  const auto receipt = store_.Settle(lost);
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_FALSE(receipt->committed());
  for (int times = 0; times < 2; ++times) {
    EXPECT_THAT(store_.Texts(), ElementsAre("first", "second"));
    EXPECT_THAT(store_.Problems(), IsEmpty());
    ASSERT_TRUE(store_.Open().ok());
  }
}

TEST_F(Fault, WhatCannotBeCutOffIsUnknownUntilItIs) {
  ASSERT_TRUE(store_.Deliver("first").ok());
  files_.Fail({.operation = Operation::kSync, .path_contains = "/segments/", .status = kBroken, .times = -1});
  const engine::TransactionId id = store_.NewTransaction();
  EXPECT_EQ(store_.DeliverAs(id, "undecided").status().code(), absl::StatusCode::kUnknown);
  EXPECT_TRUE(store_.engine->GetCapacity().read_only);
  EXPECT_EQ(store_.Settle(id).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(store_.Deliver("refused").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(store_.Touch().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(store_.Texts(), ElementsAre("first"));
  files_.Heal();
  EXPECT_GE(files_.failed(), 2);
  // The store finds out by itself.
  while (store_.engine->GetCapacity().read_only) std::this_thread::yield();
  const auto receipt = store_.Settle(id);
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_FALSE(receipt->committed());
  ASSERT_TRUE(store_.Deliver("second").ok());
  for (int times = 0; times < 2; ++times) {
    EXPECT_THAT(store_.Texts(), ElementsAre("first", "second"));
    EXPECT_THAT(store_.Problems(), IsEmpty());
    EXPECT_EQ(store_.Figure("open_transactions"), 0u);
    ASSERT_TRUE(store_.Open().ok());
  }
}

TEST_F(Fault, WhatWasUndecidedAtTheEndIsDecidedByTheNextStart) {
  // With a body of its own, whose file has to be there if it is found.
  const std::string large = Noise(5'000'000, 1);
  ASSERT_TRUE(store_.Deliver("first").ok());
  files_.Fail(
      {.operation = Operation::kOpenNew, .path_contains = "/segments/", .status = kFull, .times = -1});
  files_.Fail({.operation = Operation::kSync, .path_contains = "/segments/", .status = kBroken, .times = -1});
  const engine::TransactionId id = store_.NewTransaction();
  EXPECT_EQ(store_.DeliverAs(id, large).status().code(), absl::StatusCode::kUnknown);
  store_.Close();
  files_.Heal();
  ASSERT_TRUE(store_.Open().ok());
  // The octets did reach the file, and no other segment says that they do not count.
  const auto receipt = store_.Settle(id);
  ASSERT_TRUE(receipt.ok());
  EXPECT_TRUE(receipt->committed());
  EXPECT_TRUE(store_.Texts() == (std::vector<std::string>{"first", large}));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(Fault, ASegmentThatWasBegunInVainDecidesToo) {
  ASSERT_TRUE(store_.Deliver("first").ok());
  files_.Fail({.operation = Operation::kSync, .path_contains = "/segments/", .status = kBroken, .times = -1});
  const engine::TransactionId id = store_.NewTransaction();
  EXPECT_EQ(store_.DeliverAs(id, Noise(5'000'000, 1)).status().code(), absl::StatusCode::kUnknown);
  store_.Close();
  files_.Heal();
  // Its record did reach the file, and says where the log ended.
  ASSERT_TRUE(store_.Open().ok());
  const auto receipt = store_.Settle(id);
  ASSERT_TRUE(receipt.ok());
  EXPECT_FALSE(receipt->committed());
  EXPECT_THAT(store_.Texts(), ElementsAre("first"));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(Fault, AFullDiskRefusesWithItsOwnCodeAndTheSegmentGoesOn) {
  ASSERT_TRUE(store_.Deliver("first").ok());
  files_.Fail({.operation = Operation::kAppend, .path_contains = "/segments/", .status = kFull});
  EXPECT_EQ(store_.Deliver("lost").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(files_.failed(), 1);
  EXPECT_FALSE(store_.engine->GetCapacity().read_only);
  ASSERT_TRUE(store_.Deliver("second").ok());
  EXPECT_FALSE(std::filesystem::exists(store_.Segment(2)));
  for (int times = 0; times < 2; ++times) {
    EXPECT_THAT(store_.Texts(), ElementsAre("first", "second"));
    EXPECT_THAT(store_.Problems(), IsEmpty());
    ASSERT_TRUE(store_.Open().ok());
  }
}

TEST_F(Fault, ABodyFileThatCannotBeWrittenFailsItsMessageOnly) {
  files_.Fail({.operation = Operation::kAppend, .path_contains = "/bodies/", .status = kBroken, .after = 3});
  EXPECT_FALSE(store_.Deliver(Noise(6'000'000, 1)).ok());
  EXPECT_EQ(files_.failed(), 1);
  ASSERT_TRUE(store_.Deliver("small").ok());
  ASSERT_TRUE(store_.Deliver(Noise(6'000'000, 2)).ok());
  EXPECT_TRUE(store_.Texts() == (std::vector<std::string>{"small", Noise(6'000'000, 2)}));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(Fault, ABrokenIndexIsOpenedAgainAndReplayed) {
  for (const Operation operation : {Operation::kAppend, Operation::kSync}) {
    const int before = files_.failed();
    store_.options.checkpoint_bytes = 2'000;  // So that it is synced, too.
    ASSERT_TRUE(store_.Open().ok());
    files_.Fail({.operation = operation, .path_contains = "/index/", .status = kBroken, .times = 2});
    for (int i = 0; i < 20; ++i) {
      // While it is opened again, it cannot be asked for receipts.
      absl::Status status;
      do {
        status = store_.Deliver(absl::StrCat(i, Noise(300, i))).status();
      } while (absl::IsUnavailable(status));
      ASSERT_TRUE(status.ok()) << status;
    }
    store_.AwaitIndexed();
    EXPECT_EQ(files_.failed(), before + 2);
    EXPECT_GE(store_.Figure("index_reopened"), 1u);
    files_.Heal();
    EXPECT_THAT(store_.Problems(), IsEmpty());
  }
  EXPECT_EQ(store_.Texts().size(), 40u);
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(store_.Texts().size(), 40u);
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(Fault, UnderLoadEveryAnswerIsTrue) {
  // Four senders; the log fails now and then, in all ways.
  std::atomic<uint64_t> next{0};
  absl::Mutex mutex;
  std::set<std::string> acknowledged, refused;
  std::atomic<bool> stop{false};
  std::vector<std::thread> senders;
  for (int t = 0; t < 4; ++t) {
    senders.emplace_back([&] {
      while (!stop) {
        const uint64_t number = ++next;
        const std::string text = absl::StrCat(number, ":", Noise(200, number));
        const engine::TransactionId id = store_.NewTransaction();
        auto receipt = store_.DeliverAs(id, text);
        while (!receipt.ok() &&
               (absl::IsUnknown(receipt.status()) || absl::IsUnavailable(receipt.status()))) {
          receipt = store_.Settle(id);
        }
        absl::MutexLock lock(&mutex);
        (receipt.ok() && receipt->committed() ? acknowledged : refused).insert(text);
      }
    });
  }
  for (int round = 0; round < 12; ++round) {
    const uint64_t groups = store_.Figure("groups");
    const Operation operation = round % 3 == 0 ? Operation::kAppend : Operation::kSync;
    files_.Fail({.operation = operation,
                 .path_contains = "/segments/",
                 .status = kBroken,
                 .after = 3,
                 .times = round % 3 + 1});
    store_.AwaitFigure("groups", [&](uint64_t now) { return now > groups + 20; });
    files_.Heal();
  }
  stop = true;
  for (std::thread& sender : senders) sender.join();
  EXPECT_GE(files_.failed(), 12);
  EXPECT_FALSE(refused.empty());
  for (int times = 0; times < 2; ++times) {
    const std::vector<std::string> texts = store_.Texts();
    EXPECT_TRUE(std::set<std::string>(texts.begin(), texts.end()) == acknowledged);
    EXPECT_EQ(texts.size(), acknowledged.size());
    EXPECT_THAT(store_.Problems(), IsEmpty());
    EXPECT_EQ(store_.Figure("open_transactions"), 0u);
    ASSERT_TRUE(store_.Open().ok());
  }
}

}  // namespace
}  // namespace restante::embedded
