// Prints how many commits a second group commit makes of how many syncs.
//
//     group_rate DIRECTORY [THREADS [SECONDS [BYTES]]]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "tests/embedded/small_store.h"

int main(int argc, char** argv) {
  using restante::embedded::SmallStore;
  if (argc < 2) {
    std::fprintf(stderr, "usage: group_rate DIRECTORY [THREADS [SECONDS [BYTES]]]\n");
    return 2;
  }
  const int threads = argc > 2 ? std::atoi(argv[2]) : 16;
  const int seconds = argc > 3 ? std::atoi(argv[3]) : 3;
  const size_t bytes = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 4096;
  SmallStore store{std::filesystem::path(argv[1])};
  if (absl::Status status = store.Open(); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  const uint64_t groups = store.Figure("groups"), commits = store.Figure("commits");
  std::atomic<bool> stop{false};
  std::vector<std::thread> senders;
  for (int t = 0; t < threads; ++t) {
    senders.emplace_back([&, text = restante::embedded::Noise(bytes, t)] {
      while (!stop) {
        if (!store.Deliver(text).ok()) std::abort();
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  stop = true;
  for (std::thread& sender : senders) sender.join();
  std::printf("%d threads, %zu bytes: %.0f commits/s, %.0f syncs/s\n", threads, bytes,
              static_cast<double>(store.Figure("commits") - commits) / seconds,
              static_cast<double>(store.Figure("groups") - groups) / seconds);
}
