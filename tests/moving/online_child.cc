// online_child FROM TO FIRST-TX STEP: serves the store in FROM, to which mail is delivered all
// the time, moves it to TO, and kills itself at that step; without one it ends when 50
// deliveries have come after the move. Says `mailbox N` and, of each delivery that was
// acknowledged, `TX MAILBOX...`. Exit status 0: it came to its end.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/engine/moving/online_move.h"
#include "tests/moving/online_store.h"

namespace {

void Say(const std::string& line) {
  const std::string text = line + "\n";
  if (write(STDOUT_FILENO, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
}

}  // namespace

int main(int, char** argv) {
  using namespace restante;
  using namespace restante::moving;
  const std::string from = argv[1], to = argv[2], step = argv[4];
  auto engine = std::make_unique<MovingEngine>(OpenToServe(from, Clock::System()));
  MovingEngine* const moving = engine.get();
  MovingStore store(std::move(engine));
  std::vector<uint64_t> mailboxes;
  const auto listed = engine::Await<absl::StatusOr<MovingEngine::Listed>>(
      [&](auto done) { moving->ListPartitions(PartitionId::Kind::kMailbox, 0, 100, std::move(done)); });
  for (const auto& [number, head] : *listed) mailboxes.push_back(number);
  while (mailboxes.size() < 4) mailboxes.push_back(store.CreateMailboxAndDomain());
  for (const uint64_t mailbox : mailboxes) Say(absl::StrCat("mailbox ", mailbox));
  Load load(&store, mailboxes, std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[3], nullptr, 10),
            [](uint64_t tx, const std::vector<uint64_t>& where) {
              std::string line = absl::StrCat(tx);
              for (const uint64_t mailbox : where) absl::StrAppend(&line, " ", mailbox);
              Say(line);
            });
  while (load.deliveries() < 60) absl::SleepFor(absl::Milliseconds(2));
  OnlineMoveOptions options;
  options.places.from = "embedded:/old";
  options.places.to = "embedded:/new";
  options.places.at = [&](absl::string_view at) {
    if (at == step) kill(getpid(), SIGKILL);
  };
  options.open = [&](bool to_serve) -> absl::StatusOr<std::unique_ptr<engine::Engine>> {
    return to_serve ? OpenToServe(to, Clock::System()) : OpenToMove(to, Clock::System());
  };
  options.after_error = options.pause = absl::Milliseconds(20);
  options.say = [](const std::string& line, bool) { std::fprintf(stderr, "%s\n", line.c_str()); };
  OnlineMove move(moving, options);
  while (!move.done()) absl::SleepFor(absl::Milliseconds(2));
  const uint64_t moved_at = load.deliveries();
  while (load.deliveries() < moved_at + 50) absl::SleepFor(absl::Milliseconds(2));
  load.Stop();
  return testing::Test::HasFailure() ? 4 : 0;
}
