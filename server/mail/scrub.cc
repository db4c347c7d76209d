#include "server/mail/scrub.h"

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "server/mail/engine_calls.h"
#include "server/mail/folders.h"
#include "server/mail/names.h"

namespace restante::mail {
namespace {

using engine::PartitionId;

// From the engine, which must not wait, to the task, which finds names.
class Findings {
 public:
  using Next = std::optional<engine::UpkeepProgress>;  // nullopt: there is no more.

  bool Push(engine::UpkeepProgress progress) {
    absl::AnyInvocable<void(Next)> waiter;
    {
      absl::MutexLock lock(&mutex_);
      if (waiter_) {
        waiter = std::exchange(waiter_, nullptr);
      } else if (!queue_.empty() && queue_.back().damages.empty()) {
        queue_.back() = std::move(progress);
      } else {
        queue_.push_back(std::move(progress));
      }
    }
    if (waiter) waiter(std::move(progress));
    return !given_up;
  }

  void End(absl::Status status) {
    absl::AnyInvocable<void(Next)> waiter;
    {
      absl::MutexLock lock(&mutex_);
      result_ = std::move(status);
      waiter = std::exchange(waiter_, nullptr);
    }
    if (waiter) waiter(std::nullopt);
  }

  void Pop(absl::AnyInvocable<void(Next)> waiter) {
    Next next;
    {
      absl::MutexLock lock(&mutex_);
      if (queue_.empty() && !result_) {
        waiter_ = std::move(waiter);
        return;
      }
      if (!queue_.empty()) {
        next = std::move(queue_.front());
        queue_.pop_front();
      }
    }
    waiter(std::move(next));
  }

  absl::Status result() const {
    absl::MutexLock lock(&mutex_);
    return *result_;
  }

  std::atomic<bool> given_up{false};

 private:
  mutable absl::Mutex mutex_;
  std::deque<engine::UpkeepProgress> queue_ ABSL_GUARDED_BY(mutex_);
  absl::AnyInvocable<void(Next)> waiter_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> result_ ABSL_GUARDED_BY(mutex_);
};

// Empty: its mailbox is gone.
Task<std::string> NameOf(engine::Engine* engine, uint64_t mailbox, uint64_t uid) {
  const std::string key = engine::EntryKey(uid);
  std::vector<std::string> keys = {key};
  absl::StatusOr<engine::ReadResult> read =
      co_await Read(engine, PartitionId::Mailbox(mailbox), std::move(keys));
  if (!read.ok()) read = co_await Read(engine, PartitionId::Mailbox(mailbox), {});  // Its entry is damaged.
  if (!read.ok() || !read->head) co_return std::string();
  const engine::stored::MailboxHead& head = read->head->mailbox();
  engine::stored::Entry entry;
  if (const auto it = read->values.find(key); it != read->values.end()) entry.ParseFromString(it->second);
  co_return MessageName(head.address(), NameOfFolder(head, entry.folder()), uid);
}

}  // namespace

Task<std::vector<NamedDamage>> NameDamages(engine::Engine* engine, std::vector<engine::Damage> damages) {
  std::vector<NamedDamage> named;
  for (engine::Damage& damage : damages) {
    NamedDamage& out = named.emplace_back();
    out.file = std::move(damage.file);
    out.offset = damage.offset;
    out.problem = std::move(damage.problem);
    for (const auto& [mailbox, uid] : damage.messages) {
      std::string name = co_await NameOf(engine, mailbox, uid);
      if (!name.empty()) out.messages.push_back(std::move(name));
    }
  }
  co_return std::move(named);
}

Task<absl::Status> Scrub(engine::Engine* engine, uint64_t bytes_per_second,
                         std::function<bool(ScrubProgress)> report) {
  const auto findings = std::make_shared<Findings>();
  engine->Scrub(
      bytes_per_second,
      [findings](engine::UpkeepProgress progress) { return findings->Push(std::move(progress)); },
      [findings](absl::Status status) { findings->End(std::move(status)); });
  while (true) {
    Findings::Next next = co_await Await<Findings::Next>([&](auto done) { findings->Pop(std::move(done)); });
    if (!next) break;
    ScrubProgress progress{
        .checked_bytes = next->done_bytes, .total_bytes = next->total_bytes, .damages = {}};
    progress.damages = co_await NameDamages(engine, std::move(next->damages));
    if (!findings->given_up && !report(std::move(progress))) findings->given_up = true;
  }
  co_return findings->result();
}

}  // namespace restante::mail
