#include "server/mail/folders.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/utf8.h"
#include "server/mail/directory_edit.h"
#include "server/mail/engine_calls.h"
#include "server/mail/errors.h"
#include "server/mail/names.h"

namespace restante::mail {

using engine::PartitionId;

absl::Status CheckFolderName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxFolderOctets) {
    return absl::InvalidArgumentError(
        absl::StrCat("has a folder of ", name.size(), " octets, 1 to ", kMaxFolderOctets, " are taken"));
  }
  const bool control =
      std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (control || !IsUtf8(name)) {
    return absl::InvalidArgumentError("has a folder that is not UTF-8 without control characters");
  }
  for (const absl::string_view level : absl::StrSplit(name, '/')) {
    if (level.empty()) return absl::InvalidArgumentError("has a folder with an empty level between slashes");
  }
  return absl::OkStatus();
}

absl::StatusOr<stored::Folder> FindFolder(const stored::MailboxHead& head, absl::string_view folder) {
  for (const stored::Folder& candidate : head.folders()) {
    if (candidate.name() == folder) return candidate;
  }
  return NotFound(absl::StrCat(MailboxName(head.address()), "/folders/", PercentEncode(folder)));
}

bool HasFolder(const stored::MailboxHead& head, uint32_t id) {
  return id == 0 || std::any_of(head.folders().begin(), head.folders().end(),
                                [id](const stored::Folder& folder) { return folder.id() == id; });
}

std::string NameOfFolder(const stored::MailboxHead& head, uint32_t id) {
  for (const stored::Folder& folder : head.folders()) {
    if (folder.id() == id) return folder.name();
  }
  return std::string(kInbox);
}

absl::Status CheckFolderCount(const stored::MailboxHead& head) {
  if (head.folders_size() < kMaxFolders) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, "TOO_MANY_FOLDERS", MailboxName(head.address()),
               absl::StrCat("has ", head.folders_size(), " folders, at most ", kMaxFolders, " are allowed"));
}

Task<absl::StatusOr<stored::Folder>> MakeFolder(engine::Engine* engine, uint64_t mailbox, std::string name) {
  stored::Folder folder;
  folder.set_name(name);
  CO_RETURN_IF_ERROR(co_await Update(engine, PartitionId::Directory(), {},
                                     [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
                                       DirectoryEdit edit(view);
                                       const std::optional<uint32_t> next = edit.TakeUidValidity();
                                       if (!next)
                                         return UidValiditiesExhausted(absl::StrCat("folder ", name));
                                       folder.set_uid_validity(*next);
                                       return std::move(edit).Finish();
                                     }));
  CO_RETURN_IF_ERROR(co_await Update(
      engine, PartitionId::Mailbox(mailbox), {},
      [&](const engine::View& view) -> absl::StatusOr<engine::Verdict> {
        if (view.head == nullptr || view.head->mailbox().state() == stored::MailboxHead::DELETED) {
          return absl::NotFoundError(absl::StrCat("mailbox partition ", mailbox, ": not found"));
        }
        uint32_t last = 0;
        for (const stored::Folder& other : view.head->mailbox().folders()) {
          last = std::max(last, other.id());
          if (other.name() != name) continue;
          folder = other;
          return engine::NoChange{};
        }
        RETURN_IF_ERROR(CheckFolderCount(view.head->mailbox()));
        folder.set_id(last + 1);
        engine::Change change;
        change.head = *view.head;
        *change.head.mutable_mailbox()->add_folders() = folder;
        return change;
      }));
  co_return std::move(folder);
}

}  // namespace restante::mail
