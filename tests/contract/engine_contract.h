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
#include <string>

#include "absl/status/statusor.h"
#include "server/engine/commit_entry.h"
#include "server/engine/engine.h"
#include "server/mail/quota.h"
#include "tests/contract/engine_user.h"

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

class EngineContract : public testing::TestWithParam<EngineFactory>, protected EngineUser {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Opens the engine by `setup_`; Reopen closes it before.
  void Start();
  void Reopen();

  EngineSetup setup_;
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

}  // namespace restante::engine

#endif  // RESTANTE_TESTS_CONTRACT_ENGINE_CONTRACT_H_
