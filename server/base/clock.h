// Time, through a seam that tests can move.
#ifndef RESTANTE_SERVER_BASE_CLOCK_H_
#define RESTANTE_SERVER_BASE_CLOCK_H_

#include <cstdint>

namespace restante {

class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since an arbitrary moment; never goes back. Decides.
  virtual int64_t MonotonicMicros() const = 0;
  // Microseconds since 1970 UTC; may jump. Labels.
  virtual int64_t WallMicros() const = 0;

  // The machine's clock. Never destroyed.
  static Clock* System();
};

}  // namespace restante

#endif  // RESTANTE_SERVER_BASE_CLOCK_H_
