#include "tests/time/wall_clock.h"

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace {

std::atomic<time_t> ahead_seconds{0};

}  // namespace

// In front of libc's, for all libraries of the program.
extern "C" int gettimeofday(struct timeval* time, void* zone) noexcept {
  const long result = syscall(SYS_gettimeofday, time, zone);
  if (result == 0) time->tv_sec += ahead_seconds;
  return static_cast<int>(result);
}
extern "C" int clock_gettime(clockid_t id, struct timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, id, time);
  if (result == 0 && id == CLOCK_REALTIME) time->tv_sec += ahead_seconds;
  return static_cast<int>(result);
}

namespace restante {

SetBackByADay::SetBackByADay() { ahead_seconds = 24 * 3600; }
SetBackByADay::~SetBackByADay() { ahead_seconds = 0; }

}  // namespace restante
