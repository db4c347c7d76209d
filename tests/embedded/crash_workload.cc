#include "tests/embedded/crash_workload.h"

#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace restante::embedded {
namespace {

// The first error of several steps. kNotFound is none: there was nothing to do it to.
class First {
 public:
  void operator()(const absl::Status& status) {
    if (!absl::IsNotFound(status)) status_.Update(status);
  }
  absl::Status Take() { return std::move(status_); }

 private:
  absl::Status status_;
};

// Opens the store, and once more if that fails: that is what an operator does.
bool Start(NotedStore& store, First& first) {
  first(store.Open());
  if (!store.is_open()) first(store.Open());
  return store.is_open();
}

// Messages that stay, in the log and in a file of its own, among many that go.
void FillAndExpunge(NotedStore& store, First& first) {
  for (int i = 0; i < 8; ++i) {
    first(store.Deliver({0}, 3500));
    if (i == 3) first(store.Deliver({1, 0}, 3000));
    if (i == 4) first(store.Deliver({1}, 26'000));
  }
  for (int i = 0; i < 9; ++i) first(store.Expunge(0));
}

}  // namespace

absl::Status Creation(NotedStore& store) {
  absl::Status status = store.Open();
  store.Close();
  return status;
}

absl::Status FewMessages(NotedStore& store) {
  First first;
  if (!Start(store, first)) return first.Take();
  for (int i = 0; i < 3; ++i) first(store.MakeMailbox());
  if (store.mailboxes() < 3) first(store.MakeMailbox());
  first(store.Deliver({0}, 100));
  first(store.Deliver({0, 1, 2}, 3000));
  first(store.Abandon(1, 500));
  first(store.SetFlags(1, 5));
  first(store.Deliver({1}, 40'000));
  first(store.Expunge(0));
  first(store.SettleUnused());
  first(store.SetLimit(2, 5000));
  if (store.Deliver({2}, 4000).ok()) first(absl::InternalError("a limit was not kept"));
  if (!Start(store, first)) return first.Take();
  first(store.Deliver({2, 1}, 1000));
  first(store.Abandon(0, 60'000));
  first(store.PutInDirectory(3000));
  first(store.Expunge(1));
  first(store.Expunge(1));
  store.Close();
  return first.Take();
}

absl::Status Thresholds(NotedStore& store) {
  First first;
  if (!Start(store, first)) return first.Take();
  while (store.mailboxes() < 2) first(store.MakeMailbox());
  first(store.SetLimit(0, 10'000));
  first(store.Deliver({0}, 8'200));
  first(store.Deliver({0, 1}, 1'000));
  first(store.SetLimit(1, 1'000));
  first(store.Expunge(0));
  if (!Start(store, first)) return first.Take();
  first(store.Deliver({0}, 8'600));
  first(store.SetLimit(0, 20'000));
  first(store.Expunge(1));
  uint64_t events = 0;
  store.engine().ReadEvents(
      0, 0, [&](const absl::StatusOr<engine::EventPage>& page) { events = page.ok() ? page->next - 1 : 0; });
  // 80, 90, 100 of the other, and back; 95, and back; the other, too.
  if (events != 7) first(absl::InternalError(absl::StrCat(events, " events instead of 7")));
  store.Close();
  return first.Take();
}

absl::Status Compaction(NotedStore& store) {
  First first;
  for (int life = 0; life < 2; ++life) {
    if (!Start(store, first)) return first.Take();
    while (store.mailboxes() < 2) first(store.MakeMailbox());
    FillAndExpunge(store, first);
    first(store.Compact());
    first(store.Deliver({1}, 200));
  }
  store.Close();
  return first.Take();
}

absl::Status BackgroundCompaction(NotedStore& store) {
  First first;
  if (!Start(store, first)) return first.Take();
  while (store.mailboxes() < 2) first(store.MakeMailbox());
  FillAndExpunge(store, first);
  store.AwaitOperation(SimulatedDisk::Kind::kRemove, "/segments/", 0);
  store.Close();
  return first.Take();
}

absl::Status BackingUp(NotedStore& store) {
  First first;
  for (int life = 0; life < 2; ++life) {
    if (!Start(store, first)) return first.Take();
    while (store.mailboxes() < 2) first(store.MakeMailbox());
    for (int i = 0; i < 4; ++i) first(store.Deliver({0, 1}, 3500));
    first(store.Deliver({1}, 26'000));
    first(store.BackUp());
    for (int i = 0; i < 4; ++i) first(store.Expunge(0));
    for (int i = 0; i < 5; ++i) first(store.Expunge(1));
    first(store.Compact());
    first(store.Deliver({1}, 200));
    first(store.BackUp());
    first(store.Deliver({0}, 300));
  }
  store.Close();
  return first.Take();
}

absl::Status Rebuilding(NotedStore& store) {
  First first;
  if (!Start(store, first)) return first.Take();
  while (store.mailboxes() < 2) first(store.MakeMailbox());
  for (int i = 0; i < 6; ++i) first(store.Deliver({0, 1}, 4000));
  first(store.Deliver({1}, 26'000));
  for (int i = 0; i < 4; ++i) first(store.Expunge(0));
  for (int i = 0; i < 4; ++i) first(store.Expunge(1));
  first(store.SetLimit(0, 1'000'000));
  first(store.Compact());
  first(store.SetFlags(0, 3));
  first(store.OpenRebuilding());
  if (!store.is_open()) first(store.OpenRebuilding());
  if (!store.is_open()) return first.Take();
  first(store.Deliver({0, 1}, 300));
  first(store.Expunge(1));
  store.Close();
  return first.Take();
}

absl::Status FullTables(NotedStore& store) {
  First first;
  for (int life = 0; life < 3; ++life) {
    if (!Start(store, first)) return first.Take();
    while (store.mailboxes() < 1) first(store.MakeMailbox());
    for (int i = 0; i < 10; ++i) {
      first(store.Deliver({0}, 100));
      first(store.PutInDirectory(7500 + i));
    }
    first(store.Expunge(0));
  }
  store.Close();
  return first.Take();
}

absl::Status AnyStep(NotedStore& store, std::mt19937_64& random, size_t own) {
  const auto any = [&](uint64_t below) { return static_cast<size_t>(random() % below); };
  const size_t mailboxes = store.mailboxes();
  switch (any(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return store.Deliver({any(mailboxes)}, 20 + any(3000));
    case 4:
    case 5: {
      std::vector<size_t> to;
      for (size_t i = 0; i < mailboxes; ++i) {
        if (any(2) == 0) to.push_back(i);
      }
      return to.empty() ? absl::OkStatus() : store.Deliver(to, 20 + any(6000));
    }
    case 6:
      return store.Deliver(
          {
              any(mailboxes),
          },
          25'000 + any(30'000));
    case 7:
      return store.Abandon(any(mailboxes), any(2) == 0 ? 500 : 50'000);
    case 8:
    case 9:
    case 10:
    case 11:
      return store.Expunge(any(mailboxes));
    case 12:
      return store.SetLimit(own, 1'000'000 + any(1000));
    case 13:
      return store.SetFlags(own, static_cast<uint32_t>(any(1000)));
    case 14:
      switch (any(4)) {
        case 0:
          return store.Compact();
        case 1:
          return store.BackUp();
        default:
          return store.SettleUnused();
      }
    default:
      return own == 0 ? store.PutInDirectory(1000 + any(6000)) : absl::OkStatus();
  }
}

absl::Status ManyClients(NotedStore& store, uint64_t seed, int clients, int steps, int lives) {
  First first;
  absl::Mutex mutex;
  for (int life = 0; life < lives; ++life) {
    if (!Start(store, first)) return first.Take();
    while (store.mailboxes() < static_cast<size_t>(clients)) first(store.MakeMailbox());
    std::vector<std::thread> threads;
    for (int client = 0; client < clients; ++client) {
      threads.emplace_back([&, client] {
        std::mt19937_64 random(seed + static_cast<uint64_t>(100 * life + client));
        for (int step = 0; step < steps; ++step) {
          const absl::Status status = AnyStep(store, random, static_cast<size_t>(client));
          absl::MutexLock lock(&mutex);
          first(status);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  store.Close();
  return first.Take();
}

}  // namespace restante::embedded
