// restante message list|show|cat|delete
#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/context.h"
#include "client/cli/folder_names.h"
#include "client/cli/maildir_flags.h"
#include "client/cli/names.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

struct MessageOptions {
  std::string address;
  std::string folder;  // Empty: all, or INBOX where one has to be named.
  std::vector<uint64_t> uids;
};

// The words of RFC 3461.
std::string WordOf(v1::Ret ret) {
  if (ret == v1::RET_UNSPECIFIED) return "";
  return std::string(absl::StripPrefix(v1::Ret_Name(ret), "RET_"));
}
std::string WordsOf(const google::protobuf::RepeatedField<int>& notify) {
  return absl::StrJoin(notify, ",", [](std::string* out, int value) {
    absl::StrAppend(out, absl::StripPrefix(v1::Notify_Name(static_cast<v1::Notify>(value)), "NOTIFY_"));
  });
}

std::string KeywordsJson(const v1::Message& message) {
  const auto append = [](std::string* out, const std::string& keyword) {
    absl::StrAppend(out, JsonString(keyword));
  };
  return absl::StrCat("[", absl::StrJoin(message.keywords(), ",", append), "]");
}

std::string DsnRecipientsJson(const v1::Message& message) {
  const auto append = [](std::string* out, const v1::DsnRecipient& recipient) {
    absl::StrAppend(out, Record()
                             .Text("address", recipient.address())
                             .Text("notify", WordsOf(recipient.notify()))
                             .Text("orcpt", recipient.orcpt())
                             .ToJson());
  };
  return absl::StrCat("[", absl::StrJoin(message.dsn_recipients(), ",", append), "]");
}

Record ToRecord(const v1::Message& message) {
  Record record;
  record.Number("uid", message.uid())
      .Text("folder", FolderOf(message.name()))
      .Text("flags", FlagWords(message.flags()))
      .Size("size", message.size_bytes())
      .Time("arrived", message.arrival_time())
      .Text("sender", absl::StrCat("<", message.sender(), ">"))
      .Text("recipient", message.recipient())
      .Json("name", JsonString(message.name()))
      .Json("transaction_id", JsonString(message.transaction_id()))
      .Json("modseq", absl::StrCat(message.modseq()))
      .Json("crc32c", absl::StrCat(message.crc32c()))
      .Json("keywords", KeywordsJson(message))
      .Json("ret", JsonString(WordOf(message.ret())))
      .Json("envid", JsonString(message.envid()))
      .Json("dsn_recipients", DsnRecipientsJson(message));
  return record;
}

// What people seldom meet: keywords, and what was asked for in the way of notifications.
void ShowMore(const v1::Message& message, Record* record) {
  if (!message.keywords().empty()) record->Text("keywords", absl::StrJoin(message.keywords(), " "));
  if (message.ret() != v1::RET_UNSPECIFIED) record->Text("ret", WordOf(message.ret()));
  if (!message.envid().empty()) record->Text("envid", message.envid());
  for (const v1::DsnRecipient& recipient : message.dsn_recipients()) {
    std::string text = absl::StrCat("<", recipient.address(), ">");
    if (!recipient.notify().empty()) absl::StrAppend(&text, " NOTIFY=", WordsOf(recipient.notify()));
    if (!recipient.orcpt().empty()) absl::StrAppend(&text, " ORCPT=", recipient.orcpt());
    record->Text("dsn", text);
  }
}

// All of the mailbox, or one folder of it.
std::string ParentOf(const MessageOptions& options) {
  const std::string mailbox = MailboxName(options.address);
  return options.folder.empty() ? mailbox : FolderName(mailbox, options.folder);
}

std::string NameOf(const MessageOptions& options, uint64_t uid) {
  return MessageName(MailboxName(options.address), options.folder.empty() ? kInbox : options.folder, uid);
}

