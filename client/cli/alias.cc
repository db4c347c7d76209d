// restante alias add|list|remove
#include <CLI/CLI.hpp>
#include <memory>

#include "client/cli/context.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct AliasOptions {
  std::string alias, address, domain;
};

Record ToRecord(const v1::Alias& alias) {
  Record record;
  record.Text("alias", IdOf(alias.name())).Text("mailbox", IdOf(alias.mailbox()));
  return record;
}

absl::Status Add(Context& context, const AliasOptions& options) {
  v1::CreateAliasRequest request;
  request.mutable_alias()->set_name(AliasName(options.alias));
  request.mutable_alias()->set_mailbox(MailboxName(options.address));
  request.set_request_id(NewRequestId());
  ASSIGN_OR_RETURN(v1::Alias alias, context.client().CreateAlias(request));
  Printer(context.out, context.json()).One(ToRecord(alias));
  return absl::OkStatus();
}

absl::Status List(Context& context, const AliasOptions& options) {
  Printer printer(context.out, context.json());
  v1::ListAliasesRequest request;
  request.set_page_size(500);
  if (!options.domain.empty()) request.set_domain(DomainName(options.domain));
  do {
    ASSIGN_OR_RETURN(v1::ListAliasesResponse page, context.client().ListAliases(request));
    for (const v1::Alias& alias : page.aliases()) printer.Add(ToRecord(alias));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

absl::Status Remove(Context& context, const AliasOptions& options) {
  v1::DeleteAliasRequest request;
  request.set_name(AliasName(options.alias));
  return context.client().DeleteAlias(request);
}

}  // namespace

void AddAliasCommands(CLI::App& app, Context& context) {
  auto options = std::make_shared<AliasOptions>();
  CLI::App* group = app.add_subcommand("alias", "Further addresses of mailboxes.");
  group->footer("Example:\n  restante alias add info@example.org alice@example.org\n");
  auto run = [&context, options](absl::Status (*fn)(Context&, const AliasOptions&)) {
    return [&context, options, fn] { context.run = [options, fn](Context& c) { return fn(c, *options); }; };
  };
  CLI::App* add = group->add_subcommand("add", "Makes an address lead to a mailbox.");
  add->add_option("ALIAS", options->alias, "The further address.")->required();
  add->add_option("ADDRESS", options->address, "The mailbox.")->required();
  add->callback(run(Add));
  CLI::App* list = group->add_subcommand("list", "Lists aliases.");
  list->add_option("--domain", options->domain, "Only those of this domain.")->type_name("NAME");
  list->callback(run(List));
  CLI::App* remove = group->add_subcommand("remove", "Removes an alias; the mailbox is not touched.");
  remove->add_option("ALIAS", options->alias, "The further address.")->required();
  remove->callback(run(Remove));
}

}  // namespace restante::cli
