#include "client/cli/context.h"

#include <CLI/CLI.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "client/lib/crc32c.h"
#include "restante/errors.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

constexpr char kUsagePayload[] = "restante/usage";
constexpr int kPage = 500;

}  // namespace

ClientOptions Context::options() const {
  ClientOptions options;
  options.target = settings.store;
  options.credentials = settings.credentials;
  return options;
}

Client& Context::client() {
  if (client_ == nullptr) client_ = std::make_unique<Client>(options());
  return *client_;
}

absl::Status UsageError(absl::string_view text) {
  absl::Status status = absl::InvalidArgumentError(text);
  status.SetPayload(kUsagePayload, absl::Cord());
  return status;
}

int Report(const Context& context, const absl::Status& status) {
  if (status.ok()) return kDone;
  if (status.GetPayload(kUsagePayload).has_value()) {
    context.err << "restante: " << Printable(status.message()) << "\n";
    return kUsage;
  }
  if (IsUnreachable(status)) {
    context.err
        << "restante: no store answers at " << context.settings.store << ": " << Printable(status.message())
        << "\nIs restante-store running there? Start it, or name another address with --store ADDR or "
           "RESTANTE_STORE.\n"
        << (context.settings.credentials.ca_file.empty()
                ? "If it speaks TLS, --store-ca FILE names the authority of its certificate.\n"
                : "It has to speak TLS (--tls-cert), with a certificate for that address from an authority "
                  "of "
                  "--store-ca, and to know the authority of --store-cert.\n");
    return kUnreachable;
  }
  context.err << "restante: "
              << absl::StrJoin(absl::StrSplit(status.message(), '\n'), "\n",
                               [](std::string* text, absl::string_view line) { *text += Printable(line); })
              << "\n";
  if (std::optional<v1::BadRequest> bad = GetBadRequest(status)) {
    for (const auto& violation : bad->field_violations()) {
      context.err << "  " << Printable(violation.field()) << ": " << Printable(violation.description())
                  << "\n";
    }
  }
  return kRefused;
}

void Selection::AddTo(CLI::App* command) {
  command->add_option("ADDRESS", address, "The mailbox.");
  command->add_option("--domain", domain, "All mailboxes of this domain.")->type_name("NAME");
  command->add_flag("--all", all, "All mailboxes of the store.");
}

absl::Status Selection::ForEach(Context& context,
                                const std::function<absl::Status(const v1::Mailbox&)>& fn) const {
  if (int{!address.empty()} + int{!domain.empty()} + int{all} != 1) {
    return UsageError("name one of ADDRESS, --domain NAME and --all");
  }
  if (!address.empty()) {
    v1::GetMailboxRequest request;
    request.set_name(MailboxName(address));
    ASSIGN_OR_RETURN(v1::Mailbox mailbox, context.client().GetMailbox(request));
    return fn(mailbox);
  }
  v1::ListMailboxesRequest request;
  request.set_page_size(kPage);
  if (!domain.empty()) request.set_domain(DomainName(domain));
  do {
    ASSIGN_OR_RETURN(v1::ListMailboxesResponse page, context.client().ListMailboxes(request));
    for (const v1::Mailbox& mailbox : page.mailboxes()) RETURN_IF_ERROR(fn(mailbox));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

absl::Status ForEachMessage(Client& client, v1::ListMessagesRequest request,
                            const std::function<absl::Status(const v1::ListMessagesResponse&)>& page) {
  request.set_page_size(kPage);
  do {
    ASSIGN_OR_RETURN(v1::ListMessagesResponse response, client.ListMessages(request));
    RETURN_IF_ERROR(page(response));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

absl::StatusOr<std::string> FetchMessage(Client& client, const v1::Message& message) {
  v1::ReadMessageRequest request;
  request.set_name(message.name());
  std::string text;
  RETURN_IF_ERROR(client.ReadMessage(request, [&](absl::string_view chunk) {
    text.append(chunk.data(), chunk.size());
    return absl::OkStatus();
  }));
  if (text.size() != message.size_bytes() || client_internal::ExtendCrc32c(0, text) != message.crc32c()) {
    return absl::DataLossError(absl::StrCat(message.name(), ": what came (", text.size(),
                                            " bytes) is not the message of ", message.size_bytes(),
                                            " bytes"));
  }
  return text;
}

void Check(CLI::Option* option, std::function<absl::Status(const std::string&)> parse) {
  option->check(CLI::Validator(
      [parse = std::move(parse)](std::string& text) {
        absl::Status status = parse(text);
        return status.ok() ? std::string() : std::string(status.message());
      },
      ""));
}

int RunCommandLine(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Context context(out, err);
  CLI::App app("The operator's command line of a Restante mail store.", "restante");
  app.set_version_flag("--version", "restante " RESTANTE_VERSION);
  app.fallthrough();
  context.settings.AddTo(app);
  app.add_option(
         "--output", context.output,
         "`table` for people, with human sizes; `json` with exact numbers, one object a line (a list is "
         "one line for each entry).")
      ->envname("RESTANTE_OUTPUT")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.footer(
      "Sizes take K M G T (powers of 1024), durations ms s m h d.\n"
      "Exit status: 0 done; 1 the service refused; 2 wrong usage; 3 the service cannot be reached.\n\n"
      "Examples:\n"
      "  restante domain create example.org --default-bytes 1G\n"
      "  restante mailbox create alice@example.org --bytes 200M\n"
      "  restante quota show --all --output json\n"
      "  restante archive --all --older-than 365d --to /var/archive\n");
  AddStatusCommand(app, context);
  AddDomainCommands(app, context);
  AddMailboxCommands(app, context);
  AddAliasCommands(app, context);
  AddMessageCommands(app, context);
  AddProbeCommand(app, context);
  AddQuotaCommands(app, context);
  AddDeliverCommand(app, context);
  AddApplyCommand(app, context);
  AddImportCommand(app, context);
  AddExportCommand(app, context);
  AddArchiveCommand(app, context);
  AddStoreCommands(app, context);
  AddMigrateCommand(app, context);
  AddTokenCommands(app, context);
  AddWatchCommand(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 reports by throwing, --help included.
    return app.exit(error, out, err) == 0 ? kDone : kUsage;
  }
  if (!context.run) return Report(context, UsageError("a command is missing; --help lists them"));
  absl::Status status;
  if (!context.offline) {
    status = context.settings.ReadFile();
    if (status.ok()) status = context.settings.Check();
  }
  if (status.ok()) status = context.run(context);
  out.flush();
  if (status.ok() && !out) status = absl::InternalError("standard output: not everything could be written");
  return Report(context, status);
}

}  // namespace restante::cli
