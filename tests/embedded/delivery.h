// One delivery, and one expunge, through the engine port, for tests with several
// mailboxes.
#ifndef RESTANTE_TESTS_EMBEDDED_DELIVERY_H_
#define RESTANTE_TESTS_EMBEDDED_DELIVERY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/engine.h"

namespace restante::embedded {

struct Delivery {
  engine::TransactionId transaction = {};
  // Mailbox partition and entry.
  std::vector<std::pair<uint64_t, engine::stored::Entry>> entries = {};
  std::string text = {};
  // What the body's writer is told of its size; unset: the truth.
  std::optional<uint64_t> expected = {};
  // Its recipients are completed with the mailboxes of `entries`.
  engine::stored::Receipt receipt = {};
  // What retries are recognised by; empty: nothing.
  std::string retry_key = {};
  // Called as the answer to Commit comes, on its thread.
  std::function<void()> answered = {};
};

// From Open to Commit, whose answer is returned; the receipt, if there is one of
// the id already. kResourceExhausted: refused.
absl::StatusOr<engine::stored::Receipt> Deliver(engine::Engine& engine, Delivery delivery);

// kNotFound: no such message.
absl::Status Expunge(engine::Engine& engine, uint64_t mailbox, uint64_t uid);

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_DELIVERY_H_
