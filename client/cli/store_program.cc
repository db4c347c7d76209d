#include "client/cli/store_program.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/context.h"
#include "server/base/status_macros.h"

extern char** environ;

namespace restante::cli {
namespace {

constexpr char kProgram[] = "restante-store";

std::string FindProgram() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string beside = (self.parent_path() / kProgram).string();
  return !error && access(beside.c_str(), X_OK) == 0 ? beside : kProgram;
}

// Both of its outputs come through one pipe, so that their lines keep their order.
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& arguments, int output) {
  const std::string program = FindProgram();
  std::vector<char*> argv = {const_cast<char*>(kProgram)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed == ENOENT) {
    return UsageError(absl::StrCat(kProgram,
                                   ": is neither beside this program nor on PATH; it has to be "
                                   "installed on the machine that shall hold the data"));
  }
  if (failed != 0) return UsageError(absl::StrCat(program, ": ", strerror(failed)));
  return pid;
}

bool TellFigures(absl::string_view line, const StoreProgramOutput& output) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  std::vector<uint64_t> numbers;
  for (size_t i = 1; i < words.size(); ++i) {
    if (!absl::SimpleAtoi(words[i], &numbers.emplace_back())) return false;
  }
  if (numbers.empty()) return false;
  output.figures(words[0], numbers);
  return true;
}

}  // namespace

absl::Status RunStoreProgram(const std::vector<std::string>& arguments, const StoreProgramOutput& output) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  const absl::StatusOr<pid_t> pid = Spawn(arguments, ends[1]);
  close(ends[1]);
  if (!pid.ok()) {
    close(ends[0]);
    return pid.status();
  }
  // The last line of text is held back: it may say why it ended.
  std::optional<std::string> held;
  std::string buffer;
  char octets[4096];
  while (true) {
    const ssize_t read_octets = read(ends[0], octets, sizeof(octets));
    if (read_octets < 0 && errno == EINTR) continue;
    if (read_octets <= 0) break;
    buffer.append(octets, static_cast<size_t>(read_octets));
    for (size_t end; (end = buffer.find('\n')) != std::string::npos; buffer.erase(0, end + 1)) {
      const std::string line = buffer.substr(0, end);
      if (TellFigures(line, output)) continue;
      if (held) output.text(*held);
      held = line;
    }
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    if (held) output.text(*held);
    return absl::OkStatus();
  }
  absl::string_view why = held ? absl::string_view(*held) : "";
  absl::ConsumePrefix(&why, absl::StrCat(kProgram, ": "));
  if (WIFSIGNALED(status)) {
    return absl::FailedPreconditionError(
        absl::StrCat(kProgram, ": was ended by signal ", WTERMSIG(status), why.empty() ? "" : ": ", why));
  }
  if (why.empty()) why = "ended without a word";
  return WEXITSTATUS(status) == kUsage ? UsageError(why) : absl::FailedPreconditionError(why);
}

}  // namespace restante::cli
