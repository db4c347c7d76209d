#include "tests/moving/moving_children.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/engine/moving/marks.h"
#include "tests/moving/online_store.h"

namespace restante::moving {

int MoveAndKill(const std::string& from, const std::string& to, int kill_at) {
  const std::string step = absl::StrCat(kill_at);
  std::string program = MOVE_CHILD;
  char* argv[] = {program.data(), const_cast<char*>(from.c_str()), const_cast<char*>(to.c_str()),
                  const_cast<char*>(step.c_str()), nullptr};
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, program.c_str(), nullptr, nullptr, argv, environ), 0);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

int ServeAndMove(const std::string& from, const std::string& to, uint64_t first_tx, const std::string& step,
                 Acknowledged* acknowledged) {
  std::string program = ONLINE_CHILD;
  std::string tx = absl::StrCat(first_tx);
  char* argv[] = {program.data(), const_cast<char*>(from.c_str()), const_cast<char*>(to.c_str()),
                  tx.data(),      const_cast<char*>(step.c_str()), nullptr};
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, program.c_str(), &actions, nullptr, argv, environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string said;
  char octets[4096];
  for (ssize_t count; (count = read(ends[0], octets, sizeof(octets))) > 0;) {
    said.append(octets, static_cast<size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  // (A line that was cut off was not said.)
  said.erase(said.rfind('\n') == std::string::npos ? 0 : said.rfind('\n'));
  for (const absl::string_view line : absl::StrSplit(said, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    uint64_t delivery = 0, mailbox = 0;
    if (!absl::SimpleAtoi(words[0], &delivery)) continue;
    for (size_t i = 1; i < words.size(); ++i) {
      EXPECT_TRUE(absl::SimpleAtoi(words[i], &mailbox)) << line;
      (*acknowledged)[mailbox].insert(delivery);
    }
  }
  return status;
}

void ExpectAll(const std::string& data_dir, const Acknowledged& acknowledged) {
  MovingStore store(OpenToServe(data_dir, Clock::System()));
  std::vector<uint64_t> mailboxes;
  for (const auto& [mailbox, deliveries] : acknowledged) {
    mailboxes.push_back(mailbox);
    std::set<uint64_t> found;
    for (const engine::stored::Entry& entry : store.EntriesOf(mailbox)) {
      const uint64_t tx = TxOf(entry);
      EXPECT_TRUE(found.insert(tx).second) << tx << " is there twice";
      EXPECT_TRUE(store.TextOf(entry) == engine::Noise(SizeOf(tx), tx)) << tx;
    }
    for (const uint64_t tx : deliveries) EXPECT_EQ(found.count(tx), 1u) << tx << " is lost";
  }
  store.ExpectExact(mailboxes);
  EXPECT_EQ(store.Verify(), std::vector<std::string>());
}

bool IsServed(const std::string& data_dir, engine::stored::House::State* state) {
  const auto engine = OpenToMove(data_dir, Clock::System());
  const auto house = ReadHouse(engine.get());
  EXPECT_TRUE(house.ok()) << house.status();
  *state = house->state();
  return CheckServed(engine.get()).ok();
}

}  // namespace restante::moving
