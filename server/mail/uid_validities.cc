#include "server/mail/uid_validities.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/mail/engine_calls.h"

namespace restante::mail {
namespace {

using engine::PartitionId;
namespace stored = engine::stored;

constexpr size_t kBatch = 1000;
constexpr uint64_t kBurst = uint64_t{1} << 20;
constexpr int64_t kSecond = 1'000'000;

// The first number that no time line since the backup can have given.
uint64_t FirstNew(uint64_t next, int64_t backup_us, int64_t restore_us) {
  const int64_t elapsed = std::max<int64_t>(restore_us - backup_us, 0) / kSecond;
  const int64_t now = std::max<int64_t>(restore_us, 0) / kSecond;
  return std::max(next + static_cast<uint64_t>(elapsed) + kBurst, static_cast<uint64_t>(now));
}

Task<absl::StatusOr<std::vector<uint64_t>>> ListMailboxes(engine::Engine* engine, uint64_t* folders) {
  std::vector<uint64_t> numbers;
  uint64_t after = 0;
  while (true) {
    CO_ASSIGN_OR_RETURN(auto mailboxes,
                        co_await ListPartitions(engine, PartitionId::Kind::kMailbox, after, kBatch));
    if (mailboxes.empty()) co_return std::move(numbers);
    after = mailboxes.back().first;
    for (const auto& [number, head] : mailboxes) {
      numbers.push_back(number);
      *folders += static_cast<uint64_t>(head.mailbox().folders_size());
    }
  }
}

}  // namespace

Task<absl::StatusOr<uint64_t>> RenewUidValidities(engine::Engine* engine, int64_t backup_us,
                                                  int64_t restore_us) {
  uint64_t folders = 0;
  CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> mailboxes, co_await ListMailboxes(engine, &folders));

  // All of them in one step, so that what is created later is above them.
  uint64_t next = 0;
  CO_RETURN_IF_ERROR(co_await Update(
      engine, PartitionId::Directory(), {}, [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        engine::Change change;
        if (view.head != nullptr) change.head = *view.head;
        stored::DirectoryHead& directory = *change.head.mutable_directory();
        next = FirstNew(directory.uid_validity_next(), backup_us, restore_us);
        if (next + folders > UINT32_MAX) {
          return absl::FailedPreconditionError(absl::StrCat("UIDVALIDITY: ", folders, " are wanted from ",
                                                            next, " on, the last is ", UINT32_MAX));
        }
        directory.set_uid_validity_next(static_cast<uint32_t>(next + folders));
        return change;
      }));

  for (const uint64_t number : mailboxes) {
    uint64_t given = 0;
    CO_RETURN_IF_ERROR(co_await Update(engine, PartitionId::Mailbox(number), {},
                                       [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                         if (view.head == nullptr) return engine::NoChange{};
                                         engine::Change change;
                                         change.head = *view.head;
                                         given = 0;
                                         for (stored::Folder& folder :
                                              *change.head.mutable_mailbox()->mutable_folders()) {
                                           folder.set_uid_validity(static_cast<uint32_t>(next + given++));
                                         }
                                         return change;
                                       }));
    next += given;
  }
  co_return folders;
}

}  // namespace restante::mail
