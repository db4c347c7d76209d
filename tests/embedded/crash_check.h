// Opens what a cut has left of a store and compares it, by the five promises, with
// what its clients had been told.
#ifndef RESTANTE_TESTS_EMBEDDED_CRASH_CHECK_H_
#define RESTANTE_TESTS_EMBEDDED_CRASH_CHECK_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/engine.h"
#include "tests/embedded/crash_history.h"
#include "tests/embedded/noted_store.h"
#include "tests/embedded/simulated_disk.h"

namespace restante::embedded {

// What a store shows.
struct Shown {
  struct Message {
    engine::stored::Entry entry;
    uint64_t number = 0;
    std::string text;
  };
  struct Mailbox {
    engine::stored::MailboxHead head;
    std::map<uint64_t, Message> messages;                              // By UID.
    std::map<std::string, engine::stored::OpenReceipt> open_receipts;  // By key.
  };
  std::map<uint64_t, Mailbox> mailboxes;
  std::map<uint64_t, engine::ReadResult> domains;
  uint64_t in_directory = 0;  // Size of the large value.
  engine::EventPage events;   // All.

  bool Has(uint64_t mailbox, uint64_t uid) const;
  // Of the message in one of the mailboxes; 0: it is not there.
  uint64_t UidOf(uint64_t mailbox, uint64_t number) const;
};

class CrashCheck {
 public:
  // `image` is what the cut after operation `cut` of the history's disk left.
  CrashCheck(SimulatedDisk* image, const Options& options, const History& history, int64_t cut);

  // Opens it (with --create only where no store had been promised), and compares.
  // Then its clients come back, with what they were not told, and with new mail;
  // it is opened again and must have it all. False: problems() says why.
  bool Run(uint64_t seed);

  // One for each line.
  const std::vector<std::string>& problems() const { return problems_; }
  // What the first start showed.
  const Shown& shown() const { return shown_; }
  uint64_t recovered_groups() const { return recovered_groups_; }
  // All that was asked before and since, by the clock of the image.
  const History& history() const { return history_; }

 private:
  Shown Look(engine::Engine& engine);
  void Compare(engine::Engine& engine, const History& history, const Shown& shown, int64_t cut);
  void CompareSent(const History& history, const Shown& shown, int64_t cut);
  void CompareSettings(engine::Engine& engine, const History& history, const Shown& shown, int64_t cut);
  void CompareReceipts(engine::Engine& engine, const History& history, const Shown& shown, int64_t cut);
  void CompareOpenReceipts(const History& history, const Shown& shown, int64_t cut);
  void CompareEvents(const Shown& shown);
  // What was in flight is decided now.
  void Resolve(int64_t seen_at);
  void GoOn(NotedStore* store, uint64_t seed);
  static uint64_t ValueOf(const Shown& shown, const Setting& setting);
  template <typename... Pieces>
  void Problem(const Pieces&... pieces);
  void Must(const absl::Status& status, absl::string_view what);

  SimulatedDisk* const image_;
  const Options options_;
  History history_;
  const int64_t cut_;

  std::vector<Sent> undecided_;
  std::vector<std::string> problems_;
  Shown shown_;
  uint64_t recovered_groups_ = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_CRASH_CHECK_H_
