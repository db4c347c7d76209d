// restante import maildir|mbox|eml PATH --to ADDRESS
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/context.h"
#include "client/cli/folder_names.h"
#include "client/cli/importer.h"
#include "client/cli/local_files.h"
#include "client/cli/maildir_scan.h"
#include "client/cli/mbox.h"
#include "client/cli/message_file.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct ImportArguments {
  std::string path, to;
  std::vector<std::string> files;
  std::string folder = std::string(kInbox);
  bool ignore_quota = false;
  std::string journal;

  ImportOptions Options(uint64_t total) const {
    return {.ignore_quota = ignore_quota, .journal = journal, .total = total};
  }
};

absl::Status ImportMaildir(Context& context, const ImportArguments& arguments) {
  absl::StatusOr<MaildirTree> tree = ScanMaildir(arguments.path, absl::Now());
  if (!tree.ok()) return UsageError(tree.status().message());
  Importer importer(context, arguments.Options(tree->files.size() + tree->problems.size()));
  RETURN_IF_ERROR(importer.Begin(arguments.to));
  for (const std::string& problem : tree->problems) importer.AddProblem(problem);
  const uint64_t limit = importer.max_message();
  for (MaildirFile& file : tree->files) {
    ImportedMessage message;
    message.label = file.path;
    message.folder = file.folder;
    message.name = file.base;
    message.size = file.size;
    message.arrival = file.arrival;
    message.flags = file.flags;
    message.keywords = file.keywords;
    message.load = [file = std::move(file), limit] { return ReadMaildirFile(file, limit); };
    if (!importer.Add(std::move(message))) break;
  }
  return importer.Finish(std::move(Record().Text("maildir", arguments.path)));
}

absl::Status ImportMbox(Context& context, const ImportArguments& arguments) {
  std::ifstream opened;
  const bool standard = arguments.path == "-";
  if (!standard) {
    opened.open(arguments.path, std::ios::binary);
    if (!opened) return UsageError(FileError(arguments.path, "open").message());
  }
  const std::string name = standard ? "standard input" : arguments.path;
  Importer importer(context, arguments.Options(0));
  RETURN_IF_ERROR(importer.Begin(arguments.to));
  MboxReader reader(standard ? std::cin : opened, name, importer.max_message());
  while (true) {
    absl::StatusOr<std::optional<MboxMessage>> next = reader.Next();
    if (absl::IsInvalidArgument(next.status())) return UsageError(next.status().message());
    if (!next.ok()) importer.AddProblem(next.status().message());
    if (!next.ok() || !*next) break;
    MboxMessage& found = **next;
    ImportedMessage message;
    message.label = absl::StrCat(name, ": message ", found.number);
    if (found.too_large > 0) {
      importer.AddProblem(TooLarge(message.label, found.too_large, importer.max_message()).message());
      continue;
    }
    message.folder = arguments.folder;
    // Not its place, which another program moves when it takes one out.
    message.name = absl::StrCat(absl::ToUnixSeconds(found.from.date), " ", found.from.sender);
    message.size = found.text.size();
    message.arrival = found.from.date;
    message.count_equal = true;
    FileMessage file;
    file.text = std::move(found.text);
    file.sender = found.from.sender;
    message.load = [file = std::move(file)]() mutable { return std::move(file); };
    if (!importer.Add(std::move(message))) break;
  }
  return importer.Finish(std::move(Record().Text("mbox", name)));
}

absl::Status ImportEml(Context& context, const ImportArguments& arguments) {
  Importer importer(context, arguments.Options(arguments.files.size()));
  RETURN_IF_ERROR(importer.Begin(arguments.to));
  const uint64_t limit = importer.max_message();
  for (const std::string& path : arguments.files) {
    const bool standard = path == "-";
    ImportedMessage message;
    message.label = standard ? "standard input" : path;
    message.folder = arguments.folder;
    message.name = path.substr(path.find_last_of('/') + 1);
    message.arrival = absl::Now();
    message.count_equal = true;
    struct stat info {};
    if (!standard && lstat(path.c_str(), &info) == 0) {
      message.size = static_cast<uint64_t>(info.st_size);
      message.arrival = absl::TimeFromTimespec(info.st_mtim);
    }
    message.load = [path, limit, standard]() -> absl::StatusOr<FileMessage> {
      if (!standard) return ReadMessageFile(path, limit);
      ASSIGN_OR_RETURN(const std::string octets, ReadWholeFile(path));
      return ParseMessageFile(octets);
    };
    if (!importer.Add(std::move(message))) break;
  }
  return importer.Finish(std::move(Record().Number("files", arguments.files.size())));
}

}  // namespace

void AddImportCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* group =
      app.add_subcommand("import", "Brings mail into a mailbox, also into one that is on hold.");
  const auto command = [&](const char* name, const char* help,
                           absl::Status (*fn)(Context&, const ImportArguments&)) {
    CLI::App* sub = group->add_subcommand(name, help);
    sub->add_option("--to", arguments->to, "The mailbox.")->required()->type_name("ADDRESS");
    sub->add_flag("--ignore-quota", arguments->ignore_quota,
                  "Charges what comes and refuses nothing for quota, only for the disk.");
    sub->add_option("--journal", arguments->journal,
                    "A file that remembers what was imported: then also what was deleted from the store long "
                    "ago does not come again with a repeat.")
        ->type_name("FILE");
    sub->callback([&context, arguments, fn] {
      context.run = [arguments, fn](Context& c) { return fn(c, *arguments); };
    });
    return sub;
  };
  const auto folder = [&](CLI::App* sub) {
    sub->add_option("--folder", arguments->folder, "Where it goes; made if it is missing.")
        ->capture_default_str();
  };
  constexpr char kRepeat[] =
      "It may be interrupted and repeated: what is in is not sent again. What cannot be read is named, the\n"
      "rest goes on, and the status is 1. A mailbox that is full ends it.\n";

  CLI::App* maildir =
      command("maildir",
              "All folders of a Maildir or Maildir++, with flags, keywords and times of arrival; "
              "what `export maildir` wrote comes back octet for octet.",
              ImportMaildir);
  maildir->add_option("PATH", arguments->path, "The Maildir.")->required();
  maildir->footer(
      absl::StrCat(kRepeat,
                   "A file's time is its arrival; without a sensible one, the seconds in its name.\n"
                   "Example:\n  restante import maildir /home/alice/Maildir --to alice@example.org\n"));

  CLI::App* mbox = command(
      "mbox", "The messages of an mbox file, with sender and time of their `From ` lines.", ImportMbox);
  mbox->add_option("PATH", arguments->path, "The file; - is standard input.")->required();
  folder(mbox);
  mbox->footer(
      absl::StrCat(kRepeat,
                   "One `>` of lines `>From ` is taken away (mboxrd); Content-Length is not believed.\n"
                   "Example:\n  restante import mbox /var/mail/alice --to alice@example.org\n"));

  CLI::App* eml = command("eml", "Files with one message each.", ImportEml);
  eml->add_option("FILE", arguments->files, "One or more; - is standard input.")->required()->expected(1, -1);
  folder(eml);
  eml->footer(absl::StrCat(kRepeat, "Example:\n  restante import eml *.eml --to alice@example.org\n"));
}

}  // namespace restante::cli
