// Deliveries: what all transactions of a store share, and the questions that
// need no transaction.
#ifndef RESTANTE_SERVER_MAIL_DELIVERIES_H_
#define RESTANTE_SERVER_MAIL_DELIVERIES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "restante/v1/delivery.pb.h"
#include "server/base/clock.h"
#include "server/base/steady_condition.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/client_bounds.h"
#include "server/mail/directory.h"
#include "server/mail/outgrown.h"
#include "server/mail/recent_refusals.h"

namespace restante::mail {

struct DeliveryOptions {
  uint64_t max_message = uint64_t{50} << 20;        // `--max-message`, octets
  uint32_t max_recipients = 1000;                   // never below 100
  uint64_t reserve_unknown = uint64_t{1} << 20;     // `--reserve-unknown`, octets
  uint64_t reserve_per_client = uint64_t{1} << 30;  // `--reserve-per-client`, octets
  int64_t idle_us = int64_t{600} * 1'000'000;       // `--transaction-idle`
  int64_t max_age_us = int64_t{3600} * 1'000'000;   // `--transaction-max`
  engine::QuotaRules rules;                         // As the engine's.
};

class Transaction;

// Any thread. Outlives its transactions.
class Deliveries {
 public:
  Deliveries(engine::Engine* engine, Directory* directory, DeliveryOptions options, const Clock* clock);
  ~Deliveries();

  // What a Recipient event would be answered; nothing is reserved.
  void Check(std::string address, std::string sender, std::optional<uint64_t> size,
             engine::Done<v1::Decision> done);

  // GetReceipt. `caller` scopes the request id. Errors: kUnavailable.
  void Settle(const std::string& caller, const std::string& request_id, std::vector<uint64_t> mailboxes,
              engine::Done<absl::StatusOr<v1::GetReceiptResponse>> done);

  // HandedOver. Without effect if `transaction_id` names none.
  void HandedOver(const std::string& transaction_id);

  v1::Capacity GetCapacity() const;

  // Tells transactions that were idle, or open, for too long. Called every
  // second by a thread of its own; tests call it after moving the clock.
  void EndOverdue();

  // For Transaction.
  engine::Engine* engine() const { return engine_; }
  Directory* directory() const { return directory_; }
  const DeliveryOptions& options() const { return options_; }
  const Clock* clock() const { return clock_; }
  ClientBounds& client_bounds() { return client_bounds_; }
  Outgrown& outgrown() { return outgrown_; }
  void Register(const std::shared_ptr<Transaction>& transaction);
  void Unregister(const Transaction* transaction);

  // From now on a Begin is refused, OUTCOME_DRAINING; what is open goes on.
  void Drain() { draining_ = true; }
  bool draining() const { return draining_; }

  // Waits until no transaction is left, for so long at most; false if some are.
  // Before the engine is destroyed.
  bool AwaitIdle(int64_t micros);

  struct Counters {
    // By outcome; suppressed: each mailbox had the message from an earlier delivery.
    std::atomic<uint64_t> stored{0}, suppressed{0}, refused{0}, aborted{0};
    // Mailboxes that had it, also where another had not.
    std::atomic<uint64_t> suppressed_copies{0};
  };
  RecentRefusals& refusals() { return refusals_; }
  const RecentRefusals& refusals() const { return refusals_; }

  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }

 private:
  Task<v1::Decision> CheckTask(std::string address, std::string sender, std::optional<uint64_t> size);
  // `recent`: the answer may be founded on where the address led a few seconds ago.
  Task<v1::Decision> CheckAs(Age age, std::string address, std::string sender, std::optional<uint64_t> size,
                             bool* recent);

  engine::Engine* const engine_;
  Directory* const directory_;
  const DeliveryOptions options_;
  const Clock* const clock_;
  ClientBounds client_bounds_;
  Outgrown outgrown_;
  Counters counters_;
  RecentRefusals refusals_;
  std::atomic<bool> draining_{false};

  absl::Mutex mutex_;
  absl::flat_hash_map<const Transaction*, std::weak_ptr<Transaction>> open_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition changed_;  // open_ is empty, or stopping_ is set.
  std::thread overdue_thread_;
};

// A stored receipt as it is served.
v1::Receipts ToReceipts(const engine::TransactionId& id, const stored::Receipt& receipt);

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_DELIVERIES_H_
