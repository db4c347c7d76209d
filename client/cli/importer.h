// Puts messages into a mailbox, many at once, each once however often it is repeated.
//
// Each is appended under a request id that is a hash of the mailbox's id, the folder,
// the name it goes by at its source, and its text. The store answers a repeated id
// from its receipt for a day; and it keeps the id with the message for good, so what is
// listed there when a later import begins is not sent again. What a repeat relies on is
// in the store: a journal on this side could be lost, or lag behind what a `kill -9`
// left.
//
// Rationale for what is hashed: the name alone is not enough, for another program may
// give it twice; nor the text alone, for two equal messages are two. Flags and times
// change at the source between two attempts, and are not in it.
//
// Known limit: a message that was expunged from the store more than a day ago comes
// again, unless a journal has it (import_journal.h).
#ifndef RESTANTE_CLIENT_CLI_IMPORTER_H_
#define RESTANTE_CLIENT_CLI_IMPORTER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "client/cli/import_journal.h"
#include "client/cli/message_file.h"
#include "client/cli/output.h"

namespace restante::cli {

struct ImportedMessage {
  std::string label;   // For errors: its file.
  std::string folder;  // `INBOX`
  // What it goes by at its source, beside folder and text.
  std::string name;
  uint64_t size = 0;  // About: for the memory that it will take.
  absl::Time arrival;
  std::vector<v1::Flag> flags;
  std::vector<std::string> keywords;
  // Several with the same name and text are as many messages. Else they are one that was
  // seen twice, as while a server links it from new to cur.
  bool count_equal = false;
  // Called on any thread, once.
  std::function<absl::StatusOr<FileMessage>()> load;
};

struct ImportOptions {
  bool ignore_quota = false;
  std::string journal;  // Its file, if there is one.
  uint64_t total = 0;   // For the bar; 0: not known.
};

// Begin, then Add for each, then Finish; on one thread.
class Importer {
 public:
  Importer(Context& context, ImportOptions options);
  ~Importer();

  // Finds the mailbox and what is in it.
  absl::Status Begin(const std::string& address);
  // Octets that a message may have at most.
  uint64_t max_message() const { return max_message_; }

  // Waits while enough is on its way. False: no other is wanted, Finish knows why.
  bool Add(ImportedMessage message);
  // Something at the source that cannot be read: named, counted; the rest goes on.
  void AddProblem(absl::string_view text);

  // Waits for all, prints the figures behind those of `record`, and returns what ended
  // the import, or how many could not be taken.
  absl::Status Finish(Record record);

 private:
  absl::Status ListWhatIsThere();
  void Work();
  void Import(const ImportedMessage& message);
  // Nothing: it was seen before in this import.
  std::optional<std::string> RequestIdOf(const ImportedMessage& message, const FileMessage& file);
  absl::StatusOr<v1::Message> Append(const v1::AppendMessageRequest::Header& header, absl::string_view text);
  void Stop(const ImportedMessage& message, const absl::Status& why);
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  void Show() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Context& context_;
  const ImportOptions options_;
  v1::Mailbox mailbox_;
  uint64_t max_message_ = 0;
  absl::flat_hash_set<std::string> there_;  // Request ids.
  ImportJournal journal_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopped_{false};
  Progress progress_;

  absl::Mutex mutex_;
  std::deque<ImportedMessage> queue_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t loaded_ ABSL_GUARDED_BY(mutex_) = 0;                              // Octets in memory.
  absl::flat_hash_map<std::string, uint64_t> seen_ ABSL_GUARDED_BY(mutex_);  // How often.
  uint64_t imported_ ABSL_GUARDED_BY(mutex_) = 0, bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t present_ ABSL_GUARDED_BY(mutex_) = 0, failed_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);  // It was stopped.
};

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_IMPORTER_H_