absl::Status List(Context& context, const MessageOptions& options) {
  Printer printer(context.out, context.json());
  v1::ListMessagesRequest request;
  request.set_parent(ParentOf(options));
  return ForEachMessage(context.client(), std::move(request), [&](const v1::ListMessagesResponse& page) {
    for (const v1::Message& message : page.messages()) printer.Add(ToRecord(message));
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::Message> Get(Context& context, const MessageOptions& options, uint64_t uid) {
  v1::GetMessageRequest request;
  request.set_name(NameOf(options, uid));
  return context.client().GetMessage(request);
}

absl::Status Show(Context& context, const MessageOptions& options) {
  Printer printer(context.out, context.json());
  for (uint64_t uid : options.uids) {
    ASSIGN_OR_RETURN(v1::Message message, Get(context, options, uid));
    Record record = ToRecord(message);
    if (!context.json()) ShowMore(message, &record);
    printer.One(record);
  }
  return absl::OkStatus();
}

absl::Status Cat(Context& context, const MessageOptions& options) {
  for (uint64_t uid : options.uids) {
    v1::ReadMessageRequest request;
    request.set_name(NameOf(options, uid));
    RETURN_IF_ERROR(context.client().ReadMessage(request, [&](absl::string_view chunk) {
      context.out.write(chunk.data(), static_cast<std::streamsize>(chunk.size()));
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::Status Delete(Context& context, const MessageOptions& options) {
  constexpr size_t kBatch = 1000;
  uint64_t messages = 0, bytes = 0;
  for (size_t at = 0; at < options.uids.size(); at += kBatch) {
    v1::BatchDeleteMessagesRequest request;
    request.set_parent(ParentOf(options));
    for (size_t i = at; i < std::min(options.uids.size(), at + kBatch); ++i)
      request.add_uids(options.uids[i]);
    ASSIGN_OR_RETURN(v1::BatchDeleteMessagesResponse response, context.client().BatchDeleteMessages(request));
    messages += response.deleted_messages();
    bytes += response.deleted_bytes();
  }
  Record record;
  record.Number("deleted_messages", messages).Size("deleted_bytes", bytes);
  Printer(context.out, context.json()).One(record);
  if (messages < options.uids.size()) {
    return absl::NotFoundError(absl::StrCat(options.address, ": ", options.uids.size() - messages, " of ",
                                            options.uids.size(), " messages were not there"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddMessageCommands(CLI::App& app, Context& context) {
  auto options = std::make_shared<MessageOptions>();
  CLI::App* group = app.add_subcommand("message", "Messages of a mailbox.");
  group->footer(
      "Examples:\n  restante message list alice@example.org\n"
      "  restante message cat alice@example.org 42 > message.eml\n");
  constexpr char kAll[] = "The folder; without it, all.", kOne[] = "The folder; without it, INBOX.";
  auto command = [&](const char* name, const char* help, const char* folder, bool with_uids,
                     absl::Status (*fn)(Context&, const MessageOptions&)) {
    CLI::App* sub = group->add_subcommand(name, help);
    sub->add_option("ADDRESS", options->address, "The mailbox.")->required();
    if (with_uids) {
      Check(sub->add_option("UID", options->uids, "Messages by their UID.")->required()->expected(1, -1),
            [](const std::string& text) {
              uint64_t uid = 0;
              bool good =
                  text.find_first_not_of("0123456789") == std::string::npos && absl::SimpleAtoi(text, &uid);
              return good ? absl::OkStatus() : absl::InvalidArgumentError("`" + text + "` is not a UID");
            });
    }
    sub->add_option("--folder", options->folder, folder);
    sub->callback(
        [&context, options, fn] { context.run = [options, fn](Context& c) { return fn(c, *options); }; });
  };
  command("list", "Lists the messages, oldest UID first.", kAll, false, List);
  command("show", "Shows what is known about messages.", kOne, true, Show);
  command("cat", "Writes messages to standard output, octet by octet.", kOne, true, Cat);
  command("delete", "Deletes messages for good; their room is free at once.", kAll, true, Delete);
}

}  // namespace restante::cli
