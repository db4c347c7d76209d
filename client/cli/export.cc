// restante export maildir|mbox PATH --from ADDRESS
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/export_maildir.h"
#include "client/cli/local_files.h"
#include "client/cli/mail_files.h"
#include "client/cli/mbox.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct ExportArguments {
  std::string path, from, folder;
  bool incremental = false;
};

absl::StatusOr<v1::Mailbox> MailboxOf(Context& context, const ExportArguments& arguments) {
  v1::GetMailboxRequest get;
  get.set_name(MailboxName(arguments.from));
  return context.client().GetMailbox(get);
}

absl::Status Tell(Context& context, Record& record, const MaildirExport::Figures& figures) {
  record.Number("written_messages", figures.written)
      .Size("written_bytes", figures.bytes)
      .Number("present_messages", figures.present)
      .Number("damaged_messages", figures.damaged);
  Printer(context.out, context.json()).One(record);
  if (figures.damaged == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(figures.damaged, " messages cannot be read"));
}

absl::Status ExportMaildir(Context& context, const ExportArguments& arguments) {
  ASSIGN_OR_RETURN(v1::Mailbox mailbox, MailboxOf(context, arguments));
  MaildirExport work(context, std::move(mailbox), arguments.path, arguments.incremental);
  RETURN_IF_ERROR(work.Run());
  Record record;
  record.Text("maildir", arguments.path);
  return Tell(context, record, work.figures());
}

// Standard output, or a file that has its name when it is whole.
class MboxTarget {
 public:
  explicit MboxTarget(std::string path) : path_(std::move(path)), part_(path_ + ".part") {}

  ~MboxTarget() {
    if (file_) unlink(part_.c_str());  // It did not come to its name.
  }

  absl::Status Open() {
    if (path_ == "-") return absl::OkStatus();
    if (access(path_.c_str(), F_OK) == 0) return UsageError(path_ + ": is there already");
    file_.emplace(open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file_->ok()) return absl::OkStatus();
    const absl::Status why = FileError(part_, "create");
    file_.reset();
    return UsageError(why.message());
  }
  absl::Status Write(Context& context, const std::string& octets) {
    if (file_) return WriteAll(file_->fd(), octets, part_);
    context.out.write(octets.data(), static_cast<std::streamsize>(octets.size()));
    return context.out ? absl::OkStatus() : absl::InternalError("standard output: cannot be written");
  }
  absl::Status Close() {
    if (!file_) return absl::OkStatus();
    if (fsync(file_->fd()) != 0) return FileError(part_, "sync");
    if (rename(part_.c_str(), path_.c_str()) != 0) return FileError(path_, "rename");
    file_.reset();
    const size_t slash = path_.find_last_of('/');
    return SyncDirectory(slash == std::string::npos ? "." : path_.substr(0, slash + 1));
  }

 private:
  const std::string path_, part_;
  std::optional<OpenFile> file_;
};

absl::Status ExportMbox(Context& context, const ExportArguments& arguments) {
  ASSIGN_OR_RETURN(const v1::Mailbox mailbox, MailboxOf(context, arguments));
  MboxTarget target(arguments.path);
  RETURN_IF_ERROR(target.Open());
  MaildirExport::Figures figures;
  {
    Progress progress("exporting");
    v1::ListMessagesRequest list;
    list.set_parent(arguments.folder.empty() ? mailbox.name() : FolderName(mailbox.name(), arguments.folder));
    const absl::Status all = ForEachMessage(
        context.client(), std::move(list), [&](const v1::ListMessagesResponse& page) -> absl::Status {
          for (const v1::Message& message : page.messages()) {
            absl::StatusOr<std::string> text = FetchMessage(context.client(), message);
            if (absl::IsNotFound(text.status())) continue;  // Deleted since it was listed.
            if (absl::IsDataLoss(text.status())) {
              ++figures.damaged;
              progress.Hide();
              context.err << "restante: " << Printable(text.status().message()) << "\n";
              continue;
            }
            if (!text.ok()) return text.status();
            RETURN_IF_ERROR(target.Write(context, ToMbox(message.sender(), ArrivalOf(message), *text)));
            ++figures.written;
            figures.bytes += message.size_bytes();
            progress.Show(figures.written, mailbox.usage().messages());
          }
          return absl::OkStatus();
        });
    RETURN_IF_ERROR(all);
  }
  RETURN_IF_ERROR(target.Close());
  if (arguments.path != "-") {
    Record record;
    record.Text("mbox", arguments.path);
    return Tell(context, record, figures);
  }
  if (figures.damaged == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(figures.damaged, " messages cannot be read"));
}

}  // namespace

void AddExportCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* group = app.add_subcommand("export", "Copies a mailbox out of the store.");
  const auto command = [&](const char* name, const char* help,
                           absl::Status (*fn)(Context&, const ExportArguments&)) {
    CLI::App* sub = group->add_subcommand(name, help);
    sub->add_option("--from", arguments->from, "The mailbox.")->required()->type_name("ADDRESS");
    sub->callback([&context, arguments, fn] {
      context.run = [arguments, fn](Context& c) { return fn(c, *arguments); };
    });
    return sub;
  };
  CLI::App* maildir = command(
      "maildir",
      "Writes every message to a Maildir, with LF line ends where that is lossless and Return-Path and "
      "Delivered-To on top; folders to .Name in it, flags and keywords to the names. Messages that are there "
      "already are not written again.",
      ExportMaildir);
  maildir->add_option("PATH", arguments->path, "The Maildir; made if it is missing.")->required();
  maildir->add_flag("--incremental", arguments->incremental,
                    "Only what no run before has written, wherever it may be now: what a mail server that "
                    "works on the Maildir moved or deleted does not come back. How far it came stands in "
                    "restante-export-* there.");
  maildir->footer(
      "Examples:\n  restante export maildir /tmp/alice --from alice@example.org\n"
      "  restante export maildir /home/alice/Maildir --from alice@example.org --incremental\n");
  CLI::App* mbox =
      command("mbox",
              "Writes every message to one file (mboxrd), with sender and time of arrival in its "
              "`From ` line. Folders and flags have no place there.",
              ExportMbox);
  mbox->add_option("PATH", arguments->path, "The file, which must not be there; - is standard output.")
      ->required();
  mbox->add_option("--folder", arguments->folder, "Of this folder only; without it, of all.");
  mbox->footer("Example:\n  restante export mbox alice.mbox --from alice@example.org\n");
}

}  // namespace restante::cli
