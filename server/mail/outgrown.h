// Messages that outgrew their reservation, remembered for a day by mailbox and
// reverse path: the retry is then refused at RCPT and does not hold up the other
// recipients for ever.
#ifndef RESTANTE_SERVER_MAIL_OUTGROWN_H_
#define RESTANTE_SERVER_MAIL_OUTGROWN_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"

namespace restante::mail {

// Any thread. A hint: lost at a restart, and the oldest go when there are many.
class Outgrown {
 public:
  static constexpr int64_t kKeepMicros = int64_t{24} * 3600 * 1'000'000;
  static constexpr size_t kMaxEntries = 50'000;

  explicit Outgrown(const Clock* clock) : clock_(clock) {}

  // A message from `sender` that declared `declared` octets (or nothing) came to
  // at least `size` and did not fit into the mailbox.
  void Remember(uint64_t mailbox, const std::string& sender, std::optional<uint64_t> declared, uint64_t size);

  // The size to expect of a message that looks the same: from `sender`, declaring
  // the same. nullopt: nothing is known.
  std::optional<uint64_t> Recall(uint64_t mailbox, const std::string& sender,
                                 std::optional<uint64_t> declared);

 private:
  struct Item {
    std::pair<uint64_t, std::string> key;
    std::optional<uint64_t> declared;
    uint64_t size;
    int64_t since;
  };

  const Clock* const clock_;
  absl::Mutex mutex_;
  std::list<Item> by_age_ ABSL_GUARDED_BY(mutex_);  // Oldest first.
  absl::flat_hash_map<std::pair<uint64_t, std::string>, std::list<Item>::iterator> items_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_OUTGROWN_H_
