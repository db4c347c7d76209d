// Mailboxes in which all clients act at once, so that nobody knows what he will be
// told. What is judged is what must be true whoever was first: limits, and that
// what is there is exactly what was acknowledged and not expunged.
#ifndef RESTANTE_TESTS_MODEL_SHARED_MAILBOXES_H_
#define RESTANTE_TESTS_MODEL_SHARED_MAILBOXES_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tests/model/judge.h"
#include "tests/model/letter.h"
#include "tests/model/world.h"

namespace restante::model {

class SharedMailboxes {
 public:
  SharedMailboxes(Worlds worlds, uint64_t grace_bytes, Judge* judge);

  // Makes them, in both stores. Before the first step.
  absl::Status Make();

  // One operation on both stores. Any number of threads, each with its own dice.
  void Step(Dice& dice);

  // --- between rounds, when nobody steps ---

  // Compares what is there with what was said since the last time.
  void Compare();

 private:
  // What one store said about one mailbox: what was there at the last Compare, and
  // since then.
  struct Told {
    uint64_t uids = 0;                    // That were ever given.
    std::map<uint64_t, uint64_t> stored;  // UID to the octets of its text.
    std::set<uint64_t> expunged;          // UIDs that somebody wanted to be gone.
    uint64_t gone_bytes = 0, gone_messages = 0;
  };

  void Deliver(Dice& dice);
  void Append(Dice& dice);
  void Expunge(Dice& dice);
  void Read(Dice& dice);
  void Recalculate(Dice& dice);
  void CheckBounds(World& world);
  void CompareMailbox(World& world, const std::string& name);

  void Store(World& world, const std::string& name, uint64_t uid, uint64_t size);
  void StoreAll(World& world, const v1::Receipts& receipts, uint64_t size);
  // Some that were stored, and may be gone.
  std::vector<uint64_t> SomeUids(World& world, const std::string& name, size_t count, Dice& dice);
  void Fail(World& world, const std::string& what);

  const Worlds worlds_;
  const uint64_t grace_bytes_;
  Judge* const judge_;
  uint64_t round_ = 0;  // Ids of deliveries are not used again in another.

  absl::Mutex mutex_;
  std::map<std::string, Told> told_[2] ABSL_GUARDED_BY(mutex_);  // By mailbox.
  // Ids of which a store said that they never commit.
  std::set<uint64_t> tombstones_[2] ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_SHARED_MAILBOXES_H_
