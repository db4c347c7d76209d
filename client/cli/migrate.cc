// restante migrate
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/output.h"
#include "client/cli/store_program.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct MigrateArguments {
  std::string from, to;
  bool stay = false;
  // Handed on as they are.
  std::vector<std::pair<const char*, std::string>> ceph = {{"ceph-conf", ""},    {"ceph-user", ""},
                                                           {"ceph-keyring", ""}, {"ceph-namespace", ""},
                                                           {"pool-index", ""},   {"pool-body", ""}};
  bool allow_min_size_1 = false;
};

absl::Status Migrate(Context& context, const MigrateArguments& arguments) {
  std::vector<std::string> args = {"migrate", "--from", arguments.from};
  if (!arguments.to.empty()) args.insert(args.end(), {"--to", arguments.to});
  if (arguments.stay) args.push_back("--stay");
  for (const auto& [name, value] : arguments.ceph) {
    if (!value.empty()) args.insert(args.end(), {absl::StrCat("--", name), value});
  }
  if (arguments.allow_min_size_1) args.push_back("--allow-min-size-1");
  Record record;
  {
    std::optional<Progress> bar;
    std::string shown;
    StoreProgramOutput output;
    output.figures = [&](absl::string_view word, const std::vector<uint64_t>& numbers) {
      if ((word == "copying" || word == "comparing") && numbers.size() == 4) {
        if (shown != word) bar.reset();
        if (!bar) bar.emplace(std::string(word), /*octets=*/true);
        shown = std::string(word);
        bar->Show(numbers[2], numbers[3], absl::StrCat(", mailboxes ", numbers[0], "/", numbers[1]));
      }
      if (word == "moved" && numbers.size() == 6) {
        record.Number("mailboxes", numbers[0])
            .Number("messages", numbers[1])
            .Size("bytes", numbers[2])
            .Number("copied_texts", numbers[3])
            .Number("receipts", numbers[4])
            .Number("events", numbers[5]);
      }
      if (word == "stayed" && numbers.size() == 1) record.Number("new_uidvalidities", numbers[0]);
    };
    output.text = [&](absl::string_view line) {
      if (bar) bar->Hide();
      context.err << Printable(line) << "\n";
    };
    RETURN_IF_ERROR(RunStoreProgram(args, output));
  }
  Printer(context.out, context.json()).One(record);
  return absl::OkStatus();
}

}  // namespace

void AddMigrateCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<MigrateArguments>();
  CLI::App* migrate = app.add_subcommand(
      "migrate",
      "Moves a store to another place, on this machine, with the restante-store that is installed here: from "
      "a data directory to a Ceph cluster, back, or to another directory. No store may run on either. All "
      "mail is compared afterwards, and only then the new place may be served, and the old one not any "
      "more. Interrupted, the same command goes on.");
  migrate->footer(
      "Examples:\n  restante migrate --from embedded:/var/lib/restante --to rados\n"
      "  restante migrate --from rados --to embedded:/srv/restante\n"
      "  restante migrate --from embedded:/var/lib/restante --stay\n");
  migrate->add_option("--from", arguments->from, "Where the store is: embedded:DIR, or rados.")
      ->required()
      ->type_name("PLACE");
  migrate->add_option("--to", arguments->to, "Where it goes: embedded:DIR, missing or empty, or rados.")
      ->type_name("PLACE");
  migrate->add_flag(
      "--stay", arguments->stay,
      "Give the move up: the store may be served from --from again. If it was complete, what came "
      "to the other place since is not here, and every folder gets a new UIDVALIDITY.");
  const char* const helps[] = {"The cluster's ceph.conf.", "The store's user there.",
                               "File with its key.",       "RADOS namespace of the store.",
                               "The pool of mailboxes.",   "The pool of messages' texts."};
  for (size_t i = 0; i < arguments->ceph.size(); ++i) {
    auto& [name, value] = arguments->ceph[i];
    migrate->add_option(absl::StrCat("--", name), value, absl::StrCat(helps[i], " As restante-store has it."))
        ->type_name(i == 0 || i == 2 ? "FILE" : "NAME");
  }
  migrate->add_flag("--allow-min-size-1", arguments->allow_min_size_1, "As restante-store has it.");
  migrate->callback([&context, arguments] {
    context.offline = true;
    context.run = [arguments](Context& c) { return Migrate(c, *arguments); };
  });
}

}  // namespace restante::cli
