// A store in a process of its own, that a test may kill and stop: ChildStore (child_store.h)
// starts it and says what it does, one line each; it answers with a line each.
//
//   at N kill|stop STEP       when the step is met for the Nth time: says `at STEP`, and is
//                             killed or stopped there, with all its threads
//   deliver TX SIZE MAILBOX...
//   reserve TX SIZE MAILBOX...        a delivery as far as it is promised; and from there on
//   commit TX SIZE MAILBOX...
//   expunge MAILBOX UID
//   copy MAILBOX UID MAILBOX
//   mailbox DOMAIN            makes one
//   erase MAILBOX             ends one, with all that it has
//   put MAILBOX ROW           a row that is no message; answers when the step was met
//
// Usage: rados_store_child CONF NAMESPACE LIFE_MS SPILL_ROWS SHARD_ROWS GONE_SHARDS_KEPT_MS
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/cluster/rados_stores.h"

namespace restante::rados {
namespace {

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// Where the process is to end, or to stop.
class Trap {
 public:
  void Set(const std::string& step, int count, int signal) {
    const std::lock_guard lock(mutex_);
    step_ = step;
    count_ = count;
    signal_ = signal;
  }
  void At(absl::string_view step) {
    const std::lock_guard lock(mutex_);
    if (step != step_ || --count_ > 0) return;
    step_.clear();
    Say(absl::StrCat("at ", step));
    ::kill(::getpid(), signal_);
    // It is not said when a signal arrives; until then nobody gets past a step.
    ::usleep(100'000);
  }
  void AwaitMet() {
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        if (step_.empty()) return;
      }
      ::usleep(10'000);
    }
  }

 private:
  std::mutex mutex_;
  std::string step_;
  int count_ = 0, signal_ = 0;
};

std::string Reserve(Store& store, uint64_t tx, uint64_t size, const std::vector<uint64_t>& mailboxes) {
  std::string answer = store.Open(tx, size);
  if (answer != "opened") return answer;
  for (const uint64_t mailbox : mailboxes) {
    answer = store.Reserve(tx, mailbox, size);
    if (answer != absl::StrCat("granted ", size)) return answer;
  }
  return store.Confirm(tx);
}

std::string Copy(Store& store, uint64_t mailbox, uint64_t uid, uint64_t to) {
  for (const auto& entry : store.EntriesOf(mailbox)) {
    if (entry.uid() == uid) return engine::Describe(store.Copy(entry, to));
  }
  return "no such message";
}

std::string Do(Store& store, Trap& trap, std::istringstream words) {
  std::string verb;
  words >> verb;
  if (verb == "at") {
    std::string step, how;
    int count = 0;
    words >> count >> how >> std::ws;
    std::getline(words, step);
    trap.Set(step, count, how == "kill" ? SIGKILL : SIGSTOP);
    return "ok";
  }
  std::vector<uint64_t> numbers;
  for (uint64_t number; words >> number;) numbers.push_back(number);
  const std::vector<uint64_t> mailboxes(numbers.begin() + std::min<size_t>(2, numbers.size()), numbers.end());
  if (verb == "deliver") return TryToDeliver(store, numbers.at(0), numbers.at(1), mailboxes);
  if (verb == "reserve") return Reserve(store, numbers.at(0), numbers.at(1), mailboxes);
  if (verb == "commit") {
    return engine::Describe(
        store.Commit(numbers.at(0), engine::Noise(numbers.at(1), numbers.at(0)), mailboxes));
  }
  if (verb == "expunge") return engine::Describe(store.Expunge(numbers.at(0), numbers.at(1)));
  if (verb == "copy") return Copy(store, numbers.at(0), numbers.at(1), numbers.at(2));
  if (verb == "erase") {
    return engine::Describe(store.ErasePartition(engine::PartitionId::Mailbox(numbers.at(0))));
  }
  if (verb == "put") {
    const absl::Status put =
        store.Put(engine::PartitionId::Mailbox(numbers.at(0)), {{RowKey(numbers.at(1)), kChildsRow}});
    trap.AwaitMet();
    return engine::Describe(put);
  }
  if (verb == "mailbox") return absl::StrCat(store.CreateMailbox(numbers.at(0)));
  return absl::StrCat("what is `", verb, "`?");
}

int Main(char** arguments) {
  // Also if it is stopped.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Trap trap;
  Options options = OptionsOf(arguments[1], arguments[2]);
  options.life_interval = absl::Milliseconds(std::stoi(arguments[3]));
  options.spill_rows = std::stoull(arguments[4]);
  options.shard_rows = std::stoull(arguments[5]);
  options.gone_shards_kept = absl::Milliseconds(std::stoi(arguments[6]));
  options.at = [&trap](absl::string_view step) { trap.At(step); };
  Store store(std::move(options));
  Say("open");
  for (std::string line; std::getline(std::cin, line);) Say(Do(store, trap, std::istringstream(line)));
  return 0;
}

}  // namespace
}  // namespace restante::rados

int main(int count, char** arguments) { return count == 7 ? restante::rados::Main(arguments) : 2; }
