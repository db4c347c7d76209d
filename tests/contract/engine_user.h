// An engine as tests speak to it: of mailboxes, deliveries and expunging, and each call
// waits for its answer.
#ifndef RESTANTE_TESTS_CONTRACT_ENGINE_USER_H_
#define RESTANTE_TESTS_CONTRACT_ENGINE_USER_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "server/base/fake_clock.h"
#include "server/engine/engine.h"
#include "tests/contract/describe.h"

namespace restante::engine {

// Waits for a callback; one that never comes ends the program.
void AwaitOrDie(const absl::Notification& done);

template <typename T>
T Await(absl::FunctionRef<void(Done<T>)> call) {
  absl::Notification ready;
  std::optional<T> result;
  call([&](T value) {
    result = std::move(value);
    ready.Notify();
  });
  AwaitOrDie(ready);
  return *std::move(result);
}

// `size` octets that no codec makes smaller, the same for the same seed.
std::string Noise(size_t size, uint64_t seed);

// Any thread, but for the engine's coming and going.
class EngineUser {
 public:
  Engine& engine() { return *engine_; }
  FakeClock& clock() { return clock_; }

  // --- partitions ------------------------------------------------------------------
  uint64_t CreateDomain(stored::Limit max_bytes = {});
  uint64_t CreateMailbox(uint64_t domain, stored::Limit bytes = {}, stored::Limit messages = {});
  // One with a domain of its own.
  uint64_t CreateMailboxAndDomain(stored::Limit bytes = {}, stored::Limit messages = {});
  absl::Status Update(PartitionId partition, std::vector<std::string> keys, UpdateFn fn);
  // Changes the head of a mailbox.
  absl::Status ChangeMailbox(uint64_t mailbox, std::function<void(stored::MailboxHead*)> change);
  // Puts values beside whatever is there; a partition that is not there is made.
  absl::Status Put(PartitionId partition, std::vector<std::pair<std::string, std::string>> values);
  absl::Status ErasePartition(PartitionId partition);
  ReadResult Read(PartitionId partition, std::vector<std::string> keys = {});
  ScanPage Scan(PartitionId partition, std::string from, std::string to, size_t limit);
  stored::MailboxHead HeadOf(uint64_t mailbox);
  std::vector<stored::Entry> EntriesOf(uint64_t mailbox);

  // --- transactions, as sentences (describe.h) ---------------------------------------
  std::string Open(uint64_t tx, uint64_t disk_bytes = 0);
  std::string Reserve(uint64_t tx, uint64_t mailbox, uint64_t bytes);
  std::string Reserve(uint64_t tx, uint64_t mailbox, Demand demand);
  std::string Check(uint64_t mailbox, uint64_t bytes);
  std::string Confirm(uint64_t tx);
  std::string Extend(uint64_t tx, uint64_t bytes);
  absl::StatusOr<stored::Receipt> Settle(uint64_t tx);

  // A body that holds `text`.
  std::unique_ptr<StagedBody> Stage(const std::string& text);
  // A commit of `text` to the mailboxes, with a recipient for each in the receipt.
  CommitRequest CommitOf(uint64_t tx, const std::string& text, const std::vector<uint64_t>& mailboxes);
  absl::StatusOr<stored::Receipt> Commit(CommitRequest request);
  absl::StatusOr<stored::Receipt> Commit(uint64_t tx, const std::string& text,
                                         const std::vector<uint64_t>& mailboxes);
  // Open, Reserve, Confirm: ready to commit as much in each mailbox.
  void MakeReady(uint64_t tx, uint64_t bytes, const std::vector<uint64_t>& mailboxes);
  // The whole of a delivery under the next free id; must succeed.
  stored::Receipt Deliver(const std::string& text, const std::vector<uint64_t>& mailboxes);
  // The same under this id, with what retries are recognised by.
  stored::Receipt DeliverOnce(uint64_t tx, const std::string& retry_key, const std::string& text,
                              const std::vector<uint64_t>& mailboxes);
  absl::Status Expunge(uint64_t mailbox, uint64_t uid);
  // Copies an entry into another mailbox.
  absl::Status Copy(const stored::Entry& entry, uint64_t to);

  // --- bodies -----------------------------------------------------------------------
  absl::StatusOr<std::string> ReadBody(uint64_t body, uint64_t offset, uint64_t length);
  // Waits until a body that nobody names any more is gone.
  void ExpectGone(uint64_t body);
  std::string TextOf(const stored::Entry& entry);
  std::vector<std::string> Verify();

  // Each mailbox's figures equal its entries', nothing is promised to anybody, and
  // all bodies are named by as many entries as they count.
  void ExpectExact(const std::vector<uint64_t>& mailboxes);

 protected:
  FakeClock clock_;
  std::unique_ptr<Engine> engine_;
  std::atomic<uint64_t> next_transaction_ = 1'000'000;
};

}  // namespace restante::engine

#endif  // RESTANTE_TESTS_CONTRACT_ENGINE_USER_H_
