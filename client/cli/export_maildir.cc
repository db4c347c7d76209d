#include "client/cli/export_maildir.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/mail_files.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

// The disk makes what is synced together durable together.
constexpr size_t kParallel = 16;

}  // namespace

MaildirExport::MaildirExport(Context& context, v1::Mailbox mailbox, const std::string& path, bool incremental)
    : context_(context),
      mailbox_(std::move(mailbox)),
      incremental_(incremental),
      maildir_(path, /*live=*/incremental),
      state_path_(absl::StrCat(path, "/restante-export-", mailbox_.id())),
      progress_("exporting") {}

absl::Status MaildirExport::Run() {
  if (absl::Status made = maildir_.Create(); !made.ok()) return UsageError(made.message());
  v1::ListMessagesRequest list;
  list.set_parent(mailbox_.name());
  if (incremental_) {
    RETURN_IF_ERROR(Lock());
    ASSIGN_OR_RETURN(state_, ExportState::Read(state_path_));
    if (state_.uid_validity != mailbox_.uid_validity()) {
      state_ = ExportState();
      state_.uid_validity = mailbox_.uid_validity();
    }
    RETURN_IF_ERROR(FinishMoving());
    RETURN_IF_ERROR(RetryUnread());
    list.set_after_uid(state_.uid);
  }
  RETURN_IF_ERROR(ForEachMessage(context_.client(), std::move(list),
                                 [this](const v1::ListMessagesResponse& page) { return ExportPage(page); }));
  progress_.Hide();
  if (!incremental_) return absl::OkStatus();
  state_.moving_from = state_.uid;
  return state_.Write(state_path_);
}

// A timer does not wait for the run before.
absl::Status MaildirExport::Lock() {
  lock_ = OpenFile(open(maildir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock_.ok()) return FileError(maildir_.path(), "open");
  if (flock(lock_.fd(), LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return FileError(maildir_.path(), "lock");
  return absl::FailedPreconditionError(maildir_.path() + ": another export --incremental is at work on it");
}

// The others are not worse for a damaged message.
absl::Status MaildirExport::Damaged(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  ++figures_.damaged;
  progress_.Hide();
  context_.err << "restante: " << Printable(status.message()) << "\n";
  return absl::OkStatus();
}

void MaildirExport::Wrote(const v1::Message& message) {
  ++figures_.written;
  figures_.bytes += message.size_bytes();
  progress_.Show(figures_.written + figures_.present, incremental_ ? 0 : mailbox_.usage().messages());
}

std::vector<absl::Status> MaildirExport::StageAll(const std::vector<const v1::Message*>& messages) {
  std::vector<absl::Status> statuses(messages.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < messages.size(); i = next++) {
      statuses[i] = Stage(context_.client(), mailbox_, *messages[i], maildir_);
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(kParallel, messages.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

absl::Status MaildirExport::ExportPage(const v1::ListMessagesResponse& page) {
  if (page.messages().empty()) return absl::OkStatus();
  std::vector<const v1::Message*> missing, staged;
  for (const v1::Message& message : page.messages()) {
    const bool present = !maildir_.Find(FileNameOf(mailbox_, message)).empty();
    if (present) {
      ++figures_.present;
    } else {
      missing.push_back(&message);
    }
  }
  const std::vector<absl::Status> statuses = StageAll(missing);
  for (size_t i = 0; i < missing.size(); ++i) {
    if (statuses[i].ok()) {
      staged.push_back(missing[i]);
    } else if (!absl::IsNotFound(statuses[i])) {  // Deleted since it was listed.
      RETURN_IF_ERROR(Damaged(statuses[i]));
      state_.unread.insert(missing[i]->uid());
    }
  }
  if (incremental_) {
    RETURN_IF_ERROR(maildir_.Sync());
    state_.moving_from = state_.uid;
    state_.uid = page.messages().rbegin()->uid();
    RETURN_IF_ERROR(state_.Write(state_path_));
  }
  for (const v1::Message* message : staged) {
    RETURN_IF_ERROR(Publish(mailbox_, *message, maildir_));
    Wrote(*message);
  }
  return maildir_.Sync();
}

// Step 3 of a page that a run before did not finish.
absl::Status MaildirExport::FinishMoving() {
  if (state_.moving_from == state_.uid) return absl::OkStatus();
  v1::ListMessagesRequest list;
  list.set_parent(mailbox_.name());
  list.set_after_uid(state_.moving_from);
  bool beyond = false;
  do {
    ASSIGN_OR_RETURN(const v1::ListMessagesResponse page, context_.client().ListMessages(list));
    for (const v1::Message& message : page.messages()) {
      beyond = beyond || message.uid() > state_.uid;
      if (beyond || !maildir_.IsStaged(FileNameOf(mailbox_, message))) continue;
      RETURN_IF_ERROR(Publish(mailbox_, message, maildir_));
      Wrote(message);
    }
    list.set_page_token(page.next_page_token());
  } while (!beyond && !list.page_token().empty());
  return maildir_.Sync();
}

absl::Status MaildirExport::RetryUnread() {
  for (const uint64_t uid : std::set<uint64_t>(state_.unread)) {
    v1::ListMessagesRequest list;
    list.set_parent(mailbox_.name());
    list.set_after_uid(uid - 1);
    list.set_page_size(1);
    ASSIGN_OR_RETURN(const v1::ListMessagesResponse page, context_.client().ListMessages(list));
    if (!page.messages().empty() && page.messages(0).uid() == uid) {
      const absl::StatusOr<bool> saved = Save(context_.client(), mailbox_, page.messages(0), maildir_);
      if (!saved.ok() && !absl::IsNotFound(saved.status())) {
        RETURN_IF_ERROR(Damaged(saved.status()));
        continue;
      }
      if (saved.ok() && *saved) Wrote(page.messages(0));
    }
    state_.unread.erase(uid);
  }
  return maildir_.Sync();
}

}  // namespace restante::cli
