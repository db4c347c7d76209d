// A store on a directory of its own with one mailbox, and few words for what is
// done to it: Deliver, Expunge, Texts, Crash (an image of the directory as a
// crash would leave it).
#ifndef RESTANTE_TESTS_EMBEDDED_SMALL_STORE_H_
#define RESTANTE_TESTS_EMBEDDED_SMALL_STORE_H_

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "server/engine/embedded/embedded_engine.h"
#include "server/engine/engine.h"

namespace restante::embedded {

namespace stored = ::restante::stored::v1;

// Waits for a callback; one that never comes ends the program.
void AwaitOrDie(const absl::Notification& done);

template <typename T>
T Await(absl::FunctionRef<void(engine::Done<T>)> call) {
  absl::Notification ready;
  std::optional<T> result;
  call([&](T value) {
    result = std::move(value);
    ready.Notify();
  });
  AwaitOrDie(ready);
  return *std::move(result);
}

// Removed with everything in it. In memory where the machine has such a place:
// what is tested is not the disk's own durability.
class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::filesystem::path path;
};

// Octets that no codec makes smaller, the same for the same seed.
std::string Noise(size_t size, uint64_t seed);

class SmallStore {
 public:
  explicit SmallStore(std::filesystem::path directory);

  // Opens it; makes domain and mailbox if there are none.
  absl::Status Open();
  void Close() { engine.reset(); }

  // Any thread.
  absl::StatusOr<stored::Receipt> Deliver(const std::string& text);
  // The same up to Commit, whose answer is returned. The engine completes `entry`.
  absl::StatusOr<stored::Receipt> DeliverAs(engine::TransactionId transaction, const std::string& text,
                                            stored::Entry entry = {});
  absl::StatusOr<stored::Receipt> Settle(engine::TransactionId transaction);
  static engine::TransactionId NewTransaction();
  absl::Status Expunge(uint64_t uid);
  // Changes the mailbox's head, and nothing that matters.
  absl::Status Touch();

  std::vector<stored::Entry> Entries();
  absl::StatusOr<std::string> TextOf(const stored::Entry& entry);
  // Of all messages, ascending by UID.
  std::vector<std::string> Texts();
  // Everything that is wrong: bodies, references, figures, usage.
  std::vector<std::string> Problems();
  uint64_t Figure(const std::string& name) { return engine->Figures().at(name); }
  // Waits until a figure reaches a value.
  void AwaitFigure(const std::string& name, absl::FunctionRef<bool(uint64_t)> reached);
  // All groups are in the index.
  void AwaitIndexed() {
    AwaitFigure("index_backlog_bytes", [](uint64_t bytes) { return bytes == 0; });
  }

  // Copies the directory as it is, under a running engine.
  void CopyTo(const std::filesystem::path& to) const;
  std::filesystem::path Segment(uint64_t number = 1) const;

  Options options;
  std::unique_ptr<engine::Engine> engine;
  uint64_t mailbox = 0;
};

std::string ReadFile(const std::filesystem::path& path);
void WriteFile(const std::filesystem::path& path, const std::string& content);

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_SMALL_STORE_H_
