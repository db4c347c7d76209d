#include "server/mail/message_text.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"

namespace restante::mail {
namespace {

// Chunks that are on their way, with the one that is asked for.
constexpr size_t kComing = 4;

}  // namespace

MessageText::MessageText(engine::Engine* engine, engine::BodyId body, uint64_t size, uint64_t offset,
                         uint64_t length)
    : engine_(engine),
      body_(body),
      at_(std::min(offset, size)),
      asked_(at_),
      end_(at_ + std::min(length, size - at_)) {
  BeginSome();
}

void MessageText::BeginSome() {
  while (coming_.size() < kComing && asked_ < end_) {
    const uint64_t length = std::min(end_ - asked_, kMaxChunk);
    coming_.emplace_back([&](auto done) { engine_->ReadBody(body_, asked_, length, std::move(done)); });
    asked_ += length;
  }
}

Task<absl::StatusOr<std::string>> MessageText::Next() {
  Begun<absl::StatusOr<std::string>> next = std::move(coming_.front());
  coming_.pop_front();
  absl::StatusOr<std::string> octets = co_await next;
  if (!octets.ok()) co_return octets;
  const uint64_t wanted = std::min(end_ - at_, kMaxChunk);
  if (octets->size() != wanted) {
    co_return absl::DataLossError(
        absl::StrCat("its text ends at ", at_ + octets->size(), " of at least ", at_ + wanted, " octets"));
  }
  at_ += wanted;
  BeginSome();
  co_return octets;
}

BodyGuesses::BodyGuesses() : slots_(kSlots) {}

void BodyGuesses::Keep(const std::string& mailbox, uint64_t uid, Guess guess) {
  const size_t hash = absl::HashOf(mailbox, uid);
  absl::MutexLock lock(&mutex_);
  slots_[hash % kSlots] = {.hash = hash, .guess = guess};
}

std::optional<BodyGuesses::Guess> BodyGuesses::Find(const std::string& mailbox, uint64_t uid) const {
  const size_t hash = absl::HashOf(mailbox, uid);
  absl::MutexLock lock(&mutex_);
  const Slot& slot = slots_[hash % kSlots];
  if (slot.hash != hash || slot.guess.body == engine::BodyId{}) return std::nullopt;
  return slot.guess;
}

}  // namespace restante::mail
