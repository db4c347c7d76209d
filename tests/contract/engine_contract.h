// The contract of the engine port (server/engine/engine.h), for every engine: a
// fixture that speaks of mailboxes, deliveries and expunging.
//
// An engine takes part by an EngineFactory in engine_contract_test.cc; one that
// is durable also plays the tests that reopen it.
#ifndef RESTANTE_TESTS_CONTRACT_ENGINE_CONTRACT_H_
#define RESTANTE_TESTS_CONTRACT_ENGINE_CONTRACT_H_

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
#include "server/engine/commit_entry.h"
#include "server/engine/engine.h"
#include "server/mail/quota.h"
#include "tests/contract/describe.h"

namespace restante::engine {

struct EngineSetup {
  std::string directory;  // Exists and is its own.
  QuotaRules rules;
  const Clock* clock = nullptr;
  uint64_t max_disk = quota::kUnlimited;
  uint64_t retry_window_seconds = kRetryWindowSeconds;
  uint64_t event_retention_seconds = kEventRetentionSeconds;
};

struct EngineFactory {
  std::string name;
  // Called again with the same setup it opens what is there, if `durable`.
  std::function<absl::StatusOr<std::unique_ptr<Engine>>(const EngineSetup&)> create;
  bool durable = false;
};
inline void PrintTo(const EngineFactory& factory, std::ostream* out) { *out << factory.name; }

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

class EngineContract : public testing::TestWithParam<EngineFactory> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Opens the engine by `setup_`; Reopen closes it before.
  void Start();
  void Reopen();

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

  EngineSetup setup_;
  FakeClock clock_;
  std::unique_ptr<Engine> engine_;
  uint64_t next_transaction_ = 1'000'000;
};

// 64 senders race for room that is enough for exactly ten.
class QuotaRace : public EngineContract {
 protected:
  // Each delivers 1000 octets to the mailbox that it is told; whoever is granted
  // room must succeed in everything after it, the others get the `refusal`.
  void RaceTo(const std::function<uint64_t(uint64_t racer)>& mailbox_of, const std::string& refusal);

  std::atomic<int> stored_ = 0, refused_ = 0;
};

class DurableEngineContract : public EngineContract {};

class EventsContract : public EngineContract {
 protected:
  EventPage ReadEvents(uint64_t after = 0, size_t limit = 1000);
  // Those after `after`, one sentence each: `1: m2 80>90 at 900 of 1000`.
  std::string Events(uint64_t after = 0);
  absl::Status ChangeDomain(uint64_t domain, std::function<void(stored::DomainHead*)> change);
};
class DurableEvents : public EventsContract {};

// `size` octets that no codec makes smaller, the same for the same seed.
std::string Noise(size_t size, uint64_t seed);

}  // namespace restante::engine

#endif  // RESTANTE_TESTS_CONTRACT_ENGINE_CONTRACT_H_
