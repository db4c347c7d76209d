#include "tests/cluster/child_store.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace restante::rados {
namespace {

constexpr int kPatienceMs = 120'000;

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

}  // namespace

ChildStore::ChildStore(const Options& options) {
  std::array<int, 2> in, out;
  // No other child may hold an end of these open.
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) Die("pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::string program = RADOS_STORE_CHILD, conf = options.ceph_conf, name_space = options.name_space;
  std::string life = absl::StrCat(absl::ToInt64Milliseconds(options.life_interval));
  std::string spill = absl::StrCat(options.spill_rows), shard = absl::StrCat(options.shard_rows);
  std::string kept = absl::StrCat(absl::ToInt64Milliseconds(options.gone_shards_kept));
  std::array<char*, 8> arguments = {program.data(), conf.data(),  name_space.data(), life.data(),
                                    spill.data(),   shard.data(), kept.data(),       nullptr};
  if (::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ) != 0) {
    Die(RADOS_STORE_CHILD);
  }
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  to_ = in[1];
  from_ = out[0];
  if (Hear() != "open") Die("a store in a child cannot be opened");
}

ChildStore::~ChildStore() {
  Kill();
  ::close(to_);
  ::close(from_);
}

void ChildStore::Say(const std::string& line) {
  const std::string octets = line + "\n";
  if (::write(to_, octets.data(), octets.size()) != static_cast<ssize_t>(octets.size()))
    Die("a child's pipe");
}

std::string ChildStore::Hear() {
  std::string line;
  while (true) {
    pollfd readable = {.fd = from_, .events = POLLIN, .revents = 0};
    char c;
    if (::poll(&readable, 1, kPatienceMs) != 1 || ::read(from_, &c, 1) != 1) return "";
    if (c == '\n') return line;
    line += c;
  }
}

std::string ChildStore::Ask(const std::string& line) {
  Say(line);
  return Hear();
}

bool ChildStore::Meets(const std::string& step, int count, const std::string& how, const std::string& line) {
  if (Ask(absl::StrCat("at ", count, " ", how, " ", step)) != "ok") return false;
  // What goes on behind an answer may be heard of after it.
  const std::string met = absl::StrCat("at ", step), answer = Ask(line);
  return answer == met || (!answer.empty() && Hear() == met);
}

bool ChildStore::IsKilledAt(const std::string& step, int count, const std::string& line) {
  if (!Meets(step, count, "kill", line)) return false;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

bool ChildStore::StopsAt(const std::string& step, int count, const std::string& line) {
  if (!Meets(step, count, "stop", line)) return false;
  int status = 0;
  ::waitpid(pid_, &status, WUNTRACED);
  return WIFSTOPPED(status);
}

void ChildStore::Continue() { ::kill(pid_, SIGCONT); }

void ChildStore::Kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace restante::rados
