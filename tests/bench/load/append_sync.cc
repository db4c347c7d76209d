// Appends octets to a file and syncs them, in groups: what the disk allows, and no more
// work than that.
//
//     append_sync FILE SIZE GROUP SECONDS
//
// A group is GROUP messages of SIZE octets in one write, then fdatasync. Reports
// messages; the latencies are those of a group.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/bench/load/inputs.h"
#include "tests/bench/load/latencies.h"

namespace restante::bench {
namespace {

int Run(const char* file, size_t size, size_t group, double seconds) {
  const std::string octets = Noise(size * group);
  const int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return std::perror(file), 1;
  Latencies latencies;
  const Steady::time_point begin = Steady::now();
  Steady::time_point now = begin;
  while (Seconds(now - begin) < seconds) {
    for (size_t written = 0; written < octets.size();) {
      const ssize_t done = write(fd, octets.data() + written, octets.size() - written);
      if (done < 0) return std::perror(file), 1;
      written += static_cast<size_t>(done);
    }
    if (fdatasync(fd) != 0) return std::perror(file), 1;
    const Steady::time_point before = now;
    now = Steady::now();
    latencies.Add(now - before);
  }
  Report(latencies.count() * group, latencies, now - begin);
  close(fd);
  return 0;
}

}  // namespace
}  // namespace restante::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: append_sync FILE SIZE GROUP SECONDS\n");
    return 2;
  }
  return restante::bench::Run(argv[1], std::strtoul(argv[2], nullptr, 10), std::strtoul(argv[3], nullptr, 10),
                              std::atof(argv[4]));
}
