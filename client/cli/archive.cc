// restante archive ADDRESS | --domain NAME | --all --older-than AGE --to DIR
//
// What is where at each step; each is durable before the next begins:
//
//     1. file written, synced, moved to new/      store
//     2. directory synced                         store and Maildir
//     3. file read back, same size and CRC32C     store and Maildir
//     4. expunged                                 Maildir
//
// An interruption at any point leaves the message in at least one place. Files
// are named after mailbox and UID, so the next run finds those of step 1 to 3,
// compares them, and goes on with step 4.
#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "client/cli/mail_files.h"
#include "client/cli/maildir.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"
#include "server/base/units.h"

namespace restante::cli {
namespace {

struct ArchiveArguments {
  Selection selection;
  std::string older_than, to;
};

struct Figures {
  uint64_t messages = 0, bytes = 0, kept = 0;
};

// One page of messages of one mailbox. A message whose file is not as it must be
// stays in the store.
absl::Status ArchivePage(Context& context, const v1::Mailbox& mailbox, const v1::ListMessagesResponse& page,
                         Maildir& maildir, Figures* figures) {
  // Only what is read whole is compared, and only what is the same is expunged.
  std::vector<const v1::Message*> saved;
  for (const v1::Message& message : page.messages()) {
    const absl::Status status = Save(context.client(), mailbox, message, maildir).status();
    if (status.ok()) {
      saved.push_back(&message);
    } else if (absl::IsDataLoss(status)) {
      context.err << "restante: " << Printable(status.message()) << "; it stays in the store\n";
      ++figures->kept;
    } else if (!absl::IsNotFound(status)) {  // Deleted since it was listed.
      return status;
    }
  }
  RETURN_IF_ERROR(maildir.Sync());
  v1::BatchDeleteMessagesRequest expunge;
  expunge.set_parent(mailbox.name());
  for (const v1::Message* message : saved) {
    if (absl::Status same = Compare(mailbox, *message, maildir); !same.ok()) {
      context.err << "restante: " << Printable(same.message()) << "; it stays in the store\n";
      ++figures->kept;
      continue;
    }
    expunge.add_uids(message->uid());
  }
  if (expunge.uids().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(v1::BatchDeleteMessagesResponse gone, context.client().BatchDeleteMessages(expunge));
  figures->messages += gone.deleted_messages();
  figures->bytes += gone.deleted_bytes();
  return absl::OkStatus();
}

absl::Status ArchiveMailbox(Context& context, const v1::Mailbox& mailbox, absl::Time before,
                            const std::string& to, Figures* figures) {
  Maildir maildir(absl::StrCat(to, "/", EncodedIdOf(mailbox.name())));
  bool created = false;
  v1::ListMessagesRequest list;
  list.set_parent(mailbox.name());
  list.mutable_arrived_before()->set_seconds(absl::ToUnixSeconds(before));
  list.mutable_arrived_before()->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(before - absl::FromUnixSeconds(absl::ToUnixSeconds(before)))));
  return ForEachMessage(context.client(), std::move(list),
                        [&](const v1::ListMessagesResponse& page) -> absl::Status {
                          if (page.messages().empty()) return absl::OkStatus();
                          // A mailbox without old mail gets no directory.
                          if (!std::exchange(created, true)) RETURN_IF_ERROR(maildir.Create());
                          return ArchivePage(context, mailbox, page, maildir, figures);
                        });
}

absl::Status Archive(Context& context, const ArchiveArguments& arguments) {
  ASSIGN_OR_RETURN(absl::Duration age, ParseDuration(arguments.older_than));
  absl::Time before = absl::Now() - age;
  Figures total;
  uint64_t damaged = 0;  // Mailboxes.
  {
    Printer printer(context.out, context.json());
    Progress progress("archived messages");
    absl::Status all = arguments.selection.ForEach(context, [&](const v1::Mailbox& mailbox) -> absl::Status {
      Figures figures;
      absl::Status status = ArchiveMailbox(context, mailbox, before, arguments.to, &figures);
      total.messages += figures.messages;
      total.bytes += figures.bytes;
      total.kept += figures.kept;
      progress.Show(total.messages, 0);
      // Deleted since it was listed.
      if (absl::IsNotFound(status) && arguments.selection.address.empty()) return absl::OkStatus();
      if (absl::IsDataLoss(status)) {
        // Its list cannot be read to its end; the other mailboxes are not worse for it.
        context.err << "restante: " << IdOf(mailbox.name()) << ": " << Printable(status.message()) << "\n";
        ++damaged;
        status = absl::OkStatus();
      }
      RETURN_IF_ERROR(status);
      if (figures.messages == 0 && figures.kept == 0 && arguments.selection.address.empty()) {
        return absl::OkStatus();
      }
      Record record;
      record.Text("mailbox", IdOf(mailbox.name()))
          .Number("archived_messages", figures.messages)
          .Size("archived_bytes", figures.bytes)
          .Number("kept_messages", figures.kept);
      printer.Add(std::move(record));
      return absl::OkStatus();
    });
    RETURN_IF_ERROR(all);
  }
  if (!context.json()) {
    context.out << total.messages << " messages (" << FormatSize(total.bytes) << ") are in " << arguments.to
                << " now and no longer in the store\n";
  }
  if (damaged > 0) {
    return absl::DataLossError(absl::StrCat(damaged, " mailboxes could not be archived to their end"));
  }
  if (total.kept > 0) {
    return absl::DataLossError(
        absl::StrCat(total.kept, " messages could not be archived and stay in the store"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddArchiveCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ArchiveArguments>();
  CLI::App* command = app.add_subcommand("archive",
                                         "Makes room: writes old messages to Maildirs, one for each mailbox, "
                                         "syncs and compares them, and only then "
                                         "deletes them from the store. May be interrupted and repeated.");
  arguments->selection.AddTo(command);
  Check(
      command->add_option("--older-than", arguments->older_than, "Age of the messages: 0s for all, 365d, ...")
          ->required()
          ->type_name("AGE"),
      [](const std::string& text) { return ParseDuration(text).status(); });
  command->add_option("--to", arguments->to, "Directory for the Maildirs; made if it is missing.")
      ->required()
      ->type_name("DIR");
  command->footer(
      "Examples:\n  restante archive alice@example.org --older-than 365d --to /var/archive\n"
      "  restante archive --all --older-than 2d12h --to /var/archive\n");
  command->callback(
      [&context, arguments] { context.run = [arguments](Context& c) { return Archive(c, *arguments); }; });
}

}  // namespace restante::cli
