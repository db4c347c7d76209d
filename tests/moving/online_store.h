// A store that moves while senders, readers and others are busy with it.
#ifndef RESTANTE_TESTS_MOVING_ONLINE_STORE_H_
#define RESTANTE_TESTS_MOVING_ONLINE_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/moving/moving_store.h"

namespace restante::moving {

// A whole delivery of Noise(size, tx): `receipt`, or what ended it. Nothing is left open.
std::string TryToDeliver(MovingStore& store, uint64_t tx, uint64_t size,
                         const std::vector<uint64_t>& mailboxes);
uint64_t SizeOf(uint64_t tx);

// Threads that deliver, expunge, change flags and read, until Stop.
class Load {
 public:
  // `acknowledged` is called with each delivery and its mailboxes, when it is; then nothing
  // is expunged.
  using Acknowledged = std::function<void(uint64_t tx, const std::vector<uint64_t>& mailboxes)>;
  Load(MovingStore* store, std::vector<uint64_t> mailboxes, uint64_t seed, uint64_t first_tx,
       Acknowledged acknowledged = nullptr);
  ~Load() { Stop(); }
  void Stop();

  uint64_t deliveries() const { return deliveries_; }
  uint64_t put_off() const { return put_off_; }  // That heard: try again.
  uint64_t reads() const { return reads_; }

  // What was acknowledged is in `store`, once, octet by octet, and nothing else.
  void ExpectAll(MovingStore& store);

 private:
  void Deliver(uint64_t seed);
  void Change(uint64_t seed);
  void Read(uint64_t seed);

  MovingStore* const store_;
  const std::vector<uint64_t> mailboxes_;
  const Acknowledged acknowledged_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> next_tx_, deliveries_{0}, put_off_{0}, reads_{0};
  absl::Mutex mutex_;
  // By mailbox: deliveries that were acknowledged, and that were expunged.
  std::map<uint64_t, std::set<uint64_t>> stored_ ABSL_GUARDED_BY(mutex_), expunged_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

// The delivery that an entry is of.
uint64_t TxOf(const engine::stored::Entry& entry);

}  // namespace restante::moving

#endif  // RESTANTE_TESTS_MOVING_ONLINE_STORE_H_
