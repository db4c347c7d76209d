// Several stores over one cluster: what tests do with them, and what must be so in the end.
#ifndef RESTANTE_TESTS_CLUSTER_RADOS_STORES_H_
#define RESTANTE_TESTS_CLUSTER_RADOS_STORES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/rados/rados_engine.h"
#include "tests/contract/engine_user.h"

namespace restante::rados {

// What all stores of a test are opened with.
Options OptionsOf(const std::string& conf, const std::string& name_space);

// So that almost all rows of a partition are soon in shards, and replaced there again and
// again.
void SpillAlways(Options* options);

// A store in this process, with a clock of its own, that tests move.
class Store : public engine::EngineUser {
 public:
  // Ends the program where it cannot be opened.
  explicit Store(Options options);
};

// Rows that are no messages, and what a child (child_store.h) puts into one.
std::string RowKey(uint64_t row);
inline constexpr char kChildsRow[] = "of a child";

// A whole delivery of Noise(size, tx), and each answer has to be the best one: "receipt",
// or what ended it. Nothing is left open.
std::string TryToDeliver(engine::EngineUser& store, uint64_t tx, uint64_t size,
                         const std::vector<uint64_t>& mailboxes);

// The stores of a test, and what they have acknowledged.
class Stores {
 public:
  Stores(std::string conf, std::string name_space)
      : options(OptionsOf(conf, name_space)), conf_(std::move(conf)), name_space_(std::move(name_space)) {}

  // One more, by `options`; it lives until Close or as long as this.
  Store& Open();
  void Close(Store& store);

  // TryToDeliver, and a receipt is remembered. Any thread.
  std::string Deliver(Store& store, uint64_t tx, uint64_t size, const std::vector<uint64_t>& mailboxes);
  // Delivers until the answer is not UNAVAILABLE, for as long as it takes.
  std::string DeliverPatiently(Store& store, uint64_t tx, uint64_t size,
                               const std::vector<uint64_t>& mailboxes);
  // A delivery was acknowledged, or can no more be heard of though it may be.
  void Remember(uint64_t tx, uint64_t size, const std::vector<uint64_t>& mailboxes);
  // A message was expunged.
  void Forget(uint64_t tx, uint64_t mailbox);

  // Waits a minute at most until all sums are exact and nothing is reserved; and then each
  // mailbox that was ever delivered to, or is among these, has what was acknowledged,
  // octet by octet, once, and nothing else. What the engine finds on verifying has to be
  // `findings` lines.
  void ExpectExact(Store& by, const std::set<uint64_t>& mailboxes = {}, size_t findings = 0);

  Options options;

 private:
  const std::string conf_, name_space_;
  std::vector<std::unique_ptr<Store>> stores_;
  absl::Mutex mutex_;
  // Sizes, by mailbox and transaction.
  std::map<uint64_t, std::map<uint64_t, uint64_t>> acknowledged_ ABSL_GUARDED_BY(mutex_);
};

// Whether it becomes so within a minute.
bool Becomes(absl::FunctionRef<bool()> is_so);

// `count` threads at once, each with its number from 1 on.
void Race(uint64_t count, const std::function<void(uint64_t racer)>& run);

}  // namespace restante::rados

#endif  // RESTANTE_TESTS_CLUSTER_RADOS_STORES_H_
