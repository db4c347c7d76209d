// What every command works with, and how commands are registered.
#ifndef RESTANTE_CLIENT_CLI_CONTEXT_H_
#define RESTANTE_CLIENT_CLI_CONTEXT_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/cli/settings.h"
#include "restante/client.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace restante::cli {

// Exit statuses.
enum : int { kDone = 0, kRefused = 1, kUsage = 2, kUnreachable = 3 };

struct Context {
  Context(std::ostream& o, std::ostream& e) : out(o), err(e) {}

  Settings settings;
  std::string output = "table";
  std::ostream& out;
  std::ostream& err;
  // The command that the command line named.
  std::function<absl::Status(Context&)> run = nullptr;
  // It asks no store.
  bool offline = false;

  bool json() const { return output == "json"; }
  ClientOptions options() const;
  // The store; made at the first use.
  Client& client();

 private:
  std::unique_ptr<Client> client_;
};

// An error of the command line or of what it names on this machine: status 2.
absl::Status UsageError(absl::string_view text);
// The exit status that an error stands for; writes it to `err` so that a person
// knows what to do.
int Report(const Context& context, const absl::Status& status);

// Which mailboxes a command is about: ADDRESS, --domain NAME or --all.
struct Selection {
  std::string address, domain;
  bool all = false;

  void AddTo(CLI::App* command);
  // Calls `fn` for each, page by page; its first error ends it. UsageError
  // unless exactly one of the three was given.
  absl::Status ForEach(Context& context, const std::function<absl::Status(const v1::Mailbox&)>& fn) const;
};

// Calls `fn` for each message of the mailbox, page by page, ascending by UID.
absl::Status ForEachMessage(Client& client, v1::ListMessagesRequest request,
                            const std::function<absl::Status(const v1::ListMessagesResponse&)>& page);

// The text of a message, checked against size and CRC32C (kDataLoss).
absl::StatusOr<std::string> FetchMessage(Client& client, const v1::Message& message);

// Makes a value that CLI11 refuses with the error that `parse` has for it.
void Check(CLI::Option* option, std::function<absl::Status(const std::string&)> parse);

// One for each group of commands.
void AddStatusCommand(CLI::App& app, Context& context);
void AddDomainCommands(CLI::App& app, Context& context);
void AddMailboxCommands(CLI::App& app, Context& context);
void AddAliasCommands(CLI::App& app, Context& context);
void AddMessageCommands(CLI::App& app, Context& context);
void AddProbeCommand(CLI::App& app, Context& context);
void AddQuotaCommands(CLI::App& app, Context& context);
void AddDeliverCommand(CLI::App& app, Context& context);
void AddExportCommand(CLI::App& app, Context& context);
void AddImportCommand(CLI::App& app, Context& context);
void AddApplyCommand(CLI::App& app, Context& context);
void AddArchiveCommand(CLI::App& app, Context& context);
void AddStoreCommands(CLI::App& app, Context& context);
void AddMigrateCommand(CLI::App& app, Context& context);
void AddTokenCommands(CLI::App& app, Context& context);
void AddWatchCommand(CLI::App& app, Context& context);

// The whole program but for its streams.
int RunCommandLine(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace restante::cli

#endif  // RESTANTE_CLIENT_CLI_CONTEXT_H_
