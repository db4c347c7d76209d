// A backup that is taken while several clients work is one moment of the store.
//
// Each client delivers messages one after another, each to a mailbox of its own
// and to one that all share, in one transaction, and expunges some of its own. It
// notes on one clock of the test when each operation began and when it was
// acknowledged. A restored store has to be a cut through all of that: of each client
// the first so many operations, with everything that was acknowledged before
// anything that is there had begun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/engine/embedded/restore.h"
#include "tests/embedded/delivery.h"
#include "tests/embedded/small_store.h"
#include "tests/embedded/unlinking_files.h"

namespace restante::embedded {
namespace {

using testing::IsEmpty;

constexpr int kClients = 4;
constexpr int kMailboxes = kClients + 1;  // The last is shared.
constexpr uint64_t kNever = UINT64_MAX;

struct Operation {
  uint64_t began = 0, acknowledged = kNever;
  // Delivered, or expunged from the client's own mailbox.
  bool delivers = true;
  int message = 0;
};

// The text says whose message it is, and which; the rest is noise.
std::string TextOf(int client, int message, std::mt19937_64& random) {
  return absl::StrCat(client, " ", message, " ") + Noise(random() % 6'000, random());
}

// Client and message of a text; {-1, -1} if it is none of ours.
std::pair<int, int> Parse(const std::string& text) {
  const std::vector<std::string> words = absl::StrSplit(text, absl::MaxSplits(' ', 2));
  std::pair<int, int> result{-1, -1};
  if (words.size() != 3 || !absl::SimpleAtoi(words[0], &result.first) ||
      !absl::SimpleAtoi(words[1], &result.second)) {
    return {-1, -1};
  }
  return result;
}

class World {
 public:
  explicit World(Options options) : options_(std::move(options)) {}

  void Open() {
    auto opened = embedded::Open(options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
    const auto there = List();
    if (!there.empty()) {
      ASSERT_EQ(there.size(), size_t{kMailboxes});
      mailboxes_ = there;
      return;
    }
    stored::Head head;
    head.mutable_domain()->set_name("example.org");
    const uint64_t domain = engine_->NewNumber();
    Put(engine::PartitionId::Domain(domain), head);
    for (int i = 0; i < kMailboxes; ++i) {
      head.mutable_mailbox()->set_address(absl::StrCat("box", i, "@example.org"));
      head.mutable_mailbox()->set_domain(domain);
      head.mutable_mailbox()->set_uid_next(1);
      mailboxes_.push_back(engine_->NewNumber());
      Put(engine::PartitionId::Mailbox(mailboxes_.back()), head);
    }
  }
  void Close() { engine_.reset(); }

  // Works until it is told to stop; `clock` counts up by one at each event.
  void RunClient(int client, uint64_t seed, std::atomic<uint64_t>& clock, const std::atomic<bool>& stop,
                 std::vector<Operation>& log) {
    std::mt19937_64 random(seed);
    SmallStore names("");
    std::vector<std::pair<int, uint64_t>> own;  // Message and UID, not expunged.
    for (int message = 0; !stop; ++message) {
      Delivery delivery{.transaction = names.NewTransaction(), .text = TextOf(client, message, random)};
      // Some have files of their own.
      if (random() % 10 == 0) delivery.expected = 5'000'000;
      delivery.entries.emplace_back(mailboxes_[client], stored::Entry());
      delivery.entries.emplace_back(mailboxes_[kClients], stored::Entry());
      log.push_back({.began = clock++, .delivers = true, .message = message});
      const auto receipt = Deliver(*engine_, std::move(delivery));
      log.back().acknowledged = clock++;
      ASSERT_TRUE(receipt.ok()) << receipt.status();
      ++delivered_;
      own.emplace_back(message, receipt->recipients(0).uid());
      // Most go again, so that segments die.
      if (own.size() < 5 || random() % 8 == 0) continue;
      const size_t victim = random() % own.size();
      log.push_back({.began = clock++, .delivers = false, .message = own[victim].first});
      const absl::Status expunged = Expunge(*engine_, mailboxes_[client], own[victim].second);
      log.back().acknowledged = clock++;
      ASSERT_TRUE(expunged.ok()) << expunged;
      own.erase(own.begin() + static_cast<ptrdiff_t>(victim));
    }
  }
  // Keeps the shared mailbox at some 50 messages.
  void RunCleaner(const std::atomic<bool>& stop) {
    for (uint64_t uid = 1; !stop;) {
      if (delivered_ < uid + 50) {
        std::this_thread::yield();
        continue;
      }
      const absl::Status expunged = Expunge(*engine_, mailboxes_[kClients], uid++);
      ASSERT_TRUE(expunged.ok()) << expunged;
    }
  }

  // What a mailbox holds: client and message, by UID; verifies its figures.
  std::map<uint64_t, std::pair<int, int>> Content(int mailbox) {
    std::map<uint64_t, std::pair<int, int>> content;
    const auto page = Await<absl::StatusOr<engine::ScanPage>>([&](auto done) {
      engine_->Scan(engine::PartitionId::Mailbox(mailboxes_[mailbox]), "m/", "m0", 1'000'000,
                    std::move(done));
    });
    EXPECT_TRUE(page.ok()) << page.status();
    uint64_t bytes = 0;
    for (const auto& [key, value] : page->items) {
      stored::Entry entry;
      entry.ParseFromString(value);
      bytes += entry.size();
      const auto text = Await<absl::StatusOr<std::string>>(
          [&](auto done) { engine_->ReadBody(engine::BodyId{entry.body()}, 0, 1 << 20, std::move(done)); });
      EXPECT_TRUE(text.ok()) << text.status();
      if (!text.ok()) continue;
      EXPECT_EQ(text->size(), entry.size());
      content[entry.uid()] = Parse(*text);
    }
    const auto read = Await<absl::StatusOr<engine::ReadResult>>([&](auto done) {
      engine_->Read(engine::PartitionId::Mailbox(mailboxes_[mailbox]), {}, std::move(done));
    });
    EXPECT_TRUE(read.ok() && read->head);
    EXPECT_EQ(read->head->mailbox().used_bytes(), bytes);
    EXPECT_EQ(read->head->mailbox().used_messages(), page->items.size());
    uid_next_[mailbox] = read->head->mailbox().uid_next();
    return content;
  }
  uint64_t uid_next(int mailbox) { return uid_next_[mailbox]; }

  std::vector<std::string> Problems() {
    auto problems = Await<absl::StatusOr<std::vector<std::string>>>(
        [&](auto done) { engine_->VerifyBodies([](uint64_t) {}, std::move(done)); });
    return problems.ok() ? *std::move(problems) : std::vector{problems.status().ToString()};
  }
  engine::Engine& engine() { return *engine_; }

 private:
  std::vector<uint64_t> List() {
    const auto there = Await<absl::StatusOr<std::vector<std::pair<uint64_t, stored::Head>>>>([&](auto done) {
      engine_->ListPartitions(engine::PartitionId::Kind::kMailbox, 0, 100, std::move(done));
    });
    std::vector<uint64_t> numbers;
    for (const auto& [number, head] : *there) numbers.push_back(number);
    return numbers;
  }
  void Put(engine::PartitionId partition, const stored::Head& head) {
    ASSERT_TRUE(Await<absl::Status>([&](auto done) {
                  engine_->Update(
                      partition, {},
                      [&](const engine::View&) -> absl::StatusOr<engine::Verdict> {
                        engine::Change change;
                        change.head = head;
                        return change;
                      },
                      std::move(done));
                }).ok());
  }

  Options options_;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<uint64_t> mailboxes_;
  std::map<int, uint64_t> uid_next_;
  std::atomic<uint64_t> delivered_{0};
};

// How many of a client's operations a restored store has: those that give exactly
// this content and this next UID. -1: no number does.
int PrefixOf(const std::vector<Operation>& log, const std::set<int>& content, uint64_t uid_next) {
  std::set<int> now;
  uint64_t next = 1;
  for (size_t count = 0;; ++count) {
    // (No two numbers give the same of both.)
    if (now == content && next == uid_next) return static_cast<int>(count);
    if (count == log.size()) return -1;
    const Operation& operation = log[count];
    if (operation.delivers) {
      now.insert(operation.message);
      ++next;
    } else {
      now.erase(operation.message);
    }
  }
}

class BackupUnderLoad : public testing::TestWithParam<bool> {};

TEST_P(BackupUnderLoad, IsOneMomentOfTheStore) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  Directory directory;
  UnlinkingFiles copying;
  Options options;
  options.data_dir = directory.path / "data";
  options.create = true;
  options.ballast = 0;
  options.disk_reserve = 0;
  options.segment_bytes = 60'000;
  options.checkpoint_bytes = 100'000;
  options.maintenance_interval = absl::Milliseconds(5);
  options.log = [](LogLevel, const std::string&) {};
  if (GetParam()) options.files = &copying;
  World world(options);
  world.Open();

  std::atomic<uint64_t> clock{1};
  std::atomic<bool> stop{false};
  std::vector<Operation> logs[kClients];
  std::vector<std::thread> threads;
  for (int client = 0; client < kClients; ++client) {
    threads.emplace_back([&, client] { world.RunClient(client, seed + client, clock, stop, logs[client]); });
  }
  threads.emplace_back([&] { world.RunCleaner(stop); });

  struct Taken {
    std::string directory;
    uint64_t began = 0, ended = 0, moment = 0;
  };
  std::vector<Taken> taken;
  const auto await_operations = [&](uint64_t more) {
    const uint64_t goal = clock + more;
    while (clock < goal) std::this_thread::yield();
  };
  // Two in a directory of its own, the later of which builds on the earlier; the
  // first is kept aside as a copy.
  for (int round = 0; round < 4; ++round) {
    await_operations(400);
    Taken one{.directory = directory.path / absl::StrCat("backup-", round % 2)};
    one.began = clock++;
    const auto summary = Await<absl::StatusOr<engine::BackupSummary>>([&](auto done) {
      world.engine().Backup(
          {.directory = one.directory},
          [](engine::UpkeepProgress progress) {
            EXPECT_THAT(progress.damages, IsEmpty());
            // The store goes on in between.
            std::this_thread::yield();
            return true;
          },
          std::move(done));
    });
    one.ended = clock++;
    ASSERT_TRUE(summary.ok()) << summary.status();
    one.moment = summary->moment;
    const std::string aside = directory.path / absl::StrCat("aside-", round);
    std::filesystem::copy(one.directory, aside, std::filesystem::copy_options::recursive);
    one.directory = aside;
    taken.push_back(one);
  }
  await_operations(100);
  // Files came and went meanwhile.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (world.engine().Figures().at("compacted_segments") == 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  world.Close();

  uint64_t before = 0;
  for (const Taken& one : taken) {
    SCOPED_TRACE(one.directory);
    EXPECT_GT(one.moment, std::exchange(before, one.moment));
    Options restored_options = options;
    restored_options.files = Files::Posix();
    restored_options.data_dir = one.directory + "-restored";
    const auto restored = Restore(restored_options, one.directory, false, {},
                                  [](engine::Engine&, const BackupManifest&) { return absl::OkStatus(); });
    ASSERT_TRUE(restored.ok()) << restored.status();
    World again(restored_options);
    again.Open();
    EXPECT_THAT(again.Problems(), IsEmpty());

    uint64_t newest_began = 0, oldest_missing = kNever;
    std::map<int, int> delivered;  // By client: messages that were.
    for (int client = 0; client < kClients; ++client) {
      SCOPED_TRACE(absl::StrCat("client ", client));
      std::set<int> content;
      for (const auto& [uid, whose] : again.Content(client)) {
        EXPECT_EQ(whose.first, client);
        content.insert(whose.second);
      }
      const int count = PrefixOf(logs[client], content, again.uid_next(client));
      ASSERT_GE(count, 0) << "what is there is no prefix of what was done";
      for (int i = 0; i < static_cast<int>(logs[client].size()); ++i) {
        const Operation& operation = logs[client][i];
        if (i < count) {
          EXPECT_LT(operation.began, one.ended) << "operation " << i << " began after the backup had ended";
          newest_began = std::max(newest_began, operation.began);
          delivered[client] += operation.delivers;
        } else {
          EXPECT_GT(operation.acknowledged, one.began)
              << "operation " << i << " was acknowledged before the backup began, and is missing";
          oldest_missing = std::min(oldest_missing, operation.acknowledged);
        }
      }
    }
    // Over all clients: nothing is missing that was over when something that is
    // there had not begun.
    EXPECT_GT(oldest_missing, newest_began);
    // One transaction for both mailboxes. (The oldest of the shared one may be gone.)
    const auto shared = again.Content(kClients);
    uint64_t all = 0;
    std::map<int, std::set<int>> by_client;
    for (const auto& [uid, whose] : shared) by_client[whose.first].insert(whose.second);
    for (int client = 0; client < kClients; ++client) {
      all += delivered[client];
      if (by_client[client].empty()) continue;
      EXPECT_EQ(*by_client[client].rbegin(), delivered[client] - 1);
      EXPECT_EQ(by_client[client].size(),
                static_cast<size_t>(delivered[client] - *by_client[client].begin()));
    }
    EXPECT_EQ(again.uid_next(kClients), all + 1);
    std::printf("moment %llu: %llu messages delivered, %zu in the shared mailbox\n",
                static_cast<unsigned long long>(one.moment), static_cast<unsigned long long>(all),
                shared.size());
  }
}

INSTANTIATE_TEST_SUITE_P(With, BackupUnderLoad, testing::Bool(),
                         [](const auto& copies) { return copies.param ? "Copies" : "Links"; });

}  // namespace
}  // namespace restante::embedded
