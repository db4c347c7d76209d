// A store of the mail layer over one engine, as the server puts it together, but
// without a network: what the model test does to both engines alike.
#ifndef RESTANTE_TESTS_MODEL_WORLD_H_
#define RESTANTE_TESTS_MODEL_WORLD_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "server/base/clock.h"
#include "server/base/task.h"
#include "server/engine/engine.h"
#include "server/mail/deliveries.h"
#include "server/mail/directory.h"
#include "server/mail/messages.h"
#include "server/mail/provisioning.h"
#include "tests/embedded/small_store.h"

namespace restante::model {

// The two stores, by place.
enum Which { kEmbedded = 0, kMemory = 1 };
inline constexpr const char* kWhichNames[] = {"embedded", "memory"};

// The result of a task; a task that never ends ends the program.
template <typename T>
T Get(Task<T> task) {
  absl::Notification ended;
  std::optional<T> result;
  Start<T>(std::move(task), [&](T value) {
    result.emplace(std::move(value));
    ended.Notify();
  });
  embedded::AwaitOrDie(ended);
  return *std::move(result);
}

class World {
 public:
  // Opens the engine on what the last one left. The memory engine has no disk:
  // its opener keeps it, and gives the same one again. What ends with a process
  // ends all the same, for it is the mail layer's to end: transactions are closed
  // before, as the ends of their streams would, and hints are forgotten.
  using OpenEngine = std::function<absl::StatusOr<std::shared_ptr<engine::Engine>>()>;

  World(Which which, OpenEngine open_engine, mail::DeliveryOptions options, const Clock* clock);

  // Opens the engine and finishes what was interrupted, as a start does.
  absl::Status Open();
  // No transaction may be left, no call may run. Harmless if it is not open.
  void Close();
  bool is_open() const { return engine_ != nullptr; }

  Which which() const { return which_; }
  engine::Engine& engine() { return *engine_; }
  mail::Provisioning& provisioning() { return *provisioning_; }
  mail::Deliveries& deliveries() { return *deliveries_; }
  mail::Messages& messages() { return *messages_; }

  // Everything that `verify` finds wrong.
  std::vector<std::string> Problems();

 private:
  const Which which_;
  const OpenEngine open_engine_;
  const mail::DeliveryOptions options_;
  const Clock* const clock_;

  std::shared_ptr<engine::Engine> engine_;
  std::unique_ptr<mail::Provisioning> provisioning_;
  std::unique_ptr<mail::Directory> directory_;
  std::unique_ptr<mail::Deliveries> deliveries_;
  std::unique_ptr<mail::Messages> messages_;
};

// Both, for those who act on one after the other.
struct Worlds {
  World* embedded;
  World* memory;
  // The first one sums pools now and then: it is compared where they are, not how they got there.
  bool pools_told_later = false;

  World& operator[](Which which) const { return which == kEmbedded ? *embedded : *memory; }
};

}  // namespace restante::model

#endif  // RESTANTE_TESTS_MODEL_WORLD_H_
