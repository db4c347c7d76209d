// restante mailbox create|list|show|set|rename|delete
#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "client/cli/values.h"
#include "server/base/status_macros.h"
#include "server/base/units.h"

namespace restante::cli {
namespace {

struct MailboxOptions {
  std::string address, new_address, bytes, messages, state, domain;
  bool with_mail = false;

  void AddTo(CLI::App* command) {
    Check(
        command
            ->add_option("--bytes", bytes, "Octets it may hold: a size, unlimited or inherit (the default).")
            ->type_name("N"),
        [](const std::string& text) { return ParseLimit(text, true).status(); });
    Check(command->add_option("--messages", messages, "Messages it may hold: a number, unlimited or inherit.")
              ->type_name("N"),
          [](const std::string& text) { return ParseLimit(text, false).status(); });
    Check(command->add_option("--state", state,
                              "active; hold (mail is deferred with 450); disabled (refused with 550)."),
          [](const std::string& text) { return ParseState(text).status(); });
  }

  absl::StatusOr<v1::UpdateMailboxRequest> Request() const {
    v1::UpdateMailboxRequest request;
    v1::Mailbox* mailbox = request.mutable_mailbox();
    mailbox->set_name(MailboxName(address));
    auto field = [&](const char* path) { request.mutable_update_mask()->add_paths(path); };
    if (!bytes.empty()) {
      ASSIGN_OR_RETURN(*mailbox->mutable_max_bytes(), ParseLimit(bytes, true));
      field("max_bytes");
    }
    if (!messages.empty()) {
      ASSIGN_OR_RETURN(*mailbox->mutable_max_messages(), ParseLimit(messages, false));
      field("max_messages");
    }
    if (!state.empty()) {
      ASSIGN_OR_RETURN(v1::Mailbox::State parsed, ParseState(state));
      mailbox->set_state(parsed);
      field("state");
    }
    return request;
  }
};

Record ToRecord(const v1::Mailbox& mailbox) {
  Record record;
  record.Text("mailbox", IdOf(mailbox.name()))
      .Text("state", StateText(mailbox.state()))
      .Size("used", mailbox.usage().bytes())
      .Size("reserved", mailbox.usage().reserved_bytes())
      .Limit("bytes", mailbox.max_bytes(), true)
      .Limit("effective_bytes", mailbox.effective_max_bytes(), true)
      .Number("held_messages", mailbox.usage().messages())
      .Limit("messages", mailbox.max_messages(), false)
      .Limit("effective_messages", mailbox.effective_max_messages(), false)
      .Json("reserved_messages", absl::StrCat(mailbox.usage().reserved_messages()))
      .Json("id", JsonString(mailbox.id()))
      .Json("uid_validity", absl::StrCat(mailbox.uid_validity()))
      .Json("uid_next", absl::StrCat(mailbox.uid_next()));
  return record;
}

absl::Status Create(Context& context, const MailboxOptions& options) {
  ASSIGN_OR_RETURN(v1::UpdateMailboxRequest wanted, options.Request());
  v1::CreateMailboxRequest request;
  *request.mutable_mailbox() = wanted.mailbox();
  request.set_request_id(NewRequestId());
  ASSIGN_OR_RETURN(v1::Mailbox mailbox, context.client().CreateMailbox(request));
  Printer(context.out, context.json()).One(ToRecord(mailbox));
  return absl::OkStatus();
}

absl::Status List(Context& context, const MailboxOptions& options) {
  Printer printer(context.out, context.json());
  Selection selection{.address = "", .domain = options.domain, .all = options.domain.empty()};
  return selection.ForEach(context, [&](const v1::Mailbox& mailbox) {
    printer.Add(ToRecord(mailbox));
    return absl::OkStatus();
  });
}

absl::Status Show(Context& context, const MailboxOptions& options) {
  v1::GetMailboxRequest request;
  request.set_name(MailboxName(options.address));
  ASSIGN_OR_RETURN(v1::Mailbox mailbox, context.client().GetMailbox(request));
  Printer(context.out, context.json()).One(ToRecord(mailbox));
  return absl::OkStatus();
}

absl::Status Set(Context& context, const MailboxOptions& options) {
  ASSIGN_OR_RETURN(v1::UpdateMailboxRequest request, options.Request());
  if (request.update_mask().paths().empty()) {
    return UsageError("mailbox set: name what to set, for instance --bytes 1G");
  }
  ASSIGN_OR_RETURN(v1::Mailbox mailbox, context.client().UpdateMailbox(request));
  Printer(context.out, context.json()).One(ToRecord(mailbox));
  return absl::OkStatus();
}

absl::Status Rename(Context& context, const MailboxOptions& options) {
  v1::RenameMailboxRequest request;
  request.set_name(MailboxName(options.address));
  request.set_new_name(MailboxName(options.new_address));
  request.set_request_id(NewRequestId());
  ASSIGN_OR_RETURN(v1::Mailbox mailbox, context.client().RenameMailbox(request));
  Printer(context.out, context.json()).One(ToRecord(mailbox));
  return absl::OkStatus();
}

absl::Status Delete(Context& context, const MailboxOptions& options) {
  v1::DeleteMailboxRequest request;
  request.set_name(MailboxName(options.address));
  request.set_force(options.with_mail);
  absl::Status status = context.client().DeleteMailbox(request);
  if (!absl::IsFailedPrecondition(status) || options.with_mail) return status;
  v1::GetMailboxRequest get;
  get.set_name(request.name());
  absl::StatusOr<v1::Mailbox> mailbox = context.client().GetMailbox(get);
  if (!mailbox.ok() || mailbox->usage().messages() == 0) return status;
  return absl::FailedPreconditionError(
      absl::StrCat(options.address, " holds ", mailbox->usage().messages(), " messages (",
                   FormatSize(mailbox->usage().bytes()),
                   ") and is not deleted. Delete them with it by --with-mail, or keep "
                   "them first: restante archive ",
                   options.address, " --older-than 0s --to DIR"));
}

}  // namespace

void AddMailboxCommands(CLI::App& app, Context& context) {
  auto options = std::make_shared<MailboxOptions>();
  CLI::App* group = app.add_subcommand("mailbox", "Mailboxes and their limits.");
  group->footer(
      "Examples:\n  restante mailbox create alice@example.org --bytes 200M --messages 10000\n"
      "  restante mailbox set alice@example.org --bytes 1G        raises the quota\n"
      "  restante mailbox set alice@example.org --state hold\n"
      "  restante mailbox rename alice@example.org a.smith@example.org\n");
  auto run = [&context, options](absl::Status (*fn)(Context&, const MailboxOptions&)) {
    return [&context, options, fn] { context.run = [options, fn](Context& c) { return fn(c, *options); }; };
  };
  auto address = [&](CLI::App* command) {
    command->add_option("ADDRESS", options->address, "The mailbox's address.")->required();
    return command;
  };
  CLI::App* create = address(group->add_subcommand("create", "Makes a mailbox in a hosted domain."));
  options->AddTo(create);
  create->callback(run(Create));
  CLI::App* list = group->add_subcommand("list", "Lists mailboxes.");
  list->add_option("--domain", options->domain, "Only those of this domain.")->type_name("NAME");
  list->callback(run(List));
  address(group->add_subcommand("show", "Shows a mailbox."))->callback(run(Show));
  CLI::App* set = address(group->add_subcommand("set", "Changes what the options name."));
  options->AddTo(set);
  set->callback(run(Set));
  CLI::App* rename =
      address(group->add_subcommand("rename", "Gives it another address; the old one becomes an alias."));
  rename->add_option("NEW", options->new_address, "The new address.")->required();
  rename->callback(run(Rename));
  CLI::App* remove =
      address(group->add_subcommand("delete", "Deletes a mailbox; refused while it holds mail."));
  remove->add_flag("--with-mail", options->with_mail, "Deletes its messages, too.");
  remove->callback(run(Delete));
}

}  // namespace restante::cli
