// The text of a message on its way to whoever reads it.
#ifndef RESTANTE_SERVER_MAIL_MESSAGE_TEXT_H_
#define RESTANTE_SERVER_MAIL_MESSAGE_TEXT_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/begun.h"
#include "server/base/task.h"
#include "server/engine/engine.h"

namespace restante::mail {

// Octets of a message that are read at once, at most.
inline constexpr uint64_t kMaxChunk = 256 * 1024;

// Octets [offset, offset + length) of a body, cut at its end, chunk by chunk: each is
// followed by up to three that are on their way, so that whoever takes them does not wait
// for the disk or the cluster each time. One caller at a time; the engine outlives it.
class MessageText {
 public:
  // Begins to read. `size`: of the body.
  MessageText(engine::Engine* engine, engine::BodyId body, uint64_t size, uint64_t offset, uint64_t length);

  engine::BodyId body() const { return body_; }
  uint64_t left() const { return end_ - at_; }
  // The next octets, kMaxChunk at most; not where none are left. kNotFound: there is no such
  // body any more. kDataLoss: it is damaged, or shorter than it should be.
  Task<absl::StatusOr<std::string>> Next();

 private:
  void BeginSome();

  engine::Engine* engine_;
  engine::BodyId body_;
  uint64_t at_, asked_, end_;  // Given, asked for, to be given.
  std::deque<Begun<absl::StatusOr<std::string>>> coming_;
};

// The bodies of messages that were looked at lately: where to begin to read before it is
// known whether the message is still there. A guess, and never more. Any thread.
class BodyGuesses {
 public:
  struct Guess {
    engine::BodyId body{};
    uint64_t size = 0;
  };

  BodyGuesses();
  void Keep(const std::string& mailbox, uint64_t uid, Guess guess);
  std::optional<Guess> Find(const std::string& mailbox, uint64_t uid) const;

 private:
  struct Slot {
    size_t hash = 0;
    Guess guess;
  };
  static constexpr size_t kSlots = 1 << 16;

  mutable absl::Mutex mutex_;
  // By a hash of the name; the latest stays.
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_MESSAGE_TEXT_H_
