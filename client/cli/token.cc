// restante token new
#include "server/access/token.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/output.h"
#include "server/base/status_macros.h"

namespace restante::cli {
namespace {

// As a file of its own that nobody else may read.
absl::Status WriteSecret(const std::string& file, const std::string& text) {
  const auto wrong = [&](const char* why) { return UsageError(absl::StrCat("`", file, "`: ", why)); };
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return wrong(strerror(errno));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = written ? 0 : errno;
  if (::close(fd) != 0 || !written) return wrong(strerror(error != 0 ? error : errno));
  return absl::OkStatus();
}

absl::Status New(Context& context, const std::string& file) {
  const std::string token = access::NewToken();
  if (!file.empty()) RETURN_IF_ERROR(WriteSecret(file, token + "\n"));
  Record record;
  if (file.empty()) record.Text("token", token);
  record.Text("token_sha256", access::TokenHash::Of(token).ToString());
  Printer(context.out, context.json()).One(record);
  return absl::OkStatus();
}

}  // namespace

void AddTokenCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("token", "Tokens by which the store knows its callers.");
  group->footer("Example:\n  restante token new --to ~/.config/restante/token\n");
  auto file = std::make_shared<std::string>();
  CLI::App* make = group->add_subcommand("new",
                                         "Makes a token, for the caller to keep secret, and prints its hash, "
                                         "`token_sha256` of the caller in the "
                                         "store's --callers file. The store is not asked.");
  make->add_option("--to", *file, "Writes the token to this new file instead of printing it.")
      ->type_name("FILE");
  make->callback([&context, file] {
    context.offline = true;
    context.run = [file](Context& c) { return New(c, *file); };
  });
}

}  // namespace restante::cli
