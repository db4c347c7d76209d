// restante deliver --from ADDRESS --to ADDRESS... [FILE|-]
#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/context.h"
#include "client/cli/local_files.h"
#include "client/cli/message_file.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "client/cli/values.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct DeliverArguments {
  std::string from, file;
  std::vector<std::string> to;
  bool each = false;
};

std::string WithoutBrackets(absl::string_view address) {
  if (absl::ConsumePrefix(&address, "<")) absl::ConsumeSuffix(&address, ">");
  return std::string(address);
}

absl::Status Deliver(Context& context, DeliverArguments arguments) {
  // `--to a@example.org b@example.org FILE`: the option takes all three.
  if (arguments.file.empty() && arguments.to.size() > 1) {
    const std::string& last = arguments.to.back();
    if (last.find('@') == std::string::npos || last.find('/') < last.find('@')) {
      arguments.file = last;
      arguments.to.pop_back();
    }
  }
  if (arguments.file.empty()) arguments.file = "-";
  absl::StatusOr<std::string> text = ReadWholeFile(arguments.file);
  if (!text.ok()) return UsageError(text.status().message());

  Envelope envelope;
  envelope.sender = WithoutBrackets(arguments.from);
  envelope.mode = arguments.each ? v1::Begin::PER_RECIPIENT : v1::Begin::ALL_OR_NONE;
  for (const std::string& to : arguments.to) envelope.recipients.push_back(WithoutBrackets(to));
  std::shared_ptr<DeliveryClient> client = DeliveryClient::Connect(context.options());
  ASSIGN_OR_RETURN(DeliveryResult result, DeliverMessage(*client, envelope, TextToCrlf(*std::move(text))));

  Printer printer(context.out, context.json());
  size_t next_receipt = 0;
  bool all_stored = result.committed;
  for (const v1::Decision& decision : result.decisions) {
    v1::Outcome outcome = decision.outcome();
    const v1::Shortage* shortage = &decision.shortage();
    uint64_t uid = 0;
    if (outcome == v1::OUTCOME_OK && next_receipt < result.receipts.size()) {
      const v1::Receipt& receipt = result.receipts[next_receipt++];
      outcome = receipt.outcome();
      shortage = &receipt.shortage();
      uid = receipt.uid();
    }
    bool stored = uid > 0 && outcome == v1::OUTCOME_OK;
    all_stored = all_stored && stored;
    Record record;
    record.Text("recipient", decision.address())
        .Text("decision", stored                      ? "stored"
                          : outcome == v1::OUTCOME_OK ? "accepted, not stored"
                                                      : OutcomeText(outcome))
        .Text("mailbox", decision.mailbox().empty() ? "" : IdOf(decision.mailbox()))
        .Number("uid", uid)
        .Text("reason", ShortageText(*shortage))
        .Json("outcome", JsonString(v1::Outcome_Name(outcome)))
        .Json("transaction_id", JsonString(result.transaction_id));
    printer.Add(std::move(record));
  }
  printer.Flush();
  if (result.refused) {
    std::string why = absl::StrCat("the message is refused: ", OutcomeText(result.refused->outcome()));
    if (!result.refused->detail().empty()) absl::StrAppend(&why, ": ", result.refused->detail());
    std::string shortage = ShortageText(result.refused->shortage());
    if (!shortage.empty()) absl::StrAppend(&why, " (", shortage, ")");
    return absl::FailedPreconditionError(why);
  }
  if (!result.committed)
    return absl::FailedPreconditionError("no recipient took the message; nothing is stored");
  if (!all_stored) return absl::FailedPreconditionError("not every recipient took the message");
  return absl::OkStatus();
}

}  // namespace

void AddDeliverCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<DeliverArguments>();
  CLI::App* command = app.add_subcommand(
      "deliver",
      "Delivers one message and prints the decision of each recipient. A file without CRLF line ends "
      "gets them; another is taken as it is.");
  command->add_option("--from", arguments->from, "Reverse path; empty for the null reverse path.")
      ->required()
      ->type_name("ADDRESS");
  command->add_option("--to", arguments->to, "One or more recipients; may be repeated.")
      ->required()
      ->type_name("ADDRESS");
  command->add_option("FILE", arguments->file, "The message; - or nothing: standard input.");
  command->add_flag("--each", arguments->each,
                    "A recipient that cannot be served does not hold up the others.");
  command->footer(
      "Exit status 0 only if every recipient has the message.\n"
      "Examples:\n  restante deliver --from a@example.com --to alice@example.org message.eml\n"
      "  printf 'Subject: hello\\n\\nhello\\n' | restante deliver --from '' --to alice@example.org\n");
  command->callback(
      [&context, arguments] { context.run = [arguments](Context& c) { return Deliver(c, *arguments); }; });
}

}  // namespace restante::cli
