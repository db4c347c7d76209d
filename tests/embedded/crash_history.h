// What clients asked of a store and what they were told, by the clock of its disk:
// the number of operations done. So for a cut after any operation it is known what
// had been promised, what was on its way, and what had been refused.
#ifndef RESTANTE_TESTS_EMBEDDED_CRASH_HISTORY_H_
#define RESTANTE_TESTS_EMBEDDED_CRASH_HISTORY_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/engine/types.h"

namespace restante::embedded {

// In this order, the last decides where something was asked for more than once.
enum class Fate {
  kNotAsked,  // May not be there.
  kNo,        // May not be there, ever again.
  kInFlight,  // May be there, whole, or not at all.
  kYes,       // Has to be there.
};

struct Act {
  static constexpr int64_t kBefore = -1;
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  int64_t asked = kBefore;  // When so many operations were done.
  int64_t told = kNever;    // The answer, or what the next start showed.
  bool yes = false;

  Fate At(int64_t cut) const {
    if (cut >= told) return yes ? Fate::kYes : Fate::kNo;
    return cut > asked ? Fate::kInFlight : Fate::kNotAsked;
  }
};

// A message, told from others by the number that its text begins with.
struct Sent {
  Fate At(int64_t cut) const;

  uint64_t number = 0;
  engine::TransactionId id;
  std::shared_ptr<const std::string> text;
  std::vector<uint64_t> mailboxes;
  std::vector<Act> acts;              // More than one: it was sent again, with its id.
  std::map<uint64_t, uint64_t> uids;  // By mailbox, once it was told.
  Act settled{.asked = Act::kNever};  // Yes: that it never commits.
  bool may_be_settled = false;        // It was asked for, and the power cut before the answer.
  bool handed_over = false;           // The store was told that the answer has arrived.

  // What its retries are recognised by.
  std::string RetryKey() const;
};

struct Expunged {
  Act act;
  uint64_t mailbox = 0, uid = 0;
};

// Of a mailbox its limit in bytes, or of a message (uid) its flags; without a
// mailbox, the size of NotedStore's value in the directory. Each has one writer,
// who waits for the answers.
struct Setting {
  Act act;
  uint64_t mailbox = 0, uid = 0, value = 0;
};

struct Made {
  Act act;
  engine::PartitionId partition;
};

struct History {
  Act created;                // The store itself.
  std::vector<Act> rebuilds;  // Starts with --rebuild-index.
  uint64_t next_number = 1;   // Of messages.
  std::vector<Made> partitions;
  std::vector<Sent> sent;
  std::vector<Expunged> expunged;
  std::vector<Setting> settings;

  // What a setting may be after a cut, first what it is if nothing in flight was done.
  std::vector<uint64_t> ValuesOf(uint64_t mailbox, uint64_t uid, int64_t cut) const;
  // kYes: it is gone; kNotAsked, kNo: it is there.
  Fate Expunging(uint64_t mailbox, uint64_t uid, int64_t cut) const;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_CRASH_HISTORY_H_
