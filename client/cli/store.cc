// restante store verify|compact
#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/long_work.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

absl::Status Verify(Context& context) {
  uint64_t problems = 0;
  LongWork<v1::VerifyResponse> work;
  work.what = "verifying mailboxes";
  work.progress = [](const v1::VerifyResponse& response) {
    return std::pair(response.checked_mailboxes(), response.total_mailboxes());
  };
  work.findings = [&](const v1::VerifyResponse& response) {
    problems += static_cast<uint64_t>(response.problems_size());
    return std::vector<std::string>(response.problems().begin(), response.problems().end());
  };
  ASSIGN_OR_RETURN(const v1::VerifyResponse last, Watch(context, &Client::Verify, v1::VerifyRequest(), work));
  Record record;
  record.Number("checked_mailboxes", last.checked_mailboxes())
      .Number("checked_messages", last.checked_messages())
      .Number("checked_bodies", last.checked_bodies())
      .Number("problems", problems);
  Printer(context.out, context.json()).One(record);
  if (problems > 0) return absl::DataLossError(absl::StrCat(problems, " problems found"));
  return absl::OkStatus();
}

absl::Status Compact(Context& context) {
  LongWork<v1::CompactResponse> work;
  work.what = "giving room back";
  work.octets = true;
  work.progress = [](const v1::CompactResponse& response) {
    return std::pair(response.reclaimed_bytes(), response.total_bytes());
  };
  ASSIGN_OR_RETURN(const v1::CompactResponse last,
                   Watch(context, &Client::Compact, v1::CompactRequest(), work));
  Record record;
  record.Size("reclaimed_bytes", last.reclaimed_bytes());
  Printer(context.out, context.json()).One(record);
  return absl::OkStatus();
}

}  // namespace

void AddStoreCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("store", "Upkeep of the store.");
  group->footer("Example:\n  restante store verify\n");
  group
      ->add_subcommand(
          "verify",
          "Adds up all usage and references while mail flows and compares them with the figures kept. "
          "Changes nothing; exit status 1 if something is wrong.")
      ->callback([&context] { context.run = Verify; });
  group
      ->add_subcommand(
          "compact",
          "Gives back the room of deleted mail, now and completely, while mail flows. By itself the "
          "store does so slowly, and leaves up to a fifth.")
      ->callback([&context] { context.run = Compact; });
}

}  // namespace restante::cli
