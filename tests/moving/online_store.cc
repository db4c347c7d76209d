#include "tests/moving/online_store.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace restante::moving {

using engine::Await;
using engine::Change;
using engine::EntryKey;
using engine::Id;
using engine::Noise;
using engine::PartitionId;
using engine::Verdict;
using engine::View;
namespace stored = engine::stored;

uint64_t SizeOf(uint64_t tx) { return tx % 97 == 0 ? 400'000 : 100 + tx % 5000; }

uint64_t TxOf(const stored::Entry& entry) {
  uint64_t tx = 0;
  for (int i = 7; i >= 0; --i)
    tx = tx << 8 | static_cast<uint8_t>(entry.transaction_id()[static_cast<size_t>(i)]);
  return tx;
}

std::string TryToDeliver(MovingStore& store, uint64_t tx, uint64_t size,
                         const std::vector<uint64_t>& mailboxes) {
  std::string answer = store.Open(tx, size);
  if (answer == "receipt") return answer;
  if (answer != "opened") return absl::StrCat("open: ", answer);
  const auto end = [&](absl::string_view step) {
    store.engine().Close(Id(tx));
    return absl::StrCat(step, ": ", answer);
  };
  for (const uint64_t mailbox : mailboxes) {
    answer = store.Reserve(tx, mailbox, size);
    if (answer != absl::StrCat("granted ", size)) return end("reserve");
  }
  answer = store.Confirm(tx);
  if (answer != "confirmed") return end("confirm");
  const auto receipt = store.Commit(tx, Noise(size, tx), mailboxes);
  if (receipt.ok()) return "receipt";
  answer = receipt.status().ToString();
  return end("commit");
}

Load::Load(MovingStore* store, std::vector<uint64_t> mailboxes, uint64_t seed, uint64_t first_tx,
           Acknowledged acknowledged)
    : store_(store),
      mailboxes_(std::move(mailboxes)),
      acknowledged_(std::move(acknowledged)),
      next_tx_(first_tx) {
  for (uint64_t i = 0; i < 3; ++i) threads_.emplace_back([this, seed, i] { Deliver(seed + i); });
  threads_.emplace_back([this, seed] { Change(seed + 10); });
  threads_.emplace_back([this, seed] { Read(seed + 20); });
}

void Load::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Load::Deliver(uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!stopping_) {
    const uint64_t tx = next_tx_++;
    std::vector<uint64_t> to = {mailboxes_[random() % mailboxes_.size()]};
    if (const uint64_t other = mailboxes_[random() % mailboxes_.size()]; other != to[0]) to.push_back(other);
    while (true) {
      const std::string answer = TryToDeliver(*store_, tx, SizeOf(tx), to);
      if (answer == "receipt") break;
      // A promise is kept; what was not promised is tried again.
      EXPECT_TRUE(answer == "open: UNAVAILABLE" || answer == "reserve: UNAVAILABLE" ||
                  answer == "confirm: UNAVAILABLE")
          << answer;
      ++put_off_;
      if (stopping_) return;
      absl::SleepFor(absl::Milliseconds(1));
    }
    {
      absl::MutexLock lock(&mutex_);
      for (const uint64_t mailbox : to) stored_[mailbox].insert(tx);
    }
    if (acknowledged_) {
      acknowledged_(tx, to);
      // Not faster than a small cluster copies.
      absl::SleepFor(absl::Milliseconds(10));
    }
    ++deliveries_;
  }
}

void Load::Change(uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!stopping_) {
    if (acknowledged_) absl::SleepFor(absl::Milliseconds(20));
    const uint64_t mailbox = mailboxes_[random() % mailboxes_.size()];
    const auto entries = store_->EntriesOf(mailbox);
    if (entries.empty()) continue;
    const stored::Entry entry = entries[random() % entries.size()];
    const std::string key = EntryKey(entry.uid());
    if (!acknowledged_ && random() % 4 == 0) {
      {
        absl::MutexLock lock(&mutex_);
        expunged_[mailbox].insert(TxOf(entry));
      }
      const absl::Status status = store_->Expunge(mailbox, entry.uid());
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    const absl::Status status = store_->Update(
        PartitionId::Mailbox(mailbox), {key}, [&](const View& view) -> absl::StatusOr<Verdict> {
          engine::Change change;
          change.head = *view.head;
          stored::Entry changed;
          changed.ParseFromString(view.values.at(key));
          changed.set_flags(changed.flags() + 1);
          change.head.mutable_mailbox()->set_highest_modseq(change.head.mailbox().highest_modseq() + 1);
          changed.set_modseq(change.head.mailbox().highest_modseq());
          change.puts = {{key, changed.SerializeAsString()}};
          return change;
        });
    EXPECT_TRUE(status.ok()) << status;
  }
}

// Whoever has read an entry reads its text, wherever it is by then, or that it is gone.
void Load::Read(uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!stopping_) {
    if (acknowledged_) absl::SleepFor(absl::Milliseconds(20));
    for (const stored::Entry& entry : store_->EntriesOf(mailboxes_[random() % mailboxes_.size()])) {
      if (stopping_ || random() % 8 != 0) continue;
      std::string text;
      bool gone = false;
      while (text.size() < entry.size() && !gone) {
        const auto piece = store_->ReadBody(entry.body(), text.size(), 1024 * 1024);
        gone = absl::IsNotFound(piece.status());
        if (gone) break;
        if (!piece.ok() || piece->empty()) {
          ADD_FAILURE() << piece.status();
          break;
        }
        text += *piece;
      }
      const uint64_t tx = TxOf(entry);
      if (!gone) {
        EXPECT_TRUE(text == Noise(SizeOf(tx), tx)) << "another text of " << tx;
      }
      ++reads_;
    }
  }
}

void Load::ExpectAll(MovingStore& store) {
  absl::MutexLock lock(&mutex_);
  for (const uint64_t mailbox : mailboxes_) {
    std::set<uint64_t> found;
    for (const stored::Entry& entry : store.EntriesOf(mailbox)) {
      const uint64_t tx = TxOf(entry);
      EXPECT_TRUE(found.insert(tx).second) << tx << " is stored twice in " << mailbox;
      EXPECT_TRUE(store.TextOf(entry) == Noise(SizeOf(tx), tx)) << tx;
      EXPECT_EQ(stored_[mailbox].count(tx), 1u) << tx << " was not acknowledged";
    }
    for (const uint64_t tx : stored_[mailbox]) {
      EXPECT_NE(found.count(tx), expunged_[mailbox].count(tx)) << tx << " in " << mailbox;
    }
  }
  store.ExpectExact(mailboxes_);
}

}  // namespace restante::moving
