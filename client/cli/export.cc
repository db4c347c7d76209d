// restante export maildir PATH --from ADDRESS
#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/mail_files.h"
#include "client/cli/maildir.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct ExportArguments {
  std::string path, from;
};

absl::Status ExportMaildir(Context& context, const ExportArguments& arguments) {
  v1::GetMailboxRequest get;
  get.set_name(MailboxName(arguments.from));
  ASSIGN_OR_RETURN(v1::Mailbox mailbox, context.client().GetMailbox(get));
  Maildir maildir(arguments.path);
  if (absl::Status made = maildir.Create(); !made.ok()) return UsageError(made.message());
  uint64_t written = 0, present = 0, bytes = 0, damaged = 0;
  {
    Progress progress("exporting");
    v1::ListMessagesRequest list;
    list.set_parent(mailbox.name());
    RETURN_IF_ERROR(ForEachMessage(
        context.client(), std::move(list), [&](const v1::ListMessagesResponse& page) -> absl::Status {
          for (const v1::Message& message : page.messages()) {
            absl::StatusOr<bool> saved = Save(context.client(), mailbox, message, maildir);
            if (absl::IsNotFound(saved.status())) continue;  // Deleted since it was listed.
            if (absl::IsDataLoss(saved.status())) {
              // The others are not worse for it.
              ++damaged;
              progress.Hide();
              context.err << "restante: " << Printable(saved.status().message()) << "\n";
              continue;
            }
            if (!saved.ok()) return saved.status();
            ++(*saved ? written : present);
            bytes += *saved ? message.size_bytes() : 0;
            progress.Show(written + present, mailbox.usage().messages());
          }
          return maildir.Sync();
        }));
  }
  Record record;
  record.Text("maildir", arguments.path)
      .Number("written_messages", written)
      .Size("written_bytes", bytes)
      .Number("present_messages", present)
      .Number("damaged_messages", damaged);
  Printer(context.out, context.json()).One(record);
  if (damaged > 0) return absl::DataLossError(absl::StrCat(damaged, " messages cannot be read"));
  return absl::OkStatus();
}

}  // namespace

void AddExportCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* group = app.add_subcommand("export", "Copies a mailbox out of the store.");
  CLI::App* maildir = group->add_subcommand(
      "maildir",
      "Writes every message to a Maildir, with LF line ends where that is lossless and Return-Path and "
      "Delivered-To on top. Messages that are there already are not written again.");
  maildir->add_option("PATH", arguments->path, "The Maildir; made if it is missing.")->required();
  maildir->add_option("--from", arguments->from, "The mailbox.")->required()->type_name("ADDRESS");
  maildir->footer("Example:\n  restante export maildir /tmp/alice --from alice@example.org\n");
  maildir->callback([&context, arguments] {
    context.run = [arguments](Context& c) { return ExportMaildir(c, *arguments); };
  });
}

}  // namespace restante::cli
