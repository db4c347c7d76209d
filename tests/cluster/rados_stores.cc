#include "tests/cluster/rados_stores.h"

#include <algorithm>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/cluster/cluster_fixture.h"
#include "tests/cluster/cluster_sums.h"

namespace restante::rados {

using engine::Describe;
using engine::Id;
using engine::Noise;

Options OptionsOf(const std::string& conf, const std::string& name_space) {
  Options options;
  options.ceph_conf = conf;
  options.ceph_user = "admin";
  options.pool_index = cluster::kIndexPool;
  options.pool_body = cluster::kBodyPool;
  options.name_space = name_space;
  options.create = true;
  options.measured = false;
  return options;
}

void SpillAlways(Options* options) {
  options->spill_rows = 40;
  options->shard_rows = 20;
  options->gone_shards_kept = absl::ZeroDuration();
}

Store::Store(Options options) {
  options.clock = &clock_;
  auto engine = rados::Open(std::move(options));
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    std::abort();
  }
  engine_ = *std::move(engine);
}

std::string RowKey(uint64_t row) { return absl::StrCat("row/", absl::Dec(row, absl::kZeroPad6)); }

std::string TryToDeliver(engine::EngineUser& store, uint64_t tx, uint64_t size,
                         const std::vector<uint64_t>& mailboxes) {
  std::string answer = store.Open(tx, size);
  if (answer != "opened") return answer;
  for (const uint64_t mailbox : mailboxes) {
    answer = store.Reserve(tx, mailbox, size);
    if (answer == absl::StrCat("granted ", size)) continue;
    store.engine().Close(Id(tx));
    return answer;
  }
  answer = store.Confirm(tx);
  if (answer != "confirmed") {
    store.engine().Close(Id(tx));
    return answer;
  }
  return Describe(store.Commit(tx, Noise(size, tx), mailboxes));
}

Store& Stores::Open() {
  stores_.push_back(std::make_unique<Store>(options));
  return *stores_.back();
}

void Stores::Close(Store& store) {
  std::erase_if(stores_, [&](const auto& one) { return one.get() == &store; });
}

std::string Stores::Deliver(Store& store, uint64_t tx, uint64_t size,
                            const std::vector<uint64_t>& mailboxes) {
  std::string answer = TryToDeliver(store, tx, size, mailboxes);
  if (answer == "receipt") Remember(tx, size, mailboxes);
  return answer;
}

std::string Stores::DeliverPatiently(Store& store, uint64_t tx, uint64_t size,
                                     const std::vector<uint64_t>& mailboxes) {
  while (true) {
    std::string answer = Deliver(store, tx, size, mailboxes);
    if (answer != "UNAVAILABLE") return answer;
    absl::SleepFor(absl::Milliseconds(50));
  }
}

void Stores::Remember(uint64_t tx, uint64_t size, const std::vector<uint64_t>& mailboxes) {
  absl::MutexLock lock(&mutex_);
  for (const uint64_t mailbox : mailboxes) acknowledged_[mailbox][tx] = size;
}

void Stores::Forget(uint64_t tx, uint64_t mailbox) {
  absl::MutexLock lock(&mutex_);
  acknowledged_[mailbox].erase(tx);
}

void Stores::ExpectExact(Store& by, const std::set<uint64_t>& mailboxes, size_t findings) {
  std::vector<std::string> problems;
  EXPECT_TRUE(Becomes([&] {
    problems = Inexact(conf_, name_space_);
    return problems.empty();
  })) << absl::StrJoin(problems, "\n");
  EXPECT_TRUE(Becomes([&] {
    problems = by.Verify();
    return problems.size() == findings;
  })) << absl::StrJoin(problems, "\n");

  absl::MutexLock lock(&mutex_);
  for (const uint64_t mailbox : mailboxes) acknowledged_[mailbox];
  for (auto [mailbox, missing] : acknowledged_) {
    for (const engine::stored::Entry& entry : by.EntriesOf(mailbox)) {
      const auto it = std::find_if(missing.begin(), missing.end(), [&](const auto& sent) {
        return Id(sent.first).ToBytes() == entry.transaction_id();
      });
      if (it == missing.end()) {
        ADD_FAILURE() << "mailbox partition " << mailbox << " UID " << entry.uid()
                      << ": was not acknowledged, or is there twice";
        continue;
      }
      EXPECT_TRUE(by.TextOf(entry) == Noise(it->second, it->first)) << "transaction " << it->first;
      missing.erase(it);
    }
    for (const auto& [tx, size] : missing) {
      ADD_FAILURE() << "mailbox partition " << mailbox << ": transaction " << tx
                    << " was acknowledged and is not there";
    }
  }
}

bool Becomes(absl::FunctionRef<bool()> is_so) {
  const absl::Time end = absl::Now() + absl::Minutes(1);
  while (!is_so()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(50));
  }
  return true;
}

void Race(uint64_t count, const std::function<void(uint64_t racer)>& run) {
  std::barrier start(static_cast<std::ptrdiff_t>(count));
  std::vector<std::thread> threads;
  for (uint64_t racer = 1; racer <= count; ++racer) {
    threads.emplace_back([&, racer] {
      start.arrive_and_wait();
      run(racer);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace restante::rados
