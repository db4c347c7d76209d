// restante status
#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "client/cli/damage.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"
#include "server/base/units.h"

namespace restante::cli {
namespace {

Record ToRecord(const v1::MailboxFill& fill) {
  Record record;
  record.Text("mailbox", IdOf(fill.mailbox()))
      .Share("full", fill.share())
      .Size("used", fill.usage().bytes())
      .Limit("limit", fill.max_bytes(), true)
      .Number("messages", fill.usage().messages())
      .Limit("message_limit", fill.max_messages(), false);
  return record;
}

absl::Status Status(Context& context, int fullest) {
  v1::GetStatusRequest request;
  request.set_fullest_count(fullest);
  ASSIGN_OR_RETURN(v1::StoreStatus status, context.client().GetStatus(request));
  const v1::Capacity& capacity = status.capacity();
  absl::Duration uptime =
      absl::Seconds(status.uptime().seconds()) + absl::Nanoseconds(status.uptime().nanos());
  double hours = std::max(absl::ToDoubleHours(uptime), 1.0 / 3600);
  Record record;
  record.Text("version", status.version())
      .Text("engine", status.engine())
      .Text("uptime", restante::FormatDuration(absl::Trunc(uptime, absl::Seconds(1))))
      .Text("disk", capacity.read_only() ? "read-only after a write error"
                    : capacity.full()    ? "full: mail is refused with 452"
                                         : "ok")
      .Size("disk_used", capacity.used_bytes())
      .Size("disk_reserved", capacity.reserved_bytes())
      .Size("disk_limit", capacity.limit_bytes())
      .Size("disk_available", capacity.available_bytes())
      .Size("max_message", capacity.max_message_bytes())
      .Number("max_recipients", capacity.max_recipients())
      .Number("domains", status.domain_count())
      .Number("mailboxes", status.mailbox_count())
      .Number("messages", status.usage().messages())
      .Size("used", status.usage().bytes())
      .Size("reserved", status.usage().reserved_bytes())
      .Number("stored_messages", status.stored_messages())
      .Number("stored_per_hour", static_cast<uint64_t>(static_cast<double>(status.stored_messages()) / hours))
      .Number("refused_transactions", status.refused_transactions())
      .Number("aborted_transactions", status.aborted_transactions())
      .Number("open_transactions", status.open_transactions());
  const v1::ScrubResult& scrub = status.last_scrub();
  if (status.has_last_scrub()) {
    record.Time("last_scrub", scrub.end_time())
        .Size("last_scrub_bytes", scrub.checked_bytes())
        .Number("last_scrub_damages", scrub.damage_count());
  }
  std::map<std::string, uint64_t> figures(status.engine_figures().begin(), status.engine_figures().end());
  for (const auto& [name, value] : figures) record.Number(name, value);
  if (context.json()) {
    record.Json("full", capacity.full() ? "true" : "false")
        .Json("read_only", capacity.read_only() ? "true" : "false")
        .Json("fullest", absl::StrCat("[",
                                      absl::StrJoin(status.fullest(), ",",
                                                    [](std::string* out, const v1::MailboxFill& fill) {
                                                      absl::StrAppend(out, ToRecord(fill).ToJson());
                                                    }),
                                      "]"))
        .Json("last_scrub_first_damages",
              absl::StrCat("[",
                           absl::StrJoin(scrub.first_damages(), ",",
                                         [](std::string* out, const v1::Damage& damage) {
                                           absl::StrAppend(out, DamageJson(damage));
                                         }),
                           "]"));
  }
  Printer(context.out, context.json()).One(record);
  if (!context.json() && scrub.damage_count() > 0) {
    context.out << "\ndamaged (`restante store scrub` names all of it):\n";
    for (const v1::Damage& damage : scrub.first_damages()) {
      for (const std::string& line : DamageLines(damage)) context.out << Printable(line) << "\n";
    }
  }
  if (!context.json() && !status.fullest().empty()) {
    context.out << "\nnearest to their limit:\n";
    Printer printer(context.out, false);
    for (const v1::MailboxFill& fill : status.fullest()) printer.Add(ToRecord(fill));
  }
  return absl::OkStatus();
}

}  // namespace

void AddStatusCommand(CLI::App& app, Context& context) {
  auto fullest = std::make_shared<int>(10);
  CLI::App* command = app.add_subcommand("status", "Disk, engine, rates, mailboxes near their limit.");
  command->add_option("--fullest", *fullest, "How many of the fullest mailboxes to show.")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command->callback(
      [&context, fullest] { context.run = [fullest](Context& c) { return Status(c, *fullest); }; });
}

}  // namespace restante::cli
