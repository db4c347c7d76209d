// Open receipts on disk: when they are logged, when they go, and what becomes of
// them when the log cannot be written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "server/base/fake_clock.h"
#include "tests/embedded/delivery.h"
#include "tests/embedded/faulty_files.h"
#include "tests/embedded/small_store.h"

namespace restante::embedded {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class OpenReceipts : public testing::Test {
 protected:
  OpenReceipts() : store_(directory_.path / "data") {
    store_.options.maintenance_interval = absl::Milliseconds(5);
    // Nobody else writes groups, which might be what fails.
    store_.options.compaction_bytes_per_second = 0;
    store_.options.clock = &clock_;
    store_.options.files = &files_;
  }
  void SetUp() override { ASSERT_TRUE(store_.Open().ok()); }

  static std::string Key(char c) { return std::string(16, c); }
  absl::StatusOr<stored::Receipt> Deliver(char key, engine::TransactionId id = SmallStore::NewTransaction()) {
    Delivery delivery{.transaction = id, .text = "text", .retry_key = Key(key)};
    delivery.entries.emplace_back(store_.mailbox, stored::Entry());
    return embedded::Deliver(*store_.engine, std::move(delivery));
  }
  // Of the keys that durably have one.
  static std::string KeysOf(SmallStore& store) {
    const auto page = Await<absl::StatusOr<engine::ScanPage>>([&](auto done) {
      store.engine->Scan(engine::PartitionId::Mailbox(store.mailbox), engine::kOpenReceiptsFrom,
                         engine::kOpenReceiptsTo, 1000, std::move(done));
    });
    EXPECT_TRUE(page.ok()) << page.status();
    std::string keys;
    for (const auto& [key, value] : page->items) keys.push_back(key.back());
    return keys;
  }
  static bool AwaitThat(absl::FunctionRef<bool()> reached) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (!reached()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void AwaitKeys(const std::string& keys) {
    ASSERT_TRUE(AwaitThat([&] { return KeysOf(store_) == keys; })) << KeysOf(store_);
  }

  FakeClock clock_;
  FaultyFiles files_;
  Directory directory_;
  SmallStore store_;
};

TEST_F(OpenReceipts, WhatWasHandedOverIsLoggedSoonThoughNothingElseIs) {
  const engine::TransactionId id = store_.NewTransaction();
  ASSERT_TRUE(Deliver('a', id).ok());
  ASSERT_TRUE(Deliver('b').ok());
  EXPECT_EQ(KeysOf(store_), "ab");
  store_.engine->HandedOver(id, {});
  AwaitKeys("b");
  // Also for who opens what a kill would leave now.
  SmallStore other(directory_.path / "copy");
  store_.CopyTo(other.options.data_dir);
  ASSERT_TRUE(other.Open().ok());
  EXPECT_EQ(KeysOf(other), "b");
}

TEST_F(OpenReceipts, AreThereAgainWhenTheIndexIsMadeAgainFromTheLog) {
  const engine::TransactionId id = store_.NewTransaction();
  ASSERT_TRUE(Deliver('a').ok());
  ASSERT_TRUE(Deliver('b', id).ok());
  store_.engine->HandedOver(id, {});
  store_.options.rebuild_index = true;
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(KeysOf(store_), "a");
  ASSERT_TRUE(Deliver('a').ok());
  ASSERT_TRUE(Deliver('b').ok());
  EXPECT_THAT(store_.Entries(), SizeIs(3));
}

TEST_F(OpenReceipts, ThoseOlderThanTheWindowAreErased) {
  store_.options.retry_window_seconds = 8000;
  ASSERT_TRUE(store_.Open().ok());
  ASSERT_TRUE(Deliver('a').ok());
  ASSERT_TRUE(Deliver('b').ok());
  clock_.Advance(int64_t{5000} * 1'000'000);
  ASSERT_TRUE(Deliver('c').ok());
  // From here on they are known from the index only.
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_EQ(KeysOf(store_), "abc");
  clock_.Advance(int64_t{4000} * 1'000'000);
  AwaitKeys("c");
  EXPECT_THAT(store_.Entries(), SizeIs(3));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(OpenReceipts, AnAttemptThatFoundOneFailsWithItAndTheNextIsStored) {
  ASSERT_TRUE(store_.Deliver("before").ok());
  for (int round = 0; round < 20; ++round) {
    const int failed_before = files_.failed();
    files_.Fail({.operation = FaultyFiles::Operation::kSync,
                 .path_contains = "/segments/",
                 .status = absl::InternalError("input/output error")});
    const char key = static_cast<char>('a' + round);
    constexpr int kAttempts = 6;
    std::vector<absl::StatusOr<stored::Receipt>> answers(kAttempts, absl::UnknownError("none"));
    std::vector<std::thread> threads;
    for (int i = 0; i < kAttempts; ++i) threads.emplace_back([&, i] { answers[i] = Deliver(key); });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(files_.failed(), failed_before + 1);
    int stored = 0, suppressed = 0, failed = 0;
    for (const auto& answer : answers) {
      if (!answer.ok()) {
        ++failed;
      } else {
        ++(answer->recipients(0).stored_by().empty() ? stored : suppressed);
      }
    }
    EXPECT_GT(failed, 0);
    EXPECT_LE(stored, 1);
    EXPECT_TRUE(stored > 0 || suppressed == 0) << "suppressed by what is not there";
    const auto retry = Deliver(key);
    ASSERT_TRUE(retry.ok()) << retry.status();
    EXPECT_EQ(retry->recipients(0).stored_by().empty(), stored == 0);
    EXPECT_THAT(store_.Entries(), SizeIs(round + 2)) << "one more";
  }
  ASSERT_TRUE(store_.Open().ok());
  EXPECT_THAT(store_.Entries(), SizeIs(21));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

TEST_F(OpenReceipts, ASuppressedBodyLeavesNothing) {
  const std::string text = Noise(5 << 20, 1);  // Gets a file of its own.
  for (int times = 0; times < 2; ++times) {
    Delivery delivery{.transaction = store_.NewTransaction(), .text = text, .retry_key = Key('a')};
    delivery.entries.emplace_back(store_.mailbox, stored::Entry());
    ASSERT_TRUE(embedded::Deliver(*store_.engine, std::move(delivery)).ok());
  }
  EXPECT_THAT(store_.Texts(), ElementsAre(text));
  EXPECT_EQ(store_.Figure("body_files_bytes") / (5 << 20), 1u);
  // It goes when the commit is decided, and the answer does not wait for that.
  EXPECT_TRUE(AwaitThat([&] { return store_.Figure("body_memory_bytes") == 0; }));
  EXPECT_TRUE(AwaitThat([&] {
    const std::filesystem::directory_iterator bodies(directory_.path / "data" / "bodies");
    return std::distance(begin(bodies), end(bodies)) == 1;
  }));
  EXPECT_THAT(store_.Problems(), IsEmpty());
}

}  // namespace
}  // namespace restante::embedded
