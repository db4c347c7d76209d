// restante domain create|list|show|set|delete
#include <CLI/CLI.hpp>
#include <memory>

#include "client/cli/context.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "client/cli/values.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct DomainOptions {
  std::string name, default_bytes, default_messages, max_bytes, over_quota, catch_all;

  void AddTo(CLI::App* command) {
    auto limit = [](bool size) {
      return [size](const std::string& text) { return ParseLimit(text, size).status(); };
    };
    Check(command
              ->add_option(
                  "--default-bytes", default_bytes,
                  "Octets that a mailbox may hold unless told otherwise: a size, unlimited or inherit.")
              ->type_name("N"),
          limit(true));
    Check(command
              ->add_option("--default-messages", default_messages,
                           "Messages that a mailbox may hold: a number, unlimited or inherit.")
              ->type_name("N"),
          limit(false));
    Check(command
              ->add_option("--max-bytes", max_bytes,
                           "Octets that all mailboxes of the domain may hold together: a size or unlimited.")
              ->type_name("N"),
          limit(true));
    Check(command->add_option("--over-quota", over_quota,
                              "tempfail (452, the default) or permfail (552) when a mailbox is full."),
          [](const std::string& text) { return ParsePolicy(text).status(); });
    command->add_option("--catch-all", catch_all, "Mailbox that gets mail for unknown addresses, or none.")
        ->type_name("ADDRESS");
  }

  // The domain with what was given, and the names of the fields.
  absl::StatusOr<v1::UpdateDomainRequest> Request() const {
    v1::UpdateDomainRequest request;
    v1::Domain* domain = request.mutable_domain();
    domain->set_name(DomainName(name));
    auto field = [&](const char* path) { request.mutable_update_mask()->add_paths(path); };
    if (!default_bytes.empty()) {
      ASSIGN_OR_RETURN(*domain->mutable_default_bytes(), ParseLimit(default_bytes, true));
      field("default_bytes");
    }
    if (!default_messages.empty()) {
      ASSIGN_OR_RETURN(*domain->mutable_default_messages(), ParseLimit(default_messages, false));
      field("default_messages");
    }
    if (!max_bytes.empty()) {
      ASSIGN_OR_RETURN(*domain->mutable_max_bytes(), ParseLimit(max_bytes, true));
      field("max_bytes");
    }
    if (!over_quota.empty()) {
      ASSIGN_OR_RETURN(v1::OverQuotaPolicy policy, ParsePolicy(over_quota));
      domain->set_over_quota(policy);
      field("over_quota");
    }
    if (!catch_all.empty()) {
      if (catch_all != "none") domain->set_catch_all(MailboxName(catch_all));
      field("catch_all");
    }
    return request;
  }
};

Record ToRecord(const v1::Domain& domain) {
  Record record;
  record.Text("domain", IdOf(domain.name()))
      .Number("mailboxes", domain.mailbox_count())
      .Size("used", domain.usage().bytes())
      .Size("reserved", domain.usage().reserved_bytes())
      .Limit("max_bytes", domain.max_bytes(), true)
      .Number("messages", domain.usage().messages())
      .Limit("default_bytes", domain.default_bytes(), true)
      .Limit("default_messages", domain.default_messages(), false)
      .Text("over_quota", PolicyText(domain.over_quota()))
      .Text("catch_all", domain.catch_all().empty() ? "none" : IdOf(domain.catch_all()));
  return record;
}

absl::Status Create(Context& context, const DomainOptions& options) {
  ASSIGN_OR_RETURN(v1::UpdateDomainRequest wanted, options.Request());
  v1::CreateDomainRequest request;
  *request.mutable_domain() = wanted.domain();
  request.set_request_id(NewRequestId());
  ASSIGN_OR_RETURN(v1::Domain domain, context.client().CreateDomain(request));
  Printer(context.out, context.json()).One(ToRecord(domain));
  return absl::OkStatus();
}

absl::Status List(Context& context) {
  Printer printer(context.out, context.json());
  v1::ListDomainsRequest request;
  request.set_page_size(500);
  do {
    ASSIGN_OR_RETURN(v1::ListDomainsResponse page, context.client().ListDomains(request));
    for (const v1::Domain& domain : page.domains()) printer.Add(ToRecord(domain));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

absl::Status Show(Context& context, const std::string& name) {
  v1::GetDomainRequest request;
  request.set_name(DomainName(name));
  ASSIGN_OR_RETURN(v1::Domain domain, context.client().GetDomain(request));
  Printer(context.out, context.json()).One(ToRecord(domain));
  return absl::OkStatus();
}

absl::Status Set(Context& context, const DomainOptions& options) {
  ASSIGN_OR_RETURN(v1::UpdateDomainRequest request, options.Request());
  if (request.update_mask().paths().empty()) {
    return UsageError("domain set: name what to set, for instance --default-bytes 1G");
  }
  ASSIGN_OR_RETURN(v1::Domain domain, context.client().UpdateDomain(request));
  Printer(context.out, context.json()).One(ToRecord(domain));
  return absl::OkStatus();
}

absl::Status Delete(Context& context, const std::string& name) {
  v1::DeleteDomainRequest request;
  request.set_name(DomainName(name));
  absl::Status status = context.client().DeleteDomain(request);
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::Status(status.code(), std::string(status.message()) +
                                         "\nDelete its mailboxes and aliases first: `restante mailbox list "
                                         "--domain " +
                                         name + "`, `restante alias list --domain " + name + "`.");
}

}  // namespace

void AddDomainCommands(CLI::App& app, Context& context) {
  auto options = std::make_shared<DomainOptions>();
  CLI::App* group = app.add_subcommand("domain", "Domains that the store hosts.");
  group->footer("Example:\n  restante domain create example.org --default-bytes 1G --max-bytes 50G\n");
  auto name = [&](CLI::App* command) {
    command->add_option("NAME", options->name, "The domain.")->required();
    return command;
  };
  CLI::App* create = name(group->add_subcommand("create", "Hosts a domain."));
  options->AddTo(create);
  create->callback(
      [&context, options] { context.run = [options](Context& c) { return Create(c, *options); }; });
  group->add_subcommand("list", "Lists all domains.")->callback([&context] { context.run = List; });
  name(group->add_subcommand("show", "Shows a domain."))->callback([&context, options] {
    context.run = [options](Context& c) { return Show(c, options->name); };
  });
  CLI::App* set = name(group->add_subcommand("set", "Changes what the options name."));
  options->AddTo(set);
  set->callback([&context, options] { context.run = [options](Context& c) { return Set(c, *options); }; });
  name(group->add_subcommand("delete", "Stops hosting a domain without mailboxes and aliases."))
      ->callback(
          [&context, options] { context.run = [options](Context& c) { return Delete(c, options->name); }; });
}

}  // namespace restante::cli
