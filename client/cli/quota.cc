// restante quota show|recalculate
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

double ShareOf(uint64_t used, const v1::Limit& limit) {
  if (limit.kind() != v1::Limit::VALUE) return 0;
  return limit.value() == 0 ? 1 : static_cast<double>(used) / static_cast<double>(limit.value());
}

absl::Status Show(Context& context, const Selection& selection) {
  Printer printer(context.out, context.json());
  return selection.ForEach(context, [&](const v1::Mailbox& mailbox) {
    const v1::Usage& usage = mailbox.usage();
    Record record;
    record.Text("mailbox", IdOf(mailbox.name()))
        .Size("used", usage.bytes())
        .Size("reserved", usage.reserved_bytes())
        .Limit("limit", mailbox.effective_max_bytes(), true)
        .Number("messages", usage.messages())
        .Number("reserved_messages", usage.reserved_messages())
        .Limit("message_limit", mailbox.effective_max_messages(), false)
        .Share("full", std::max(ShareOf(usage.bytes(), mailbox.effective_max_bytes()),
                                ShareOf(usage.messages(), mailbox.effective_max_messages())));
    printer.Add(std::move(record));
    return absl::OkStatus();
  });
}

absl::Status Recalculate(Context& context, const Selection& selection) {
  Printer printer(context.out, context.json());
  uint64_t corrected = 0;
  RETURN_IF_ERROR(selection.ForEach(context, [&](const v1::Mailbox& mailbox) {
    v1::RecalculateUsageRequest request;
    request.set_name(mailbox.name());
    absl::StatusOr<v1::RecalculateUsageResponse> result = context.client().RecalculateUsage(request);
    // Deleted since it was listed.
    if (absl::IsNotFound(result.status()) && selection.address.empty()) return absl::OkStatus();
    if (!result.ok()) return result.status();
    corrected += result->corrected() ? 1 : 0;
    Record record;
    record.Text("mailbox", IdOf(mailbox.name()))
        .Size("recorded_bytes", result->recorded().bytes())
        .Size("actual_bytes", result->actual().bytes())
        .Number("recorded_messages", result->recorded().messages())
        .Number("actual_messages", result->actual().messages())
        .Bool("corrected", result->corrected());
    printer.Add(std::move(record));
    return absl::OkStatus();
  }));
  printer.Flush();
  if (corrected > 0) {
    context.err
        << "restante: the figures of " << corrected
        << " mailboxes were wrong and are corrected. That is a defect of the store: please report it.\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddQuotaCommands(CLI::App& app, Context& context) {
  auto selection = std::make_shared<Selection>();
  CLI::App* group = app.add_subcommand("quota", "How full mailboxes are.");
  group->footer(
      "Examples:\n  restante quota show alice@example.org\n  restante quota recalculate --domain "
      "example.org\n");
  auto command = [&](const char* name, const char* help, absl::Status (*fn)(Context&, const Selection&)) {
    CLI::App* sub = group->add_subcommand(name, help);
    selection->AddTo(sub);
    sub->callback([&context, selection, fn] {
      context.run = [selection, fn](Context& c) { return fn(c, *selection); };
    });
  };
  command("show", "Shows usage, reservations and the limits in force.", Show);
  command("recalculate", "Adds up what mailboxes hold and compares it with the figures kept.", Recalculate);
}

}  // namespace restante::cli
