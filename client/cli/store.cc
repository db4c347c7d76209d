// restante store verify|scrub|compact|settle|sweep; backup and restore are in backup.cc.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/backup.h"
#include "client/cli/context.h"
#include "client/cli/damage.h"
#include "client/cli/long_work.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"
#include "server/base/units.h"

namespace restante::cli {
namespace {

absl::Status Verify(Context& context, bool repair) {
  v1::VerifyRequest request;
  request.set_repair(repair);
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
  ASSIGN_OR_RETURN(const v1::VerifyResponse last, Watch(context, &Client::Verify, request, work));
  Record record;
  record.Number("checked_mailboxes", last.checked_mailboxes())
      .Number("checked_messages", last.checked_messages())
      .Number("checked_bodies", last.checked_bodies())
      .Number("problems", problems);
  if (repair) record.Number("repaired_problems", last.repaired_problems());
  Printer(context.out, context.json()).One(record);
  const uint64_t left = problems - std::min(problems, last.repaired_problems());
  if (left > 0) {
    return absl::DataLossError(repair ? absl::StrCat(left, " of ", problems, " problems are left")
                                      : absl::StrCat(problems, " problems found"));
  }
  return absl::OkStatus();
}

absl::Status Scrub(Context& context, const std::string& rate) {
  v1::ScrubRequest request;
  ASSIGN_OR_RETURN(const uint64_t bytes_per_second, ParseSize(rate));
  request.set_max_bytes_per_second(bytes_per_second);
  uint64_t damages = 0, messages = 0;
  LongWork<v1::ScrubResponse> work;
  work.what = "scrubbing";
  work.octets = true;
  work.progress = [](const v1::ScrubResponse& response) {
    return std::pair(response.checked_bytes(), response.total_bytes());
  };
  work.findings = [&](const v1::ScrubResponse& response) {
    std::vector<std::string> lines;
    for (const v1::Damage& damage : response.damages()) {
      ++damages;
      messages += static_cast<uint64_t>(damage.messages_size());
      for (std::string& line : DamageLines(damage)) lines.push_back(std::move(line));
      if (context.json()) context.out << DamageJson(damage) << "\n";
    }
    return lines;
  };
  ASSIGN_OR_RETURN(const v1::ScrubResponse last, Watch(context, &Client::Scrub, request, work));
  Record record;
  record.Size("checked_bytes", last.checked_bytes())
      .Number("damages", damages)
      .Number("damaged_messages", messages);
  Printer(context.out, context.json()).One(record);
  if (damages > 0) return absl::DataLossError(absl::StrCat(damages, " places are damaged"));
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

absl::Status Settle(Context& context) {
  LongWork<v1::SettleResponse> work;
  work.what = "settling";
  work.progress = [](const v1::SettleResponse& response) {
    return std::pair(response.checked_mailboxes(), response.total_mailboxes());
  };
  ASSIGN_OR_RETURN(const v1::SettleResponse last, Watch(context, &Client::Settle, v1::SettleRequest(), work));
  Record record;
  record.Number("dead_stores", last.dead_stores())
      .Number("settled_reservations", last.settled_reservations());
  Printer(context.out, context.json()).One(record);
  return absl::OkStatus();
}

absl::Status Sweep(Context& context) {
  LongWork<v1::SweepResponse> work;
  work.what = "sweeping";
  work.progress = [](const v1::SweepResponse& response) {
    return std::pair(response.checked_bodies(), response.total_bodies());
  };
  ASSIGN_OR_RETURN(const v1::SweepResponse last, Watch(context, &Client::Sweep, v1::SweepRequest(), work));
  Record record;
  record.Number("removed_bodies", last.removed_bodies()).Size("removed_bytes", last.removed_bytes());
  Printer(context.out, context.json()).One(record);
  return absl::OkStatus();
}

}  // namespace

void AddStoreCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("store", "Upkeep of the store.");
  group->footer("Examples:\n  restante store verify\n  restante store scrub --rate 20M\n");
  auto repair = std::make_shared<bool>(false);
  CLI::App* verify = group->add_subcommand(
      "verify",
      "Adds up all usage and references while mail flows and compares them with the figures kept. Changes "
      "nothing unless it is told to; exit status 1 if something is wrong.");
  verify->add_flag("--repair", *repair,
                   "Sets numbers right and removes files that no message needs. No message is added or "
                   "removed; exit status 1 if something is still wrong.");
  verify->callback([&context, repair] { context.run = [repair](Context& c) { return Verify(c, *repair); }; });
  auto rate = std::make_shared<std::string>("64M");
  CLI::App* scrub = group->add_subcommand(
      "scrub",
      "Reads every stored octet while mail flows and compares it with its checksums. Names file (over a "
      "Ceph cluster: object), offset and the messages that cannot be read; exit status 1 if there is damage. "
      "Changes nothing. A store on a disk of its own does that by itself, too, slowly (--scrub-interval).");
  Check(scrub->add_option("--rate", *rate, "Octets read a second: 20M; 0: as fast as it goes.")
            ->capture_default_str()
            ->type_name("SIZE"),
        [](const std::string& text) { return ParseSize(text).status(); });
  scrub->callback([&context, rate] { context.run = [rate](Context& c) { return Scrub(c, *rate); }; });
  group
      ->add_subcommand(
          "compact",
          "Gives back the room of deleted mail, now and completely, while mail flows. By itself the "
          "store does so slowly, and leaves up to a fifth.")
      ->callback([&context] { context.run = Compact; });
  group
      ->add_subcommand(
          "settle",
          "Of several stores of the same mail: gives back, now, the room that was held by those that ended "
          "without a word. Takes up to half a minute to find out which live, and touches nothing of theirs. "
          "The stores do that by themselves, too.")
      ->callback([&context] { context.run = Settle; });
  group
      ->add_subcommand("sweep",
                       "The same of texts that such stores left and no message names: removes them, now, and "
                       "says how many.")
      ->callback([&context] { context.run = Sweep; });
  AddBackupCommands(*group, context);
}

}  // namespace restante::cli
