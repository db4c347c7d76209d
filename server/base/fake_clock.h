// A clock that tests move by hand. Any thread may call.
#ifndef RESTANTE_SERVER_BASE_FAKE_CLOCK_H_
#define RESTANTE_SERVER_BASE_FAKE_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "server/base/clock.h"

namespace restante {

class FakeClock : public Clock {
 public:
  int64_t MonotonicMicros() const override { return monotonic_; }
  int64_t WallMicros() const override { return wall_; }

  // Lets time pass, on both clocks.
  void Advance(int64_t micros) {
    monotonic_ += micros;
    wall_ += micros;
  }
  // Sets the wall clock alone, back or forth.
  void SetWall(int64_t micros) { wall_ = micros; }

 private:
  std::atomic<int64_t> monotonic_{1'000'000};
  std::atomic<int64_t> wall_{1'700'000'000'000'000};
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_FAKE_CLOCK_H_
