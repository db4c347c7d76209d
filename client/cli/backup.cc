// restante store backup | restore
#include "client/cli/backup.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/damage.h"
#include "client/cli/long_work.h"
#include "client/cli/output.h"
#include "client/cli/store_program.h"
#include "server/base/status_macros.h"
#include "server/base/units.h"

namespace restante::cli {
namespace {

struct BackupArguments {
  std::string directory;
  bool verify_kept = false;
  std::string rate;
};

absl::Status Backup(Context& context, const BackupArguments& arguments) {
  if (!absl::StartsWith(arguments.directory, "/")) {
    return UsageError(absl::StrCat(arguments.directory,
                                   ": has to be an absolute path: it is a directory of the store's machine"));
  }
  v1::BackupRequest request;
  request.set_directory(arguments.directory);
  request.set_verify_kept(arguments.verify_kept);
  if (!arguments.rate.empty()) {
    ASSIGN_OR_RETURN(const uint64_t rate, ParseSize(arguments.rate));
    request.set_max_bytes_per_second(rate);
  }
  std::set<std::string> files;  // Damaged ones.
  LongWork<v1::BackupResponse> work;
  work.what = "backing up";
  work.octets = true;
  work.progress = [](const v1::BackupResponse& response) {
    return std::pair(response.done_bytes(), response.total_bytes());
  };
  work.findings = [&](const v1::BackupResponse& response) {
    std::vector<std::string> lines;
    for (const v1::Damage& damage : response.damages()) {
      for (std::string& line : DamageLines(damage)) lines.push_back(std::move(line));
      files.insert(damage.file());
    }
    return lines;
  };
  ASSIGN_OR_RETURN(const v1::BackupResponse last, Watch(context, &Client::Backup, request, work));
  Record record;
  record.Number("files", last.files())
      .Size("bytes", last.bytes())
      .Size("copied_bytes", last.copied_bytes())
      .Number("linked_files", last.linked_files())
      .Number("kept_files", last.kept_files())
      .Number("messages", last.bodies())
      .Number("damaged_files", files.size());
  Printer(context.out, context.json()).One(record);
  if (files.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the backup is made, with damage of the store in it (",
                                          files.size(),
                                          " files); `restante store scrub` tells which messages are lost"));
}

struct RestoreArguments {
  std::string backup, data_dir;
  bool damaged = false;
};

absl::Status Restore(Context& context, const RestoreArguments& arguments) {
  std::vector<std::string> args = {"--restore", arguments.backup, "--data-dir", arguments.data_dir};
  if (arguments.damaged) args.push_back("--restore-damaged");
  Record record;
  {
    Progress bar("restoring", /*octets=*/true);
    StoreProgramOutput output;
    output.figures = [&](absl::string_view word, const std::vector<uint64_t>& numbers) {
      if (word == "restoring" && numbers.size() == 2) bar.Show(numbers[0], numbers[1]);
      if (word == "restored" && numbers.size() == 4) {
        record.Number("files", numbers[0])
            .Size("bytes", numbers[1])
            .Number("folders", numbers[2])
            .Number("damaged_files", numbers[3]);
      }
    };
    output.text = [&](absl::string_view line) {
      bar.Hide();
      context.err << Printable(line) << "\n";
    };
    RETURN_IF_ERROR(RunStoreProgram(args, output));
  }
  Printer(context.out, context.json()).One(record);
  return absl::OkStatus();
}

}  // namespace

void AddBackupCommands(CLI::App& group, Context& context) {
  auto backup_arguments = std::make_shared<BackupArguments>();
  CLI::App* backup = group.add_subcommand(
      "backup",
      "Makes a directory on the store's machine a backup of one moment of the store, while mail flows. An "
      "earlier backup there is brought up to date, and stays one until the new one is finished. Exit status "
      "1 if the store is found damaged.");
  backup->add_option("DIR", backup_arguments->directory, "Absolute path; made if it is missing.")->required();
  backup->add_flag("--verify-kept", backup_arguments->verify_kept,
                   "Read the files that an earlier backup left, too, and make damaged ones again.");
  Check(backup->add_option("--rate", backup_arguments->rate, "Octets a second at most.")->type_name("SIZE"),
        [](const std::string& text) { return ParseSize(text).status(); });
  backup->callback([&context, backup_arguments] {
    context.run = [backup_arguments](Context& c) { return Backup(c, *backup_arguments); };
  });

  auto restore_arguments = std::make_shared<RestoreArguments>();
  CLI::App* restore = group.add_subcommand(
      "restore",
      "Makes a data directory from a backup, on this machine, with the restante-store that is installed "
      "here. No store may run on it; start one when this is done. Every folder gets a new UIDVALIDITY.");
  restore->add_option("BACKUP", restore_arguments->backup, "The backup's directory.")->required();
  restore->add_option("DATA-DIR", restore_arguments->data_dir, "The new data directory; missing or empty.")
      ->required();
  restore->add_flag("--damaged", restore_arguments->damaged,
                    "Take what can be read of a damaged backup; without it nothing is made of one.");
  restore->callback([&context, restore_arguments] {
    context.offline = true;
    context.run = [restore_arguments](Context& c) { return Restore(c, *restore_arguments); };
  });
}

}  // namespace restante::cli
