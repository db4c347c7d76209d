// move_child FROM TO STEP: moves a store between two data directories, and kills itself at
// that step. Exit status 0: it came to its end.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "server/engine/moving/move.h"
#include "tests/moving/moving_store.h"

int main(int, char** argv) {
  using namespace restante;
  const int kill_at = std::atoi(argv[3]);
  std::atomic<int> step{0};
  moving::MoveOptions options = moving::OptionsOf(*Clock::System());
  options.at = [&](absl::string_view) {
    if (++step == kill_at) kill(getpid(), SIGKILL);
  };
  const auto from = moving::OpenToMove(argv[1], Clock::System());
  const auto to = moving::OpenToMove(argv[2], Clock::System());
  if (from == nullptr || to == nullptr) return 2;
  const auto moved = moving::MoveStore(from.get(), to.get(), options);
  if (!moved.ok()) std::fprintf(stderr, "%s\n", moved.status().ToString().c_str());
  return moved.ok() ? 0 : 1;
}
