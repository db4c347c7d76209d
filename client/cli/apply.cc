// restante apply FILE
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/context.h"
#include "client/cli/directory_plan.h"
#include "client/cli/directory_rows.h"
#include "client/cli/output.h"
#include "restante/errors.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

// The store makes what comes together durable together.
constexpr size_t kParallel = 128;
constexpr size_t kShownProblems = 20;

struct ApplyOptions {
  std::string file;
  bool dry_run = false, disable_missing = false, force = false;
};

// A line for each, not more than anybody reads.
void Tell(const Context& context, const std::vector<std::string>& problems) {
  for (size_t i = 0; i < std::min(problems.size(), kShownProblems); ++i) {
    context.err << "restante: " << Printable(problems[i]) << "\n";
  }
  if (problems.size() > kShownProblems) {
    context.err << "restante: and " << problems.size() - kShownProblems << " more\n";
  }
}

absl::StatusOr<std::vector<DirectoryRow>> ReadRows(const Context& context, const std::string& file) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file, std::ios::binary);
    if (!opened) return UsageError(absl::StrCat(file, ": cannot be read"));
  }
  std::vector<DirectoryRow> rows;
  std::vector<std::string> problems;
  const std::string name = file == "-" ? "standard input" : file;
  RETURN_IF_ERROR(ReadDirectoryRows(file == "-" ? std::cin : opened, name, &rows, &problems));
  if (!problems.empty()) {
    Tell(context, problems);
    return UsageError(absl::StrCat("nothing was changed: ", problems.size(),
                                   problems.size() == 1 ? " row is" : " rows are", " wrong"));
  }
  if (rows.empty()) return UsageError(absl::StrCat(name, ": has no rows"));
  return rows;
}

struct Applied {
  size_t created = 0, updated = 0, disabled = 0;
  std::vector<std::string> problems;
  absl::Status unreachable;  // Ends it.
};

// Makes all changes of a step, many at once.
void Apply(Context& context, const std::string& file, const std::vector<DirectoryChange>& step, Progress& bar,
           size_t total, size_t& done, Applied& applied) {
  std::atomic<size_t> next{0};
  absl::Mutex mutex;
  const auto work = [&] {
    for (size_t i = next++; i < step.size(); i = next++) {
      const DirectoryChange& change = step[i];
      const absl::Status status = change.Make(context.client());
      absl::MutexLock lock(&mutex);
      if (IsUnreachable(status)) {
        applied.unreachable = status;
        next = step.size();
      } else if (!status.ok()) {
        applied.problems.push_back(absl::StrCat(
            change.line == 0 ? file : absl::StrCat(file, ":", change.line), ": ", status.message()));
      } else {
        ++(change.action == DirectoryChange::Action::kCreate    ? applied.created
           : change.action == DirectoryChange::Action::kDisable ? applied.disabled
                                                                : applied.updated);
      }
      bar.Show(++done, total);
    }
  };
  std::vector<std::thread> threads;
  const size_t more = std::min(kParallel, step.size()) - 1;
  for (size_t i = 0; i < more; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
}

absl::Status Run(Context& context, const ApplyOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<DirectoryRow> rows, ReadRows(context, options.file));
  ASSIGN_OR_RETURN(const DirectoryPlan plan, PlanDirectory(context.client(), rows, options.disable_missing));
  if (plan.disabled * 10 > plan.enabled && !options.force && !options.dry_run) {
    return absl::FailedPreconditionError(absl::StrCat(
        "nothing was changed: ", plan.disabled, " of ", plan.enabled,
        " mailboxes have no row and would be disabled, which is more than 10 %. Is the file whole? "
        "--dry-run shows them, --force disables them."));
  }
  size_t total = 0;
  for (const auto& step : plan.steps) total += step.size();
  if (options.dry_run) {
    for (const auto& step : plan.steps) {
      for (const DirectoryChange& change : step) context.out << Printable(change.text) << "\n";
    }
  }
  Applied applied;
  if (!options.dry_run) {
    Progress bar("applying");
    size_t done = 0;
    for (const auto& step : plan.steps) {
      Apply(context, options.file, step, bar, total, done, applied);
      if (!applied.unreachable.ok()) return applied.unreachable;
    }
  }
  Record record;
  record.Number("created", applied.created)
      .Number("updated", applied.updated)
      .Number("disabled", applied.disabled)
      .Number("unchanged", plan.unchanged)
      .Number("failed", applied.problems.size());
  if (!options.dry_run) Printer(context.out, context.json()).One(record);
  if (applied.problems.empty()) return absl::OkStatus();
  Tell(context, applied.problems);
  return absl::FailedPreconditionError(
      absl::StrCat(applied.problems.size(), " of ", total, " changes were refused"));
}

}  // namespace

void AddApplyCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<ApplyOptions>();
  CLI::App* command = app.add_subcommand(
      "apply", "Makes the store have the domains, mailboxes and aliases that a file lists; deletes nothing.");
  command
      ->add_option("FILE", options->file,
                   "CSV with a line of column names, or JSON lines; - is standard input.")
      ->required();
  command->add_flag("--dry-run", options->dry_run,
                    "Shows what would change: + is new, ~ changes, - is disabled.");
  command->add_flag("--disable-missing", options->disable_missing,
                    "Disables mailboxes that have no row, in the domains that the rows name.");
  command->add_flag("--force", options->force, "Disables them though they be more than 10 % of all.");
  command->footer(
      "What a row does not give stays as it is. All rows are read before anything is changed.\n"
      "  domain   default_bytes default_messages max_bytes over_quota catch_all\n"
      "  mailbox  bytes messages state\n"
      "  alias    mailbox\n\n"
      "Examples:\n"
      "  printf 'mailbox,bytes,state\\nalice@example.org,1G,active\\n' | restante apply -\n"
      "  restante --output json mailbox list >mailboxes.jsonl; restante apply mailboxes.jsonl\n");
  command->callback(
      [&context, options] { context.run = [options](Context& c) { return Run(c, *options); }; });
}

}  // namespace restante::cli
